"""Reads an ATIF trajectory: which of its steps are prompts, messages of the model, or none of both."""

from typing import Any

from acode_tui.domain.states import ArtifactType, ToolCallState
from acode_tui.ingest.contents import text_of
from acode_tui.ingest.counts import Counts, SkippedLines
from acode_tui.ingest.draft import ArtifactDraft, CallDraft, ImageDraft, StepDraft, to_bytes
from acode_tui.ingest.finish import LastSeen
from acode_tui.ingest.format import Parsed, ReadContext
from acode_tui.ingest.records import label, number, parse_stamp, storable, text
from acode_tui.ingest.run_reader import RunReader
from acode_tui.ingest.usage import Tokens

SOURCE = "atif"
# Bound once: until Python 3.12, finding a member in its enum takes longer than most of what is done with it.
_CALL, _RESULT = LastSeen.CALL, LastSeen.RESULT
_SUCCEEDED, _OUTPUT = ToolCallState.SUCCEEDED, ArtifactType.COMMAND_OUTPUT
MAX_NESTED = 8
"""Levels of subagents within subagents that are read."""


def read_document(document: dict[str, Any], context: ReadContext, skipped: SkippedLines) -> Parsed:
    """The sessions of a document: the trajectory, and those of its subagents that it embeds."""
    parsed: list[Parsed] = []
    _read(document, context, skipped, "", parsed, MAX_NESTED)
    whole = parsed[0]
    counts = Counts()
    for part in parsed:
        counts.add(part.counts)
    whole.counts = counts
    whole.graphs = tuple(graph for part in parsed for graph in part.graphs)
    return whole


def _read(
    document: dict[str, Any],
    context: ReadContext,
    skipped: SkippedLines,
    parent: str,
    parsed: list[Parsed],
    depth: int,
) -> None:
    native = _native_id(document, context, parent, len(parsed))
    parsed.append(AtifReader(document, context).read(native, parent, skipped))
    embedded = document.get("subagent_trajectories")
    for child in embedded if isinstance(embedded, list) and depth else ():
        if isinstance(child, dict):
            _read(child, context, SkippedLines(), native, parsed, depth - 1)


def _native_id(document: dict[str, Any], context: ReadContext, parent: str, index: int) -> str:
    # A session's id is shared by its subagents; a trajectory's id is its own.
    own = label(document.get("trajectory_id")) or (label(document.get("session_id")) if not parent else "")
    return own or (f"{parent}/{index}" if parent else label(context.path.name.partition(".")[0]) or "unnamed")


