"""Requests of exporters: what is answered, what is stored, and what is refused."""

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from acode_tui.cli.main import cli
from acode_tui.domain.errors import DiskFullError
from acode_tui.domain.states import SessionState
from acode_tui.receiver import requests, service
from acode_tui.receiver.errors import RefusedError
from acode_tui.receiver.http import Limits
from acode_tui.receiver.requests import JSON, PROTOBUF, SIGNALS, received
from acode_tui.receiver.service import Receiver
from acode_tui.storage.sqlite.span_store import SpanStore
from acode_tui.workspace.telemetry import spans_path
from tests.ingest.otlp.builder import agent, chat, log, log_request, request, run
from tests.receiver.client import Answered, as_json, as_protobuf, ask, graphs, post, receiving, until

RUN = request(*run())


def chunked(body: bytes) -> bytes:
    return b"5\r\n" + body[:5] + b"\r\n%x\r\n" % len(body[5:]) + body[5:] + b"\r\n0\r\n\r\n"


def status_of(answer: Answered) -> Any:
    return json.loads(answer.body)


async def test_a_run_is_the_same_in_json_and_in_protobuf_compressed_or_not_and_sent_again(tmp_path: Path) -> None:
    async with receiving(tmp_path) as (receiver, _):
        bodies = [
            post(as_protobuf(RUN), PROTOBUF),
            post(gzip.compress(as_protobuf(RUN)), PROTOBUF, Content_Encoding="gzip"),
            post(as_json(RUN), "application/json; charset=utf-8"),
            post(chunked(as_json(RUN)), Content_Length="", Transfer_Encoding="chunked"),
        ]
        answers = [await ask(receiver.port, body) for body in bodies]
        assert [(each.status, each.body) for each in answers] == [(200, b""), (200, b""), (200, b"{}"), (200, b"{}")]
        assert receiver.stored == len(run())
    (graph,) = await graphs(tmp_path)
    assert graph.state is SessionState.COMPLETED
    assert [len(task.steps) for task in graph.tasks] == [2]


async def test_a_run_is_seen_while_it_goes_on(tmp_path: Path) -> None:
    """An exporter sends the spans around others last."""
    async with receiving(tmp_path) as (receiver, workspace):
        turn = chat(2, 1, given="Go", said="I go.", parent=1, gen_ai__conversation__id="t")
        await ask(receiver.port, post(as_json(request(turn))))
        await until(workspace.store.count)
        (found,) = (await workspace.store.list()).sessions
        assert found.task_description == "Go"


async def test_what_is_not_recorded_is_said(tmp_path: Path) -> None:
    async with receiving(tmp_path) as (receiver, _):
        nameless = request({**chat(1, 1), "spanId": "x"}, chat(2, 1))
        answer = await ask(receiver.port, post(as_json(nameless)))
        assert status_of(answer)["partialSuccess"]["rejectedSpans"] == "1"
        logs = log_request(log(1, "claude_code.user_prompt", session__id="s", prompt="Go"), log(2, "http.request"))
        answer = await ask(receiver.port, post(as_json(logs), path="/v1/logs"))
        assert status_of(answer)["partialSuccess"]["rejectedLogRecords"] == "1"
        points: dict[str, Any] = {
            "resourceMetrics": [{"scopeMetrics": [{"metrics": [{"sum": {"dataPoints": [{}, {}]}}]}]}]
        }
        answer = await ask(receiver.port, post(as_json(points), path="/v1/metrics"))
        assert status_of(answer)["partialSuccess"]["rejectedDataPoints"] == "2"
        answer = await ask(receiver.port, post(b"", PROTOBUF, path="/v1/metrics", Content_Length="0"))
        assert (answer.status, answer.body) == (200, b"")


