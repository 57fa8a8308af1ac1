"""Builds a session from the spans of one conversation, or of one trace without one.

A task is what the user asked: a trace, or a prompt that an agent reports. A step is a call of a model, a tool call is a
call. The same spans give the same session.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from acode_tui.domain.states import ArtifactType, ToolCallState
from acode_tui.ingest.counts import SkippedLines
from acode_tui.ingest.draft import ArtifactDraft, CallDraft, StepDraft, to_bytes
from acode_tui.ingest.finish import LastSeen
from acode_tui.ingest.format import Parsed, ReadContext
from acode_tui.ingest.otlp import names
from acode_tui.ingest.otlp.messages import asked_of, given_to, last_prompt, plain_text, value_in
from acode_tui.ingest.otlp.names import evidence, extra, first, first_amount, first_count, first_text
from acode_tui.ingest.otlp.own import own_artifacts
from acode_tui.ingest.otlp.records import Span, moment
from acode_tui.ingest.otlp.trace import Call, Trace, Turn, ordered
from acode_tui.ingest.records import label, storable
from acode_tui.ingest.run_reader import RunReader
from acode_tui.ingest.usage import Tokens

SOURCE = "otlp"
_RESOURCE = ("service.name", "service.version", "service.instance.id", "host.name", "os.type", "telemetry.sdk.language")


def read_session(native: str, spans: Iterable[Span], context: ReadContext) -> Parsed:
    """The session of these spans, each of them once. ``native`` is the conversation's id, or the trace's."""
    by_trace: dict[str, list[Span]] = {}
    for span in spans:
        by_trace.setdefault(span.trace, []).append(span)
    traces = sorted((ordered(key, found) for key, found in by_trace.items()), key=lambda each: (each.start, each.id))
    return _Session(context).read(native, traces, by_trace)


class _Session:
    def __init__(self, context: ReadContext) -> None:
        self._reader = RunReader(SOURCE, context)
        self._line = 0
        self._providers: list[str] = []
        self._agents: list[str] = []
        self._is_open = False

    def read(self, native: str, traces: list[Trace], spans: dict[str, list[Span]]) -> Parsed:
        for trace in traces:
            self._take_trace(trace)
        # Last of all: a span may end long after later ones began.
        self._reader.bounds.note(moment(max((trace.end for trace in traces), default=0)))
        metadata = _facts(spans)
        metadata["agentName"] = metadata.get("agentName") or (self._agents[0] if self._agents else "")
        metadata["agents"] = self._agents if len(self._agents) > 1 else []
        metadata["providers"] = self._providers
        metadata["traces"] = len(traces)
        metadata["otherSpans"] = sum(trace.others for trace in traces) or None
        if self._is_open and self._reader.last in (LastSeen.ANSWER, LastSeen.RESULT):
            self._reader.last = LastSeen.WORK
        return self._reader.finish(label(native), metadata, SkippedLines(), self._line)

    def _next(self, start: int) -> datetime | None:
        self._line += 1
        return self._reader.at(self._line, moment(start))

    def _take_trace(self, trace: Trace) -> None:
        """The prompts, turns and calls of a trace in the order of time."""
        is_task = trace.top is not None and names.OWN_TASK in trace.top.attributes
        if not (trace.prompts or trace.turns or trace.calls or is_task):
            return
        self._is_open = False
        parts: list[tuple[int, int, str, Span | Turn | Call]] = []
        parts += [(span.start, 0, span.id, span) for span in trace.prompts]
        parts += [(turn.span.start, 1, turn.span.id, turn) for turn in trace.turns]
        # A call comes after the turn that asked for it, whatever its clock says.
        for call in trace.calls:
            start = call.span.start if call.span is not None else (call.turn.span.start if call.turn else 0)
            after = call.turn.span.start if call.turn is not None else 0
            parts.append((max(start, after), 2, call.key, call))
        if not trace.prompts:
            self._begin_task(trace, min((part[:3] for part in parts), default=(trace.start,))[0])
        steps: dict[str, StepDraft] = {}
        is_first = True
        for start, _, _, part in sorted(parts, key=lambda part: part[:3]):
            if isinstance(part, Turn):
                steps[part.span.id] = self._take_turn(part, is_first=is_first and not trace.prompts)
                is_first = False
            elif isinstance(part, Call):
                self._take_call(part, steps, start)
            else:
                self._take_prompt(part)
        self._end_trace(trace)

    def _begin_task(self, trace: Trace, start: int) -> None:
        prompt = next((found for turn in trace.turns[:1] if (found := last_prompt(given_to(turn.span)))), "")
        prompt = prompt or (asked_of(trace.top) if trace.top is not None else "")
        at = self._next(start)
        self._reader.because("the first prompt of a trace" if prompt.strip() else "a trace without a prompt")
        key = f"trace:{trace.id}"
        if prompt.strip():
            task = self._reader.begin_task(key, prompt, at, self._line)
        else:
            named = trace.top.name if trace.top is not None else "(a run without a prompt)"
            task = self._reader.run.begin_task(key, label(named) or "(unnamed)", at, self._line, implicit=True)
        if task is not None and trace.top is not None:
            task.artifacts += own_artifacts(trace.top, at)
            more = extra(trace.top.attributes)
            if more:
                task.metadata["attributes"] = storable(more, dirty=True)

    def _take_prompt(self, span: Span) -> None:
        at = self._next(span.start)
        self._reader.because(*evidence(span.name, span.attributes))
        prompt = plain_text(span.attributes.get("prompt"))
        if not prompt.strip():
            count = first_count(span.attributes, ("prompt_length",))
            prompt = f"[a prompt of {count} characters that was not sent]"
        self._reader.begin_task(f"prompt:{span.id}", prompt, at, self._line)

    def _take_turn(self, turn: Turn, *, is_first: bool) -> StepDraft:
        reader, span = self._reader, turn.span
        at = self._next(span.start)
        attributes = span.attributes
        reader.because(*evidence(span.name, attributes))
        step = reader.begin_step(f"span:{span.trace}:{span.id}", at, self._line, label(first(attributes, names.MODEL)))
        self._note_names(step, turn)
        if not is_first:
            self._add_prompt(step, turn, at)
        ended = moment(span.end) or at
        for message in turn.said:
            reader.run.reason(step, message.reasoning, ended)
            reader.say(step, message.text, ended)
        step.artifacts += own_artifacts(span, ended)
        if span.status == 2:
            step.metadata["error"] = label(_error_of(span), 1_000) or "failed"
        if not span.end:
            self._is_open = True
        self._note_usage(step, span)
        found = extra(attributes)
        if found:
            step.metadata["attributes"] = storable(found, dirty=True)
        step.name = step.name or ("" if turn.requests else label(span.name))
        return step

    def _note_names(self, step: StepDraft, turn: Turn) -> None:
        provider = label(first(turn.span.attributes, names.PROVIDER))
        if provider and provider not in self._providers and len(self._providers) < 20:
            self._providers.append(provider)
        agent = label(turn.agent)
        if agent:
            step.metadata["agent"] = agent
            if agent not in self._agents and len(self._agents) < 50:
                self._agents.append(agent)

    def _add_prompt(self, step: StepDraft, turn: Turn, at: datetime | None) -> None:
        """What the model was asked in this turn, where that is neither the task's prompt nor a result of a call."""
        given = given_to(turn.span)
        last = given[-1] if given else None
        if last is not None and last.role == "user" and last.text.strip() and not last.results:
            content = to_bytes(last.text)
            draft = ArtifactDraft("prompt", ArtifactType.USER_PROMPT, "prompt", content, "text/markdown", at)
            step.artifacts.append(draft)

    def _note_usage(self, step: StepDraft, span: Span) -> None:
        attributes = span.attributes
        given = first_count(attributes, names.INPUT_TOKENS)
        said = first_count(attributes, names.OUTPUT_TOKENS)
        read = first_count(attributes, names.CACHE_READ)
        written = first_count(attributes, names.CACHE_WRITE)
        if not (given or said or read or written):
            return
        # Claude Code's own events count what came from the cache beside the input, all conventions within it.
        fresh = given if "input_tokens" in attributes else max(given - read - written, 0)
        self._reader.note_usage(step, Tokens(fresh, said, read, written), first_amount(attributes, names.COST))

    def _take_call(self, call: Call, steps: dict[str, StepDraft], start: int) -> None:
        reader, span = self._reader, call.span
        at = self._next(start)
        if span is not None:
            reader.because(*evidence(span.name, span.attributes))
        else:
            reader.because("a message of the model asks for it; it has no span")
        step = steps.get(call.turn.span.id) if call.turn is not None else None
        if step is None:
            step = reader.begin_step(f"call:{call.key}", at, self._line)
        attributes = span.attributes if span is not None else {}
        asked = call.request.arguments if call.request is not None else None
        given = value_in(first(attributes, names.ARGUMENTS)) if span is not None else None
        parameters = storable(given if given is not None else asked, dirty=True)
        name = label(call.name) or "(unnamed tool)"
        draft = reader.run.call(step, call.key, name, {} if parameters is None else parameters, at)
        step.name = step.name or name
        reader.last = LastSeen.CALL
        if span is None:
            if call.result is not None:
                self._complete(draft, call.result, moment(call.result_at) or at, "")
            return
        found = extra(attributes)
        if found:
            draft.facts["attributes"] = storable(found, dirty=True)
        if not span.end:
            self._is_open = True
            return
        if span.end > span.start > 0:
            draft.facts["durationMs"] = (span.end - span.start) // 1_000_000
        result = plain_text(first(attributes, names.RESULT)) or (call.result or "")
        ended = moment(span.end) or at
        self._complete(draft, result, ended, _error_of(span) or "failed" if span.status == 2 else "")
        for artifact in own_artifacts(span, ended):
            draft.add_artifact(artifact)
        if draft.error and attributes.get(names.OWN_STATE) == ToolCallState.CANCELLED.value:
            draft.complete(ToolCallState.CANCELLED, ended, draft.error)

    def _complete(self, draft: CallDraft, result: str, at: datetime | None, error: str) -> None:
        draft.complete(ToolCallState.FAILED if error else ToolCallState.SUCCEEDED, at, error or None)
        if result:
            draft.facts["characters"] = len(result)
            kind = ArtifactType.COMMAND_OUTPUT
            draft.add_artifact(
                ArtifactDraft("output", kind, f"{draft.name} output", to_bytes(result), "text/plain", at)
            )
        self._reader.last = LastSeen.RESULT

    def _end_trace(self, trace: Trace) -> None:
        """Bring the run to the state in which the outermost span leaves it, once that has ended."""
        reader = self._reader
        last = trace.top or trace.root
        if last is None or last.is_log:
            return
        if not last.end:
            self._is_open = True
        elif last.status == 2 and not self._is_open:
            reader.fail(f"error: {label(_error_of(last), 500) or 'the run failed'}", self._line)
        elif not self._is_open and not any(turn.span.id == last.id and turn.requests for turn in trace.turns):
            # Not where the outermost span is a turn that asks for calls: those are still to come.
            for call in trace.calls:
                draft = reader.run.calls.get(call.key)
                if draft is not None and draft.is_open:
                    # A call that ends the run, such as the one that gives its output, has no span and no result.
                    draft.complete(ToolCallState.SUCCEEDED, moment(last.end))
                    draft.facts["resultNotRecorded"] = True
            reader.last = LastSeen.ANSWER


def _error_of(span: Span) -> str:
    """Why a span failed: its status, its exception, or its type of error."""
    for event in span.events:
        if event.name == "exception":
            kind = first_text(event.attributes, ("exception.type",))
            said = first_text(event.attributes, ("exception.message",))
            return f"{kind}: {said}" if kind and said else kind or said or span.message
    return span.message or first_text(span.attributes, (*names.ERROR, "error.type"))


def _facts(spans: dict[str, list[Span]]) -> dict[str, Any]:
    """What the resources of the spans say of the program that made them; the earliest span counts."""
    every = [span for found in spans.values() for span in found]
    earliest = min(every, key=lambda span: (span.start, span.id))
    resource = earliest.resource
    service = label(resource.get("service.name"))
    return {
        "agentName": "" if service.startswith("unknown_service") else service,
        "agentVersion": label(resource.get("service.version")),
        "cwd": label(first(resource, ("process.working_directory", "cwd")), 1_000),
        "instrumentation": sorted({label(span.scope) for span in every if span.scope})[:20],
        "resource": {
            name: label(resource[name]) for name in _RESOURCE if isinstance(resource.get(name), str) and resource[name]
        },
    }