class AtifReader:
    """Reads one trajectory."""

    def __init__(self, document: dict[str, Any], context: ReadContext) -> None:
        self._document = document
        self._reader = RunReader(SOURCE, context)
        self._own_calls: dict[str, CallDraft] = {}
        """The calls of the current step by the ids that it gives them."""

    def read(self, native: str, parent: str, skipped: SkippedLines) -> Parsed:
        """The session of the trajectory."""
        document = self._document
        agent = document["agent"] if isinstance(document.get("agent"), dict) else {}
        model = label(agent.get("model_name"))
        steps = document["steps"] if isinstance(document.get("steps"), list) else []
        for position, step in enumerate(steps, 1):
            if type(step) is dict:
                self._take(position, step, model)
        if self._reader.last in (LastSeen.WORK, LastSeen.RESULT) and not self._reader.is_pending():
            # A trajectory is written when the run has ended.
            self._reader.last = LastSeen.ANSWER
        metadata: dict[str, Any] = {
            "agentName": label(agent.get("name")),
            "agentVersion": label(agent.get("version")),
            "formatVersion": label(document.get("schema_version")),
            "continuedIn": label(document.get("continued_trajectory_ref"), 1_000),
            "notes": label(document.get("notes"), 1_000),
        }
        return self._reader.finish(native, metadata, skipped, len(steps), parent=parent)

    def _take(self, line: int, step: dict[str, Any], model: str) -> None:
        reader = self._reader
        at = reader.at(line, parse_stamp(step.get("timestamp")))
        key = f"step:{number(step.get('step_id')) or line}"
        if step.get("is_copied_context") is True:
            # It repeats a step of the trajectory that this one continues, which has counted it.
            reader.because("is_copied_context=true: a step of the trajectory that this one continues")
            return
        source = step.get("source")
        reader.because("source", source)
        message = text_of(step.get("message"))
        if source == "user":
            reader.begin_task(key, message, at, line, _images(step.get("message")))
        elif source == "agent":
            self._take_message(line, key, step, message, label(step.get("model_name")) or model)
        elif source == "system":
            self._take_results(None, step)
        else:
            reader.count_unknown(source)

    def _take_message(self, line: int, key: str, step: dict[str, Any], message: str, model: str) -> None:
        reader = self._reader
        at = reader.bounds.current
        draft = reader.begin_step(key, at, line, model)
        reasoning = step.get("reasoning_content")
        if type(reasoning) is str:
            reader.run.reason(draft, reasoning, at)
        reader.say(draft, message, at)
        calls = step.get("tool_calls")
        self._own_calls = {}
        for index, given in enumerate(calls if type(calls) is list else ()):
            if type(given) is dict:
                name = text(given.get("tool_call_id"))
                self._own_calls.setdefault(name, self._add_call(draft, given, name, key, index))
        metrics = step.get("metrics")
        if type(metrics) is dict and metrics:
            cached = number(metrics.get("cached_tokens"))
            own = _own(metrics) if "extra" in metrics else None
            written = number(own.get("cache_write_tokens")) if own is not None else 0
            fresh = max(number(metrics.get("prompt_tokens")) - cached - written, 0)
            tokens = Tokens(fresh, number(metrics.get("completion_tokens")), cached, written)
            reader.note_usage(draft, tokens, metrics.get("cost_usd"))
        self._take_results(draft, step)

    def _add_call(self, draft: StepDraft, given: dict[str, Any], key: str, step: str, index: int) -> CallDraft:
        reader = self._reader
        if not key or key in reader.run.calls:
            # Ids are unique in a step, and need not be so in the trajectory.
            key = f"{step}:{index}"
        name = label(given.get("function_name")) or "(unnamed tool)"
        parameters = storable(given.get("arguments"), dirty=True)
        call = reader.run.call(draft, key, name, parameters, reader.bounds.current)
        own = _own(given) if "extra" in given else None
        if own is not None and own.get("state") in _ENDED:
            state = _ENDED[own["state"]]
            call.complete(state, reader.bounds.current, text(own.get("error")) or state.value)
        if not draft.name:
            draft.name = name
        reader.last = _CALL
        return call

    def _take_results(self, draft: StepDraft | None, step: dict[str, Any]) -> None:
        observation = step.get("observation")
        results = observation.get("results") if type(observation) is dict else None
        if type(results) is not list:
            return
        at = self._reader.bounds.current
        for index, result in enumerate(results):
            if type(result) is not dict:
                continue
            content = text_of(result.get("content"))
            call = self._call_of(draft, result)
            if call is None:
                if draft is not None and content:
                    draft.artifacts.append(_output(f"result {index}", "observation", content, at, _own(result)))
                continue
            if "subagent_trajectory_ref" in result and (child := _child_of(result)):
                call.facts["childSessionId"] = self._reader.session_id(child)
            # The format has no sign of failure: a result is what the tool returned, unless an export says more.
            if call.is_open:
                call.complete(_SUCCEEDED, at)
            own = _own(result) if "extra" in result else None
            if own is not None and own.get("is_error"):
                continue
            call.facts["characters"] = call.facts.get("characters", 0) + len(content)
            call.add_artifact(_output(f"result {index}", f"{call.name} result", content, at, own))
            if self._reader.last is _CALL:
                self._reader.last = _RESULT

    def _call_of(self, draft: StepDraft | None, result: dict[str, Any]) -> CallDraft | None:
        """The call that a result belongs to: the one that it names, else the only one of its step."""
        named = text(result.get("source_call_id"))
        calls = self._reader.run.calls
        if named and draft is not None:
            return self._own_calls.get(named) or calls.get(named)
        return draft.calls[0] if draft is not None and len(draft.calls) == 1 else calls.get(named)


def _own(part: dict[str, Any]) -> dict[str, Any] | None:
    """What an export of this program adds to a part: its states, types and names. None in a file of another program."""
    extra = part.get("extra")
    own = extra.get("acode_tui") if type(extra) is dict else None
    return own if type(own) is dict else None


def _child_of(result: dict[str, Any]) -> str:
    """The id of the trajectory of the subagent that a call started; empty where there is none."""
    given = result.get("subagent_trajectory_ref")
    child = given[0] if type(given) is list and given else given
    if type(child) is not dict:
        return ""
    return label(child.get("trajectory_id")) or label(child.get("session_id"))


_TYPES = {type.value: type for type in ArtifactType}
_ENDED = {"Failed": ToolCallState.FAILED, "Cancelled": ToolCallState.CANCELLED}


def _output(name_of: str, name: str, content: str, at: Any, own: dict[str, Any] | None) -> ArtifactDraft:
    if not own:
        return ArtifactDraft(name_of, _OUTPUT, name, to_bytes(content), "text/plain", at)
    type = _TYPES.get(text(own.get("type")), _OUTPUT)
    media = label(own.get("content_type"), 255) or "text/plain"
    return ArtifactDraft(name_of, type, label(own.get("name"), 1_000) or name, to_bytes(content), media, at)


def _images(content: Any) -> list[ImageDraft]:
    """The images of a message, by the path or the address that the format gives instead of their bytes."""
    found = []
    for part in content if isinstance(content, list) else ():
        source = part.get("source") if isinstance(part, dict) and part.get("type") == "image" else None
        if isinstance(source, dict):
            name = label(source.get("path") or source.get("url"), 255) or "image"
            found.append(ImageDraft(name, b"", label(source.get("media_type")) or "application/octet-stream"))
    return found