REFUSED = {
    "another host": (403, post(b"{}", Host="rebound.example")),
    "two hosts": (403, post(b"{}").replace(b"Host:", b"Host: 127.0.0.1\r\nHost:")),
    "a page of a browser": (403, post(b"{}", Origin="http://localhost:3000")),
    "another path": (404, post(b"{}", path="/v1/spans")),
    "another method": (405, post(b"{}").replace(b"POST", b"PUT")),
    "another media type": (415, post(b"{}", "text/plain")),
    "another compression": (415, post(b"{}", Content_Encoding="br")),
    "no length": (411, post(b"", Content_Length="")),
    "a length that is none": (400, post(b"", Content_Length="-1")),
    "a length beyond the limit": (413, post(b"", Content_Length=str(33 * 1024 * 1024))),
    "two lengths": (400, post(b"{}").replace(b"Content-Length", b"Content-Length: 1\r\nContent-Length")),
    "a length and chunks": (400, post(b"{}", Transfer_Encoding="chunked")),
    "no chunk": (400, post(b"zz\r\n", Content_Length="", Transfer_Encoding="chunked")),
    "a large head": (431, post(b"", X="x" * 20_000)),
    "no HTTP": (400, b"hello\r\n\r\n"),
    "no JSON": (400, post(b'{"resourceSpans": [')),
    "no object": (400, post(b"[]")),
    "no protobuf": (400, post(as_protobuf(RUN)[:-7], PROTOBUF)),
    "no gzip": (400, post(b"{}", Content_Encoding="gzip")),
    "half of a gzip": (400, post(gzip.compress(as_json(RUN))[:-9], Content_Encoding="gzip")),
    "a bomb": (413, post(gzip.compress(bytes(40_000_000)), Content_Encoding="gzip")),
    "too many spans": (413, post(b'"spanId"' * 400_001)),
}


async def test_bad_requests_are_refused_with_a_status_and_the_next_one_is_answered(tmp_path: Path) -> None:
    async with receiving(tmp_path) as (receiver, _):
        for name, (status, sent) in REFUSED.items():
            answer = await ask(receiver.port, sent)
            assert answer.status == status, name
            if f"Content-Type: {JSON}" in answer.headers:
                assert status_of(answer)["message"], name
        answer = await ask(receiver.port, post(as_protobuf(RUN)[:-7], PROTOBUF))
        assert b"\x12" in answer.body
        assert (await ask(receiver.port, post(as_json(RUN)))).status == 200


async def test_a_full_disk_is_no_success_and_loses_nothing_that_was_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = SpanStore.add

    def fail(*_: object) -> int:
        raise DiskFullError("store spans: the disk is full")

    async with receiving(tmp_path) as (receiver, _):
        assert (await ask(receiver.port, post(as_json(request(*run()[:2]))))).status == 200
        monkeypatch.setattr(SpanStore, "add", fail)
        answer = await ask(receiver.port, post(as_json(RUN)))
        assert (answer.status, "Retry-After: 5" in answer.headers) == (503, True)
        assert status_of(answer)["code"] == 14
        monkeypatch.setattr(SpanStore, "add", add)
        assert (await ask(receiver.port, post(as_json(RUN)))).status == 200
        assert receiver.stored == len(run())


