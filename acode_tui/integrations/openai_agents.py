"""Records runs of the OpenAI Agents SDK: ``record_openai_agents()`` once, before the first run.

A trace is a session, each run in it a task, each turn of an agent a step with its model's answer and tokens, each
function a tool call. Traces with the same ``group_id`` are turns of one session. Needs ``acode-tui[openai-agents]``.
"""

import json
import threading
from pathlib import Path
from typing import Any

from agents.tracing import Span, Trace, TracingProcessor, add_trace_processor, get_current_trace

from acode_tui.integrations.conversations import Conversations, Turn, harmless
from acode_tui.integrations.openai_messages import Said, arguments, prompt_of, said, tokens
from acode_tui.recorder.run import Call, Step, Task
from acode_tui.recorder.values import reason_text

_UNNAMED = "Agent workflow"
"""The SDK's name of a trace that the agent's author did not name."""


def record_openai_agents(path: str | Path | None = None) -> "AgentsProcessor":
    """Record every run of this process from now on, in the workspace in the folder ``path``.

    Other processors of traces stay, the SDK's own export to OpenAI too. Without a path it is the workspace that
    commands use here. ``RunConfig(trace_include_sensitive_data=False)`` leaves prompts, answers and arguments out.
    """
    processor = AgentsProcessor(path)
    add_trace_processor(processor)
    return processor


class _Span:
    """A span that is under way. ``top`` is the span without a parent above it, which has the task."""

    def __init__(self, parent: "_Span | None", kind: str) -> None:
        self.parent = parent
        self.kind = kind
        self.top: _Span = self if parent is None else parent.top
        self.agent: str = "" if parent is None else parent.agent
        self.in_call: bool = parent is not None and (parent.in_call or parent.kind == "function")
        # A function's own agents have steps of their own.
        self.step: Step | None = None if parent is None or parent.kind == "function" else parent.step
        self.own_step: Step | None = None
        self.call: Call | None = None
        self.asked: list[tuple[str, Any]] = []
        self.failed_calls = 0
        self.model_failed = False
        # Of a top span:
        self.task: Task | None = None
        self.has_prompt = False
        self.failure: str | None = None
        self.unanswered: list[tuple[Call, str]] = []
        """Calls without a result: of functions that have none, if the agent goes on, or that wait for an approval."""
        self.unanswered_steps: list[Step] = []
        """The steps with such calls whose turn has ended."""


class _Trace:
    def __init__(self, name: str, trace_id: str, group_id: str | None, metadata: Any, *, reattached: bool) -> None:
        self.name = name
        self.key = group_id or trace_id
        self.is_conversation = bool(group_id)
        self.metadata = metadata
        self.reattached = reattached
        self.turn: Turn | None = None
        self.spans: dict[str, _Span] = {}
        self.failure: str | None = None
        self.waits_for: str | None = None


