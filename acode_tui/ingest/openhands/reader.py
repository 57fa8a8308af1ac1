"""Reads one conversation of OpenHands, event by event, of either generation.

Times are those of the machine's own clock, without a zone: they are taken as UTC, so that every machine reads the same.
"""

from datetime import datetime
from typing import Any

from acode_tui.domain.states import SessionState
from acode_tui.ingest.contents import image_of, text_of
from acode_tui.ingest.counts import SkippedLines
from acode_tui.ingest.draft import CallDraft, ImageDraft, StepDraft
from acode_tui.ingest.finish import LastSeen
from acode_tui.ingest.format import Parsed, ReadContext
from acode_tui.ingest.openhands.records import Record
from acode_tui.ingest.openhands.results import FINISH, Observed, complete, observed, refuse
from acode_tui.ingest.records import label, number, parse_stamp, parse_text, storable, text
from acode_tui.ingest.run_reader import RunReader
from acode_tui.ingest.usage import Tokens

SOURCE = "openhands"

_QUIET_KINDS = frozenset(
    {
        "CondensationRequest",
        "ConversationStateUpdateEvent",
        "LLMCompletionLogEvent",
        "StreamingDeltaEvent",
        "SystemPromptEvent",
        "TokenEvent",
    }
)
_NOT_CALLS = frozenset({"change_agent_state", "condensation", "condensation_request", "message", "recall", "system"})
"""Actions of the older generation that are no tool's."""
_NOT_RESULTS = frozenset({"agent_state_changed", "null", "recall"})