async def test_a_defect_ends_neither_storing_nor_importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are tried again: the request is answered with 503, and the import comes with the next spans."""
    failed: list[str] = []

    def fail_once(module: object, name: str) -> None:
        sound = getattr(module, name)

        def fail(*given: Any) -> Any:
            monkeypatch.setattr(module, name, sound)
            failed.append(name)
            raise ZeroDivisionError

        monkeypatch.setattr(module, name, fail)

    async with receiving(tmp_path) as (receiver, _):
        fail_once(SpanStore, "add")
        assert (await ask(receiver.port, post(as_json(request(*run()[:2]))))).status == 503
        fail_once(service, "import_spans")
        assert (await ask(receiver.port, post(as_json(request(*run()[:2]))))).status == 200
        await until(lambda: imported(failed))
        assert (await ask(receiver.port, post(as_json(RUN)))).status == 200
    assert failed == ["add", "import_spans"]
    assert receiver.stored == len(run())
    assert len(await graphs(tmp_path)) == 1


async def imported(failed: list[str]) -> bool:
    return "import_spans" in failed


async def holds(receiver: Receiver, *, held: int = -1, connections: int = -1) -> bool:
    """Whether the server has so many bytes of bodies, or so many connections."""
    server = receiver._server
    return held in (-1, server._held) and connections in (-1, len(server._open))


async def test_connections_and_bodies_beyond_the_limits_are_turned_away(tmp_path: Path) -> None:
    async with receiving(tmp_path, Limits(connections=2, held_bytes=1_000)) as (receiver, _):
        slow = [await asyncio.open_connection("127.0.0.1", receiver.port) for _ in range(2)]
        slow[0][1].write(post(b"", Content_Length="900"))
        await until(lambda: holds(receiver, held=900))
        # The other one may use what is left, and no more.
        slow[1][1].write(post(b"", Content_Length="901"))
        answer = await slow[1][0].read()
        assert answer.startswith(b"HTTP/1.1 503 ")
        slow[1][1].close()
        await until(lambda: holds(receiver, connections=1))
        slow[1] = await asyncio.open_connection("127.0.0.1", receiver.port)
        await until(lambda: holds(receiver, connections=2))
        try:
            status = (await ask(receiver.port, post(b"{}"))).status
        except ConnectionError:
            status = 0
        assert status == 0
        for _, writer in slow:
            writer.transport.abort()


def test_what_was_answered_survives_the_end_of_the_process(tmp_path: Path) -> None:
    """Two receivers on one port: the second says so. Then the first is killed."""
    command = ["--workspace", str(tmp_path), "receive", "--port"]
    environ = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    started = [sys.executable, "-m", "acode_tui", *command, "0"]
    with subprocess.Popen(started, stderr=subprocess.PIPE, env=environ) as first:
        assert first.stderr is not None
        port = next(
            int(json.loads(line)["address"].rpartition(":")[2]) for line in first.stderr if b"listening" in line
        )
        second = CliRunner().invoke(cli, [*command, str(port)])
        assert second.exit_code == 1
        assert second.stderr.splitlines()[-1].startswith(f"error: ACODE-CONFIG-001: --port {port}: another program")
        assert asyncio.run(ask(port, post(as_protobuf(RUN), PROTOBUF))).status == 200
        first.send_signal(signal.SIGKILL)
    store = SpanStore(spans_path(tmp_path / ".agent"))
    assert store.add(received("/v1/traces", JSON, "", as_json(RUN)).spans, now=0) == 0
    store.close()


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(SIGNALS),
    st.sampled_from((JSON, PROTOBUF, "x")),
    st.sampled_from(("", "gzip", "deflate", "x")),
    st.binary(max_size=60)
    | st.binary(max_size=30).map(gzip.compress)
    | st.tuples(st.integers(0, 300), st.binary(min_size=1, max_size=4)).map(
        lambda change: as_protobuf(RUN)[: change[0]] + change[1] + as_protobuf(RUN)[change[0] + len(change[1]) :]
    ),
)
def test_a_body_is_taken_or_refused_and_never_fails(signal: str, media: str, encoding: str, body: bytes) -> None:
    try:
        found = received(signal, media, encoding, body)
        requests.success(signal, media, found)
    except RefusedError as refused:
        requests.failure(media, 3, str(refused))


async def test_no_bytes_stop_the_server(tmp_path: Path) -> None:
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    heads = (b"", b"\r\n\r\n", b"POST /v1/traces HTTP/1.1\r\n\r\n", b"\x00\xff\r\n\r\n", b"POST  \r\nHost\r\n\r\n",
             post(b"{}")[:-1], post(b"{}", Content_Length="99999"), post(b"{}", Content_Type="a\x80"),
             post(b"ffffffff\r\n", Content_Length="", Transfer_Encoding="chunked"))  # fmt: skip
    async with receiving(tmp_path) as (receiver, _):
        for head in heads:
            _, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
            writer.write(head)
            writer.write_eof()
            writer.close()
        assert (await ask(receiver.port, post(as_json(request(agent(1)))))).status == 200
    assert failures == []