class AgentsProcessor(TracingProcessor):
    """Writes traces into a workspace. Safe to use from any thread; never waits and never raises."""

    def __init__(self, path: str | Path | None = None) -> None:
        self._conversations = Conversations(path, "openai-agents")
        self._traces: dict[str, _Trace] = {}
        self._lock = threading.RLock()

    @harmless
    def on_trace_start(self, trace: Trace) -> None:
        with self._lock:
            begun = _of_trace(trace, reattached=False)
            self._traces[trace.trace_id] = begun
            if begun.name != _UNNAMED:
                self._turn(begun, begun.name)

    @harmless
    def on_trace_end(self, trace: Trace) -> None:
        with self._lock:
            ended = self._traces.pop(trace.trace_id, None)
            if ended is not None:
                self._end(ended)

    @harmless
    def on_span_start(self, span: Span[Any]) -> None:
        with self._lock:
            trace = self._traces.get(span.trace_id)
            if trace is None:
                # A run that goes on after an approval: the SDK does not say that its trace begins again, nor its end.
                current = get_current_trace()
                known = current if current is not None and current.trace_id == span.trace_id else None
                trace = _of_trace(known, reattached=True, trace_id=span.trace_id)
                self._traces[span.trace_id] = trace
            begun = _Span(trace.spans.get(span.parent_id or ""), span.span_data.type)
            trace.spans[span.span_id] = begun
            self._begin(trace, begun, span.span_data)

    @harmless
    def on_span_end(self, span: Span[Any]) -> None:
        with self._lock:
            trace = self._traces.get(span.trace_id)
            ended = None if trace is None else trace.spans.pop(span.span_id, None)
            if trace is None or ended is None:
                return
            _finish(ended, span.span_data, _message_of(span.error))
            if ended.parent is None:
                _end_task(trace, ended)
                if trace.reattached:
                    del self._traces[span.trace_id]
                    self._end(trace)

    def shutdown(self) -> None:
        """Called at the end of the process, which waits for the recorder's writes by itself."""

    def force_flush(self) -> None:
        """Nothing is held back here."""

    def _turn(self, trace: _Trace, name: str) -> Turn:
        if trace.turn is None:
            metadata = trace.metadata if isinstance(trace.metadata, dict) else None
            trace.turn = self._conversations.enter(
                name, trace.key, is_conversation=trace.is_conversation, metadata=metadata
            )
        return trace.turn

    def _end(self, trace: _Trace) -> None:
        for span in [span for span in trace.spans.values() if span.parent is None]:
            _end_task(trace, span)
        turn = self._turn(trace, trace.name)
        self._conversations.leave(turn, failure=trace.failure, waits_for=trace.waits_for)

    def _begin(self, trace: _Trace, span: _Span, data: Any) -> None:
        if span.kind == "task":
            return  # its first agent names it
        if span.kind == "agent":
            span.agent = str(data.name)
        if span.top.task is None:
            name = span.agent or _name_of(span.kind, data)
            turn = self._turn(trace, name if trace.name == _UNNAMED else trace.name)
            span.top.task = turn.run.task(name).start()
        if span.kind in ("turn", "generation", "response") and not span.in_call:
            _answer(span.top)
        _begin_step(span, data)


def _of_trace(trace: Trace | None, *, reattached: bool, trace_id: str = "") -> _Trace:
    return _Trace(
        _UNNAMED if trace is None else trace.name,
        trace_id if trace is None else trace.trace_id,
        getattr(trace, "group_id", None),
        getattr(trace, "metadata", None),
        reattached=reattached,
    )


def _begin_step(span: _Span, data: Any) -> None:
    task = span.top.task
    assert task is not None
    if span.kind in ("agent", "handoff", "mcp_tools"):
        return  # an agent has its turns; the others are known at their end
    if span.kind == "function":
        turn = span.parent
        given = None if turn is None else _asked(turn, str(data.name))
        if given is not None:
            span.call = _call(span, data.name, given).start()
        return
    if span.kind in ("generation", "response") and span.step is not None:
        return
    name = span.agent if span.kind in ("turn", "generation", "response") else ""
    facts: dict[str, Any] = {"agent": span.agent} if span.agent else {}
    if span.kind == "custom":
        facts["data"] = data.data
    elif span.kind == "turn":
        span.agent = name = str(data.agent_name)
        facts = {"agent": name, "turn": data.turn}
    span.own_step = span.step = task.step(name or _name_of(span.kind, data), metadata=facts or None).start()


def _finish(span: _Span, data: Any, error: str | None) -> None:
    if span.kind in ("generation", "response"):
        _finish_model_call(span, data, error)
    elif span.kind == "function":
        _finish_function(span, data, error)
        return
    elif span.kind == "handoff":
        _call(span, "handoff", {"from": data.from_agent, "to": data.to_agent}).start().end()
    elif span.kind == "mcp_tools" and span.top.task is not None:
        span.top.task.step(f"List the tools of {data.server}", metadata={"tools": data.result}).start().end()
    elif span.kind == "transcription" and span.own_step is not None and isinstance(data.output, str):
        span.own_step.say(answer=data.output)
    elif span.kind == "guardrail" and data.triggered:
        error = error or f"guardrail {data.name} was triggered"
    if error is not None and not span.in_call and span.kind in ("agent", "turn", "task", "guardrail"):
        span.top.failure = span.top.failure or error
    step = span.own_step
    if step is not None:
        if error is not None or span.model_failed:
            step.fail()
        elif span.failed_calls:
            # The agent saw the failure and went on.
            step.skip()
        if any(call.outer is step for call, _ in span.top.unanswered):
            span.top.unanswered_steps.append(step)
        else:
            step.end()


