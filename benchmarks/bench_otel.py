"""What OpenTelemetry's spans cost: an agent's thread, with the span processor, and a receiver's client.

The agent's thread begins and ends spans of a chat with 2 KB of messages; its CPU is that of this thread alone, with the
processor and, as the floor, without any. The receiver gets requests of 512 such spans in protobuf from a process of its
own; the floor is a bare SQLite loop that inserts the same bodies with the same settings, a commit for each request.
"""

import asyncio
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, thread_time

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from acode_tui.ingest.otlp.records import stored
from acode_tui.integrations.opentelemetry import RunSpanProcessor
from acode_tui.receiver.protobuf import spans_of
from acode_tui.receiver.requests import MAX_RECORDS
from acode_tui.receiver.service import Receiver
from acode_tui.workspace import open_workspace
from benchmarks.result import Measure, at_least, at_most
from benchmarks.scale import sized
from benchmarks.terminal import environment

BATCH = 512
"""Spans of a request, as many as an SDK's exporter sends at most."""
CLIENTS = 8
_HEAD = (
    b"POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n"
)
MESSAGES = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Look into it. " * 150}]}])
ATTRIBUTES: dict[str, str | int] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "model-a",
    "gen_ai.conversation.id": "",
    "gen_ai.usage.input_tokens": 1_200,
    "gen_ai.usage.output_tokens": 80,
    "gen_ai.input.messages": MESSAGES,
}


def run() -> list[Measure]:
    with TemporaryDirectory(prefix="acode-benchmark-") as folder:
        costs, floors = _agent(Path(folder, "agent"))
    rates, bare = [], []
    for _ in range(sized(3, 1)):
        with TemporaryDirectory(prefix="acode-benchmark-") as folder:
            bare.append(_bare(Path(folder, "bare.db")))
            rates.append(asyncio.run(_received(Path(folder))))
    cost = at_most("OpenTelemetry: CPU of the agent's thread a span", median(costs) * 1e6, "µs", 100)
    return [
        cost.beside(median(floors) * 1e6),
        at_least("OpenTelemetry: spans received to disk", median(rates), "spans/s", median(bare), 0.1),
    ]


def _agent(root: Path) -> tuple[list[float], list[float]]:
    """Seconds of this thread's CPU a span, with the processor and without, in turns."""
    root.mkdir()
    processor = RunSpanProcessor(root)
    recorded, plain = TracerProvider(shutdown_on_exit=False), TracerProvider(shutdown_on_exit=False)
    recorded.add_span_processor(processor)
    costs: list[float] = []
    floors: list[float] = []
    count = 500
    for _ in range(sized(8, 4)):
        floors.append(_spans(plain.get_tracer("agent"), count))
        costs.append(_spans(recorded.get_tracer("agent"), count))
    assert processor.lost == 0
    processor.shutdown()
    return costs, floors


def _spans(tracer: Tracer, count: int) -> float:
    began = thread_time()
    for _ in range(count):
        with tracer.start_as_current_span("chat", attributes=ATTRIBUTES) as span:
            span.set_attribute("gen_ai.output.messages", MESSAGES)
    return (thread_time() - began) / count


def _request(number: int) -> ExportTraceServiceRequest:
    """512 spans of one conversation, each with a trace of its own."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for index in range(BATCH):
        span = spans.add()
        span.trace_id = (number * BATCH + index + 1).to_bytes(16, "big")
        span.span_id = (index + 1).to_bytes(8, "big")
        span.name = "chat"
        span.start_time_unix_nano = 1_767_614_400_000_000_000 + index
        span.end_time_unix_nano = span.start_time_unix_nano + 1_000
        for name, value in {**ATTRIBUTES, "gen_ai.conversation.id": f"talk {number}"}.items():
            attribute = span.attributes.add()
            attribute.key = name
            if isinstance(value, int):
                attribute.value.int_value = value
            else:
                attribute.value.string_value = str(value)
    return request


def _bare(path: Path) -> float:
    """Spans a second that a bare loop stores, their bodies made before."""
    requests = [_request(number).SerializeToString() for number in range(sized(20, 4))]
    bodies = [[stored(span) for span in spans_of(request, MAX_RECORDS)[0]] for request in requests]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "CREATE TABLE spans (trace TEXT, id TEXT, rank BLOB, body BLOB, PRIMARY KEY (trace, id)) STRICT"
        )
        began = perf_counter()
        for spans in bodies:
            connection.execute("BEGIN IMMEDIATE")
            rows = [(span.trace, span.id, span.rank, span.body) for span in spans]
            connection.executemany("INSERT INTO spans VALUES (?, ?, ?, ?)", rows)
            connection.execute("COMMIT")
        return BATCH * len(bodies) / (perf_counter() - began)


async def _received(root: Path) -> float:
    """Spans a second that clients in another process have answered. Reading them into runs goes on beside it."""
    async with open_workspace(root) as workspace:
        receiver = Receiver(workspace)
        async with receiver.serving(0):
            client = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "benchmarks.bench_otel", str(receiver.port), str(sized(20, 4)),
                stdout=subprocess.PIPE, env=environment(),
            )  # fmt: skip
            out, _ = await client.communicate()
            assert receiver.stored == BATCH * sized(20, 4)
    return float(out)


async def _send(port: int, count: int) -> float:
    """Send requests over several connections at once; returns the spans a second that were answered."""
    bodies = [_request(number).SerializeToString() for number in range(count)]

    async def send_some() -> None:
        while bodies:
            body = bodies.pop()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_HEAD % len(body) + body)
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 200 ")
            writer.close()

    began = perf_counter()
    await asyncio.gather(*(send_some() for _ in range(CLIENTS)))
    return BATCH * count / (perf_counter() - began)


if __name__ == "__main__":
    print(asyncio.run(_send(int(sys.argv[1]), int(sys.argv[2]))))
