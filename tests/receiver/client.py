"""A receiver on a free port, and an exporter's requests to it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from acode_tui.domain.entities import SessionGraph
from acode_tui.ops.health.metrics_http import ADDRESS
from acode_tui.receiver.http import Limits
from acode_tui.receiver.service import Receiver
from acode_tui.workspace import Workspace, open_workspace
from tests.clocks import GUARD_SECONDS


class Answered(NamedTuple):
    status: int
    headers: str
    body: bytes


@asynccontextmanager
async def receiving(root: Path, limits: Limits | None = None) -> AsyncIterator[tuple[Receiver, Workspace]]:
    async with open_workspace(root) as workspace, asyncio.timeout(GUARD_SECONDS):
        receiver = Receiver(workspace, limits)
        async with receiver.serving(0):
            yield receiver, workspace


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    """Wait until a condition holds; the block of ``receiving`` limits how long."""
    while not await holds():  # noqa: ASYNC110 - no event tells of another part's write
        await asyncio.sleep(0.01)


async def graphs(root: Path) -> list[SessionGraph]:
    async with open_workspace(root) as workspace:
        return [await workspace.store.get_with_hierarchy(each.id) for each in await workspace.store.list()]


async def ask(port: int, request: bytes) -> Answered:
    """Everything that the server sends until it closes the connection."""
    reader, writer = await asyncio.open_connection(ADDRESS, port)
    with closing(writer):
        writer.write(request)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    status = int(head.split(b" ")[1]) if head else 0
    return Answered(status, head.decode("latin-1"), body)


def post(body: bytes, media: str = "application/json", path: str = "/v1/traces", **headers: str) -> bytes:
    """A request. An underscore in a header's name stands for a dash; a value of "" leaves the header out."""
    fields = {
        "Host": "127.0.0.1",
        "Content-Type": media,
        "Content-Length": str(len(body)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def as_json(request: dict[str, Any]) -> bytes:
    return json.dumps(request).encode()


def as_protobuf(request: dict[str, Any]) -> bytes:
    """The same request in protobuf: its JSON form in OTLP has hexadecimal ids, that of protobuf has base64."""

    def converted(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: converted(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [converted(inner) for inner in value]
        return (
            base64.b64encode(bytes.fromhex(value)).decode() if key in ("traceId", "spanId", "parentSpanId") else value
        )

    message: bytes = ParseDict(converted(request), ExportTraceServiceRequest()).SerializeToString()
    return message