def _finish_model_call(span: _Span, data: Any, error: str | None) -> None:
    step = span.step
    if step is None:
        return
    response = getattr(data, "response", None)
    if not span.top.has_prompt and not span.in_call and span.top.task is not None:
        prompt = prompt_of(data.input)
        if prompt:
            span.top.has_prompt = True
            span.top.task.say(prompt=prompt)
    found: Said = said(response if response is not None else getattr(data, "output", None))
    step.say(reasoning=found.reasoning or None, answer=found.answer or None)
    usage = data.usage if data.usage is not None else getattr(response, "usage", None)
    model = getattr(data, "model", None) or getattr(response, "model", None)
    if usage is not None or model is not None:
        step.usage(model=None if model is None else str(model), **tokens(usage))
    for hosted in found.hosted:
        call = step.tool(hosted.name, hosted.parameters).start()
        call.result(hosted.result)
        if hosted.error is not None:
            call.fail(hosted.error)
            _holder(span).failed_calls += 1
        call.end()
    holder = _holder(span)
    holder.asked += found.asked
    holder.model_failed = error is not None


def _finish_function(span: _Span, data: Any, error: str | None) -> None:
    call = span.call or _call(span, data.name, arguments(data.input)).start()
    if error is not None:
        call.fail(error)
        if span.parent is not None:
            span.parent.failed_calls += 1
    elif data.output is None and data.input is not None and not span.in_call:
        span.top.unanswered.append((call, str(data.name)))
        return
    call.result(data.output)
    call.end()


def _end_task(trace: _Trace, top: _Span) -> None:
    task = top.task
    if task is None:
        return
    if top.failure is None and top.unanswered:
        names = ", ".join(dict.fromkeys(name for _, name in top.unanswered))
        trace.waits_for = f"the call of {names} waits for an approval"
        _answer(top, waits=True)
    _answer(top)
    if top.failure is not None:
        task.fail()
        trace.failure = trace.failure or top.failure
    task.end()


def _answer(top: _Span, *, waits: bool = False) -> None:
    """End the calls without a result: they wait for an approval, or the agent goes on, and so they have none."""
    for call, _ in top.unanswered:
        if waits:
            call.cancel("it waits for an approval")
        call.end()
    for step in top.unanswered_steps:
        step.end()
    top.unanswered.clear()
    top.unanswered_steps.clear()


def _call(span: _Span, name: Any, parameters: Any) -> Call:
    """A call in the span's step, or in a step of its own."""
    if span.step is not None:
        return span.step.tool(str(name), parameters)
    assert span.top.task is not None
    return span.top.task.tool(str(name), parameters)


def _holder(span: _Span) -> _Span:
    """The span whose step a model call is recorded in."""
    while span.own_step is None and span.parent is not None and span.parent.step is span.step:
        span = span.parent
    return span


def _asked(turn: _Span, name: str) -> Any:
    """The arguments of the next call of a function that the model asked for; None if they are not known."""
    for number, (asked, given) in enumerate(turn.asked):
        if asked == name:
            del turn.asked[number]
            return given
    return None


def _name_of(kind: str, data: Any) -> str:
    name = getattr(data, "name", None)
    if kind == "guardrail":
        return f"Guardrail {name}"
    return str(name) if isinstance(name, str) and name else kind


def _message_of(error: Any) -> str | None:
    if error is None:
        return None
    try:
        details = error.get("data") or {}
        message = str(error.get("message") or "error")
        cause = details.get("error") or details.get("message")
        if cause is None:
            cause = json.dumps(details, default=str) if details else None
        return reason_text(message if cause is None else f"{message}: {cause}")
    except (AttributeError, TypeError, ValueError):
        return reason_text(error)
