"""OpenTelemetry's SDK itself with the span processor: what is recorded, what is lost, and that the agent is unhurt."""

import asyncio
import logging
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.errors import DiskFullError
from acode_tui.domain.states import SessionState, ToolCallState
from acode_tui.storage.sqlite.span_store import SpanStore
from tests.ingest.builders import calls_of, steps_of

pytest.importorskip("opentelemetry.sdk", reason="needs acode-tui[otel]")

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from acode_tui.integrations import opentelemetry as integration
from acode_tui.integrations import span_thread
from acode_tui.integrations.opentelemetry import RunSpanProcessor
from tests.clocks import GUARD_SECONDS
from tests.receiver.client import graphs

EXAMPLE = Path(__file__).parents[2] / "examples" / "opentelemetry_agent.py"
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "bot"}
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.prompt": "Look", "gen_ai.completion": "I look."}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "shell"}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """However loaded the machine is, the end of a processor is waited for."""
    monkeypatch.setattr(integration, "SHUTDOWN_SECONDS", GUARD_SECONDS)


@pytest.fixture
def processor(tmp_path: Path) -> Iterator[RunSpanProcessor]:
    made = RunSpanProcessor(tmp_path)
    yield made
    made.shutdown()


@pytest.fixture
def tracer(processor: RunSpanProcessor) -> Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider.get_tracer("shop")


def graph_in(folder: Path) -> SessionGraph:
    (graph,) = asyncio.run(graphs(folder))
    return graph


def test_spans_of_this_process_become_runs(tmp_path: Path, tracer: Tracer, processor: RunSpanProcessor) -> None:
    with tracer.start_as_current_span("agent", attributes=AGENT):
        with tracer.start_as_current_span("chat", attributes=CHAT):
            pass
        with pytest.raises(ValueError, match="no such file"), tracer.start_as_current_span("tool", attributes=TOOL):
            raise ValueError("no such file")
        assert processor.force_flush()
        going_on = graph_in(tmp_path)
        assert going_on.state is SessionState.EXECUTING
        assert [task.title for task in going_on.tasks] == ["Look"]
    assert processor.force_flush()
    graph = graph_in(tmp_path)
    assert graph.state is SessionState.COMPLETED
    (call,) = calls_of(graph)
    assert (call.state, call.error_message) == (ToolCallState.FAILED, "ValueError: no such file")
    assert [(step.metadata or {})["agent"] for step in steps_of(graph)] == ["bot"]
    assert processor.lost == 0


def test_what_an_agent_was_doing_when_it_ended_is_seen(
    tmp_path: Path, tracer: Tracer, processor: RunSpanProcessor
) -> None:
    with tracer.start_as_current_span("chat", attributes=CHAT):
        pass
    tracer.start_span("tool", attributes={**TOOL, "gen_ai.conversation.id": "t"})
    processor.shutdown()
    found = asyncio.run(graphs(tmp_path))
    assert ToolCallState.EXECUTING in [call.state for graph in found for call in calls_of(graph)]
    with tracer.start_as_current_span("late", attributes=CHAT):
        pass
    assert processor.lost == 2


def test_attributes_of_every_type_are_recorded(tmp_path: Path, tracer: Tracer, processor: RunSpanProcessor) -> None:
    values: dict[str, Any] = {"i": 2**70, "f": float("nan"), "l": [1.5, 2.5], "b": True, "s": "\ud800", "y": b"\xff"}
    with tracer.start_as_current_span("chat", attributes={**CHAT, **values}):
        pass
    assert processor.force_flush()
    (step,) = steps_of(graph_in(tmp_path))
    assert (step.metadata or {})["attributes"] == {"b": True, "i": str(2**70), "l": [1.5, 2.5], "s": "?", "y": "/w=="}


def test_a_full_disk_delays_spans_and_a_folder_that_cannot_be_used_loses_them(
    tmp_path: Path, tracer: Tracer, processor: RunSpanProcessor, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def fail(*_: object) -> int:
        raise DiskFullError("store spans: the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(SpanStore, "add", fail)
        with tracer.start_as_current_span("chat", attributes=CHAT):
            pass
        assert not processor.force_flush()
    assert processor.force_flush()
    assert (len(steps_of(graph_in(tmp_path))), processor.lost) == (1, 0)
    file = tmp_path / "file"
    file.touch()
    lost = RunSpanProcessor(file)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(lost)
    with caplog.at_level(logging.WARNING, "acode_tui.recorder"), provider.get_tracer("x").start_as_current_span("a"):
        pass
    lost.shutdown()
    assert lost.lost == 2
    assert len([record for record in caplog.records if "not fully recorded" in record.message]) == 1


def test_spans_beyond_the_limit_are_counted(
    tracer: Tracer, processor: RunSpanProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_thread, "MAX_WAITING", 0)
    with tracer.start_as_current_span("chat", attributes=CHAT):
        pass
    assert processor.lost == 2
    assert processor.force_flush()


FORKED = f"""
import os, sys
from opentelemetry.sdk.trace import TracerProvider
from acode_tui.integrations import span_thread
from acode_tui.integrations.opentelemetry import RunSpanProcessor
span_thread.EXIT_SECONDS = {GUARD_SECONDS}
provider = TracerProvider()
provider.add_span_processor(RunSpanProcessor(sys.argv[1]))
def say(text):
    with provider.get_tracer("x").start_as_current_span("chat", attributes={{**{CHAT!r}, "gen_ai.completion": text}}):
        pass
say("before")
provider.force_flush()
child = os.fork()
say("child" if child == 0 else "parent")
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_process_records_its_own_spans_and_the_end_of_a_process_loses_none(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKED, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    found = asyncio.run(graphs(tmp_path))
    assert sorted(step.name for graph in found for step in steps_of(graph)) == ["before", "child", "parent"]


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    providers: list[TracerProvider] = []
    monkeypatch.setattr(trace, "set_tracer_provider", providers.append)
    monkeypatch.setattr(trace, "get_tracer", lambda name: providers[0].get_tracer(name))
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    graph = graph_in(tmp_path)
    assert [task.title for task in graph.tasks] == ["Review login.ts"]
    assert [call.tool_name for call in calls_of(graph)] == ["read_file"]
