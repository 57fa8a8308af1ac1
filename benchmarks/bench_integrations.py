"""Integrations: the CPU time of a recorded tool call on the agent's own thread, beside a handler that does nothing.

The recorder's thread works meanwhile, as it does beside an agent; its time is the scenario ``recorder``.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import thread_time
from typing import Any
from uuid import uuid4

from acode_tui import recorder
from benchmarks.result import Measure, at_most
from benchmarks.scale import sized

GOAL_MICROSECONDS = 100.0
_ARGUMENTS = {"path": "/home/someone/src/shop/login/form.py", "limit": 120}
_RESULT = "return validate(form, field) " * 40
_WARM_UP = 20

Agent = Callable[[int], None]
"""Makes so many tool calls."""


def run() -> list[Measure]:
    measures: list[Measure] = []
    for name, package, agents in (
        ("OpenAI Agents SDK", "agents", _openai),
        ("LangChain", "langchain_core", _langchain),
        ("Claude Agent SDK", "claude_agent_sdk", _claude),
    ):
        if find_spec(package) is None:
            continue
        with TemporaryDirectory(prefix="acode-benchmark-") as folder:
            idle, recorded = _costs(agents, Path(folder))
            recorder.close()
        added = at_most(f"{name}: recorded tool call, on the agent's thread", recorded - idle, "us", GOAL_MICROSECONDS)
        measures.append(added.beside(idle))
    return measures


def _costs(agents: Callable[[Path | None], Iterator[Agent]], folder: Path) -> tuple[float, float]:
    """Microseconds a call with a handler that does nothing, and with the recorder: medians of rounds in turn."""
    calls = sized(100, 50)
    found: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(sized(15, 3)):
        for records in found:
            with contextmanager(agents)(folder if records else None) as agent:
                agent(_WARM_UP)
                before = thread_time()
                agent(calls)
                found[records].append((thread_time() - before) / calls * 1e6)
            recorder.close()
    return median(found[False]), median(found[True])


def _openai(folder: Path | None) -> Iterator[Agent]:
    from agents.tracing import TracingProcessor, custom_span, function_span, set_trace_processors, trace

    from acode_tui.integrations.openai_agents import AgentsProcessor

    class Idle(TracingProcessor):
        def on_trace_start(self, trace: Any) -> None: ...
        def on_trace_end(self, trace: Any) -> None: ...
        def on_span_start(self, span: Any) -> None: ...
        def on_span_end(self, span: Any) -> None: ...
        def shutdown(self) -> None: ...
        def force_flush(self) -> None: ...

    set_trace_processors([Idle() if folder is None else AgentsProcessor(folder)])

    def agent(calls: int) -> None:
        for _ in range(calls):
            with function_span("read_file", str(_ARGUMENTS)) as span:
                span.span_data.output = _RESULT

    with trace("Benchmark"), custom_span("Work"), custom_span("Step"):
        yield agent
    set_trace_processors([])


def _langchain(folder: Path | None) -> Iterator[Agent]:
    """The callbacks alone: the framework's own work for a tool call is ten times as much, and as uneven."""
    from langchain_core.callbacks import BaseCallbackHandler

    from acode_tui.integrations.langchain import LangChainRecorder

    handler: Any = BaseCallbackHandler() if folder is None else LangChainRecorder(folder)
    root, node = uuid4(), uuid4()
    metadata = {"langgraph_node": "work", "langgraph_step": 1, "thread_id": "benchmark"}

    def agent(calls: int) -> None:
        for _ in range(calls):
            known = {"run_id": uuid4(), "parent_run_id": node, "tags": ["graph:step:1"]}
            serialized = {"name": "read_file", "description": "Read a file."}
            handler.on_tool_start(serialized, str(_ARGUMENTS), inputs=_ARGUMENTS, metadata=metadata, **known)
            handler.on_tool_end(_RESULT, **known)

    handler.on_chain_start(None, {"messages": [("user", "Read it.")]}, run_id=root, name="LangGraph", metadata={})
    handler.on_chain_start(None, {}, run_id=node, parent_run_id=root, name="work", metadata=metadata)
    yield agent
    handler.on_chain_end({}, run_id=node)
    handler.on_chain_end({}, run_id=root)


def _claude(folder: Path | None) -> Iterator[Agent]:
    from claude_agent_sdk import ClaudeAgentOptions

    from acode_tui.integrations.claude_agent_sdk import record_claude_agent

    async def idle(event: Any, tool_use_id: Any, context: Any) -> Any:
        return {}

    hooks = record_claude_agent(ClaudeAgentOptions(), folder).hooks or {}
    hook: Any = idle if folder is None else hooks["PreToolUse"][0].hooks[0]

    async def work(calls: int) -> None:
        known = {"session_id": "benchmark", "cwd": "/src", "tool_name": "Read", "tool_input": _ARGUMENTS}
        await hook({**known, "hook_event_name": "UserPromptSubmit", "prompt": "Read it."}, None, {})
        for number in range(calls):
            event = {**known, "tool_use_id": f"t{number}"}
            await hook({**event, "hook_event_name": "PreToolUse"}, None, {})
            await hook({**event, "hook_event_name": "PostToolUse", "tool_response": _RESULT}, None, {})
        await hook({**known, "hook_event_name": "Stop"}, None, {})

    yield lambda calls: asyncio.run(work(calls))