class OpenHandsReader:
    """Collects the events of one conversation; ``finish`` turns them into the session."""

    def __init__(self, context: ReadContext) -> None:
        self._reader = RunReader(SOURCE, context)
        self._state = Record()
        self._calls_of: dict[str, str] = {}
        self._usages: dict[str, Tokens] = {}
        self._total: Tokens | None = None
        self._cost: float | None = None
        self._status = ""

    def take(self, line: int, raw: bytes, record: Record) -> None:
        """Read one event, or the state. Nothing in it is trusted; an unknown kind is counted."""
        if record.kind is None and record.timestamp is None:
            self._reader.because("the conversation's state: tokens, cost and status")
            self._state = record
            return
        reader = self._reader
        stamp = text(record.timestamp)
        at = reader.at(line, parse_stamp(stamp) or parse_stamp(f"{stamp}Z"))
        if type(record.kind) is str:
            self._take_by_kind(line, record, at)
        elif type(record.action) is str:
            self._take_action(line, record, at)
        elif type(record.observation) is str:
            self._take_observation(line, record, at)
        else:
            reader.count_unknown(None)

    # -- the newer generation

    def _take_by_kind(self, line: int, event: Record, at: datetime | None) -> None:
        reader = self._reader
        kind = event.kind
        if kind == "MessageEvent":
            self._take_message(line, event, at)
        elif kind == "ActionEvent":
            self._add_call(line, event, at)
        elif kind == "ObservationEvent":
            self._end_call(line, event, at)
        elif kind == "AgentErrorEvent":
            complete(self._call_of(line, event, at), Observed(text(event.error), {}, failed=True), at)
            reader.last = LastSeen.RESULT
        elif kind == "UserRejectObservation":
            refuse(self._call_of(line, event, at), text(event.rejection_reason), at)
        elif kind in ("PauseEvent", "InterruptEvent"):
            reader.interrupt("paused by the user" if kind == "PauseEvent" else "interrupted by the user", line)
        elif kind == "Condensation":
            reader.note("context compacted", line, text(event.summary))
        elif kind == "ConversationErrorEvent":
            reader.fail(f"error: {text(event.detail) or text(event.error) or 'unknown'}", line)
        elif kind == "HookExecutionEvent":
            reader.note("a hook ran", line)
        elif kind not in _QUIET_KINDS:
            reader.count_unknown(kind)

    def _take_message(self, line: int, event: Record, at: datetime | None) -> None:
        reader = self._reader
        message = event.llm_message if type(event.llm_message) is dict else {}
        content = text_of(message.get("content"))
        if event.source == "user":
            parts = message["content"] if type(message.get("content")) is list else []
            addresses = [part.get("image_urls") for part in parts if type(part) is dict]
            reader.begin_task(text(event.id) or f"prompt:{line}", content, at, line, _images(addresses))
        elif event.source == "agent":
            step = self._step_of(line, event, at)
            _note_reasoning(reader, step, message.get("reasoning_content"), message.get("thinking_blocks"), at)
            reader.say(step, content, at)
        elif content.strip():
            reader.note(f"message of {label(event.source)}", line, content)

    def _step_of(self, line: int, event: Record, at: datetime | None) -> StepDraft:
        return self._reader.begin_step(text(event.llm_response_id) or text(event.id) or f"message:{line}", at, line)

    def _add_call(self, line: int, event: Record, at: datetime | None) -> None:
        reader = self._reader
        step = self._step_of(line, event, at)
        _note_reasoning(reader, step, event.reasoning_content, event.thinking_blocks, at)
        reader.say(step, text_of(event.thought), at)
        given = event.tool_call if type(event.tool_call) is dict else {}
        arguments = given.get("arguments")
        parameters = parse_text(arguments) if type(arguments) is str else arguments
        if not isinstance(parameters, dict):
            parameters = event.action if type(event.action) is dict else {"input": arguments}
        self._begin_call(step, text(event.tool_call_id) or text(event.id), event.tool_name, parameters, at)

    def _begin_call(self, step: StepDraft, key: str, name: Any, parameters: Any, at: datetime | None) -> CallDraft:
        reader = self._reader
        title = label(name) or "(unnamed tool)"
        call = reader.run.call(
            step, key or f"call:{len(reader.run.calls)}", title, storable(parameters, dirty=True), at
        )
        step.name = step.name or title
        reader.last = LastSeen.CALL
        return call

    def _call_of(self, line: int, event: Record, at: datetime | None) -> CallDraft:
        return self._reader.run.result_of(text(event.tool_call_id) or f"result:{line}", at, line)

    def _end_call(self, line: int, event: Record, at: datetime | None) -> None:
        call = self._call_of(line, event, at)
        found = observed(event.observation if type(event.observation) is dict else {})
        complete(call, found, at)
        self._reader.last = LastSeen.ANSWER if call.name == FINISH else LastSeen.RESULT

    # -- the older generation

    def _take_action(self, line: int, event: Record, at: datetime | None) -> None:
        reader = self._reader
        args = event.args if type(event.args) is dict else {}
        name = text(event.action)
        if name == "message" and event.source == "user":
            images = _images([args.get("image_urls")])
            reader.begin_task(f"event:{line}", text(args.get("content")), at, line, images)
        elif event.source != "agent":
            return
        elif name == "message":
            reader.say(self._step_of_response(line, event, at), text(args.get("content")), at)
        elif name == FINISH:
            outputs = args["outputs"] if type(args.get("outputs")) is dict else {}
            answer = text(args.get("final_thought")) or text(outputs.get("content")) or "(finished)"
            reader.say(self._step_of_response(line, event, at), answer, at)
        elif name not in _NOT_CALLS:
            step = self._step_of_response(line, event, at)
            reader.say(step, text(args.get("thought")), at)
            metadata = event.tool_call_metadata if type(event.tool_call_metadata) is dict else {}
            parameters = {key: value for key, value in args.items() if key != "thought"}
            tool = label(metadata.get("function_name")) or name
            key = f"action:{label(str(event.id))}"
            self._begin_call(step, key, tool, parameters, at).facts["action"] = label(name)

    def _step_of_response(self, line: int, event: Record, at: datetime | None) -> StepDraft:
        self._note_metrics(event)
        metadata = event.tool_call_metadata if type(event.tool_call_metadata) is dict else {}
        response = metadata["model_response"] if type(metadata.get("model_response")) is dict else {}
        key = text(response.get("id")) or f"event:{line}"
        step = self._reader.begin_step(key, at, line, label(response.get("model")))
        usage = response.get("usage")
        if type(usage) is dict:
            details = usage["prompt_tokens_details"] if type(usage.get("prompt_tokens_details")) is dict else {}
            read = number(usage.get("cache_read_input_tokens")) or number(details.get("cached_tokens"))
            write = number(usage.get("cache_creation_input_tokens"))
            self._usages[key] = _tokens(usage, read, write)
        return step

    def _take_observation(self, line: int, event: Record, at: datetime | None) -> None:
        reader = self._reader
        self._note_metrics(event)
        name = text(event.observation)
        extras = event.extras if type(event.extras) is dict else {}
        if name == "agent_state_changed":
            self._take_agent_state(line, label(extras.get("agent_state")), text(extras.get("reason")))
        if name in _NOT_RESULTS:
            return
        call = reader.run.calls.get(f"action:{label(str(event.cause))}")
        if call is None:
            # What came of something that was no call of the agent's.
            return
        complete(call, Observed(text(event.content), extras, failed=name == "error"), at)
        reader.last = LastSeen.RESULT

    def _take_agent_state(self, line: int, state: str, reason: str) -> None:
        reader = self._reader
        self._status = state
        if state == "awaiting_user_confirmation":
            reader.timeline.change_state(SessionState.AWAITING_APPROVAL, "a call needs the user's consent", line)
        elif state == "error":
            reader.fail(f"error: {reason or 'unknown'}", line)
        elif state == "paused":
            reader.interrupt("paused by the user", line)
        elif state in ("finished", "awaiting_user_input") and reader.last is LastSeen.RESULT:
            reader.last = LastSeen.ANSWER

    def _note_metrics(self, event: Record) -> None:
        metrics = event.llm_metrics if type(event.llm_metrics) is dict else {}
        usage = metrics.get("accumulated_token_usage")
        if type(usage) is dict:
            # Totals since the conversation began: the last one counts.
            self._total = _tokens(
                usage, number(usage.get("cache_read_tokens")), number(usage.get("cache_write_tokens"))
            )
            cost = metrics.get("accumulated_cost")
            self._cost = float(cost) if isinstance(cost, int | float) else self._cost

    # -- the end

    def finish(self, skipped: SkippedLines, last_line: int) -> Parsed:
        """The session of the events read."""
        reader = self._reader
        state = self._state
        self._note_state_totals()
        self._note_usage()
        status = text(state.execution_status) or self._status
        if status == "finished" and reader.last in (LastSeen.RESULT, LastSeen.WORK):
            reader.last = LastSeen.ANSWER
        elif status in ("error", "stuck") and reader.last is not LastSeen.ERROR:
            reader.fail(f"ended: {status}", last_line)
        elif status in ("waiting_for_confirmation", "awaiting_user_confirmation"):
            reader.approval_tools = frozenset(call.name for call in reader.run.calls.values() if call.is_open)
        workspace = state.workspace if type(state.workspace) is dict else {}
        agent = state.agent if type(state.agent) is dict else {}
        model = agent["llm"].get("model") if type(agent.get("llm")) is dict else None
        if label(model) and not reader.models.names:
            reader.models.names.append(label(model))
        metadata = {"cwd": label(workspace.get("working_dir"), 1_000), "status": label(status)}
        native = label(reader.context.path.name.removesuffix(".jsonl").removesuffix(".json")) or "unnamed"
        return reader.finish(native, metadata, skipped, last_line)

    def _note_state_totals(self) -> None:
        """The usage that the newer generation keeps in its state, by the parts of the program that called a model."""
        stats = self._state.stats if type(self._state.stats) is dict else {}
        metrics = stats.get("usage_to_metrics")
        total, cost = Tokens(), 0.0
        for part in metrics.values() if type(metrics) is dict else ():
            if type(part) is not dict:
                continue
            usage = part.get("accumulated_token_usage")
            if type(usage) is dict:
                found = _tokens(usage, number(usage.get("cache_read_tokens")), number(usage.get("cache_write_tokens")))
                total.add(found.input, found.output, found.cache_read, found.cache_write)
                self._total = total
            if isinstance(part.get("accumulated_cost"), int | float):
                cost += float(part["accumulated_cost"])
                self._cost = cost
            for call in part["token_usages"] if type(part.get("token_usages")) is list else ():
                if type(call) is dict and text(call.get("response_id")):
                    read, write = number(call.get("cache_read_tokens")), number(call.get("cache_write_tokens"))
                    self._usages[text(call.get("response_id"))] = _tokens(call, read, write)

    def _note_usage(self) -> None:
        """Tokens by step; what the totals have beyond them counts for the session."""
        reader = self._reader
        counted = Tokens()
        for key, tokens in self._usages.items():
            step = reader.run.steps.get(key)
            if step is not None:
                reader.note_usage(step, tokens)
                counted.add(tokens.input, tokens.output, tokens.cache_read, tokens.cache_write)
        if self._total is not None:
            total = self._total
            rest = Tokens(
                max(total.input - counted.input, 0),
                max(total.output - counted.output, 0),
                max(total.cache_read - counted.cache_read, 0),
                max(total.cache_write - counted.cache_write, 0),
            )
            reader.usage.note("", rest, self._cost)


def _tokens(usage: dict[str, Any], read: int, write: int) -> Tokens:
    """Normalised: the program's prompt includes what was read from the cache or written to it."""
    fresh = max(number(usage.get("prompt_tokens")) - read - write, 0)
    return Tokens(fresh, number(usage.get("completion_tokens")), read, write)


def _images(lists: list[Any]) -> list[ImageDraft]:
    """The images of a prompt by lists of addresses: those that hold their bytes, and the names of the others."""
    found = []
    for address in (address for each in lists if type(each) is list for address in each if text(address)):
        head, _, data = address.partition(",")
        if head.startswith("data:"):
            image = image_of(data, head.removeprefix("data:").removesuffix(";base64"))
            found.append(ImageDraft("image", image.content, image.content_type))
        else:
            found.append(ImageDraft(label(address, 255), b"", "application/octet-stream"))
    return found


def _note_reasoning(reader: RunReader, step: StepDraft, content: Any, blocks: Any, at: datetime | None) -> None:
    reasoning = text(content)
    if not reasoning and type(blocks) is list:
        found = [text(block.get("thinking")) for block in blocks if type(block) is dict]
        reasoning = "\n\n".join(piece for piece in found if piece)
    reader.run.reason(step, reasoning, at)
