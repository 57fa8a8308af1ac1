"""Reads a SWE-agent trajectory. It holds no times: a step is as long after the one before as its command took.

The times begin at the epoch, so that every machine gives the same run the same ones.
"""

from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from acode_tui.domain.clock import EPOCH
from acode_tui.domain.states import ArtifactType, ToolCallState
from acode_tui.ingest.contents import text_of
from acode_tui.ingest.counts import SkippedLines
from acode_tui.ingest.draft import ArtifactDraft, StepDraft, to_bytes
from acode_tui.ingest.finish import LastSeen
from acode_tui.ingest.format import Parsed, ReadContext
from acode_tui.ingest.records import label, number, parse_text, storable, text
from acode_tui.ingest.run_reader import RunReader
from acode_tui.ingest.usage import Tokens

SOURCE = "swe-agent"
SHELL = "bash"

_TYPES = {
    "open": ArtifactType.FILE_CONTENT,
    "goto": ArtifactType.FILE_CONTENT,
    "scroll_up": ArtifactType.FILE_CONTENT,
    "scroll_down": ArtifactType.FILE_CONTENT,
    "find_file": ArtifactType.SEARCH_RESULT,
    "search_dir": ArtifactType.SEARCH_RESULT,
    "search_file": ArtifactType.SEARCH_RESULT,
    "create": ArtifactType.FILE_WRITE,
}
"""The commands of the agent's own interface that are not changes; all other commands are the shell's."""

_COMMANDS = _TYPES.keys() | {"edit", "insert", "str_replace_editor", "submit"}

_FAILURES = ("EXECUTION TIMED OUT", "COMMAND TIMED OUT", "Your proposed edit has introduced new syntax error")
"""How an observation begins where the command failed: the format has neither a status nor an exit code."""


class Turn(NamedTuple):
    """A message of the model, its command, and what came of it. ``call`` is the tool call of newer versions."""

    thought: str
    action: str
    observation: str | None
    seconds: float
    call: dict[str, Any]
    directory: str


class SweAgentReader:
    """Reads one document."""

    def __init__(self, document: dict[str, Any], context: ReadContext) -> None:
        self._reader = RunReader(SOURCE, context)
        self._info = document["info"] if isinstance(document.get("info"), dict) else {}
        history = document["history"] if isinstance(document.get("history"), list) else []
        self._history = [found for found in history if isinstance(found, dict) and found.get("is_demo") is not True]
        self._trajectory = document["trajectory"] if isinstance(document.get("trajectory"), list) else []
        self._environment = label(document.get("environment"))

    def read(self, skipped: SkippedLines) -> Parsed:
        """The session of the document."""
        reader = self._reader
        elapsed = timedelta()
        directory = ""
        began = reader.at(1, EPOCH)
        reader.because("the last message of role=user before the first answer of the history")
        reader.begin_task("problem", self._problem(), began, 1)
        turns = list(self._turns())
        last_line = 1
        for position, turn in turns:
            last_line = line = position + 1
            reader.at(line, EPOCH + elapsed)
            elapsed += timedelta(seconds=min(max(turn.seconds, 0.0), 86_400.0) or 1.0)
            self._take(line, turn, elapsed)
            directory = turn.directory or directory
        self._end(last_line)
        metadata = {"cwd": directory, "environment": self._environment, "exitStatus": label(self._status)}
        return reader.finish(self._native_id(turns), metadata, skipped, last_line)

    @property
    def _status(self) -> str:
        return text(self._info.get("exit_status"))

    def _native_id(self, turns: list[tuple[int, Turn]]) -> str:
        # The file is named after the problem, and a problem is attempted many times.
        name = label(self._reader.context.path.name.removesuffix(".traj")) or "unnamed"
        first = turns[0][1].thought + turns[0][1].action if turns else ""
        return f"{name}:{sha256(first.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"

    def _problem(self) -> str:
        """What the model was given before its first answer: the last such message is the problem's statement."""
        given = ""
        for message in self._history:
            if message.get("role") == "assistant":
                break
            if message.get("role") == "user":
                given = text_of(message.get("content")) or given
        return given or "(no problem statement)"

    def _turns(self) -> Iterator[tuple[int, Turn]]:
        """The turns by the trajectory, with their numbers; files of demonstrations have a history alone."""
        answers = [message for message in self._history if message.get("role") == "assistant"]
        if not self._trajectory:
            yield from enumerate(self._turns_of_history(), 1)
            return
        for index, item in enumerate(self._trajectory):
            if not isinstance(item, dict):
                # A record that is lost: the others keep their numbers.
                continue
            answer = answers[index] if index < len(answers) else {}
            # Where a record of the history is lost, the answers after it are those of other turns.
            call = _call_of(answer) if answer.get("action", item.get("action")) == item.get("action") else {}
            state = item.get("state")
            if isinstance(state, str):
                state = parse_text(state)
            seconds = item.get("execution_time")
            observed = item.get("observation")
            turn = Turn(
                text(item.get("thought")) or text(item.get("response")),
                text(item.get("action")),
                None if observed is None else text_of(observed),
                seconds if isinstance(seconds, int | float) else 0.0,
                call,
                label(state.get("working_dir"), 1_000) if isinstance(state, dict) else "",
            )
            yield index + 1, turn

    def _turns_of_history(self) -> Iterator[Turn]:
        for index, message in enumerate(self._history):
            if message.get("role") != "assistant":
                continue
            after = self._history[index + 1] if index + 1 < len(self._history) else {}
            observation = text_of(after.get("content")) if after.get("role") in ("tool", "user") else None
            thought = text(message.get("thought")) or text_of(message.get("content"))
            yield Turn(thought, text(message.get("action")), observation, 0.0, _call_of(message), "")

    def _take(self, line: int, turn: Turn, ended: timedelta) -> None:
        reader = self._reader
        reader.because("an item of the trajectory, or an answer of the history")
        at = reader.bounds.current
        step = reader.begin_step(f"turn:{line - 1}", at, line)
        reader.say(step, turn.thought, at)
        if turn.action.strip():
            self._add_call(step, turn, line, ended)

    def _add_call(self, step: StepDraft, turn: Turn, line: int, ended: timedelta) -> None:
        reader = self._reader
        name = _command(turn)
        arguments = turn.call.get("arguments")
        parsed = parse_text(arguments) if isinstance(arguments, str) else None
        parameters: dict[str, Any] = {"command": turn.action}
        if isinstance(parsed, dict):
            parameters = {**parsed, "command": turn.action}
        call = reader.run.call(
            step, f"action:{line - 1}", name, storable(parameters, dirty=True), reader.bounds.current
        )
        reader.last = LastSeen.CALL
        if turn.observation is None:
            return
        at = EPOCH + ended
        failed = turn.observation.lstrip().startswith(_FAILURES)
        state = ToolCallState.FAILED if failed else ToolCallState.SUCCEEDED
        call.complete(state, at, turn.observation)
        call.facts["characters"] = len(turn.observation)
        kind = ArtifactType.COMMAND_OUTPUT if failed else _TYPES.get(name, ArtifactType.COMMAND_OUTPUT)
        content = to_bytes(turn.observation)
        call.add_artifact(ArtifactDraft("result", kind, f"{name} output", content, "text/plain", at))
        reader.last = LastSeen.RESULT

    def _end(self, line: int) -> None:
        reader = self._reader
        stats = self._info["model_stats"] if isinstance(self._info.get("model_stats"), dict) else {}
        if stats:
            tokens = Tokens(number(stats.get("tokens_sent")), number(stats.get("tokens_received")))
            reader.usage.note("", tokens, _cost(stats.get("instance_cost")))
        submission = text(self._info.get("submission"))
        steps = list(reader.run.steps.values())
        if submission.strip() and steps:
            artifact = ArtifactDraft(
                "submission",
                ArtifactType.FILE_DIFF,
                "submission",
                to_bytes(submission),
                "text/x-diff",
                reader.bounds.current,
            )
            steps[-1].artifacts.append(artifact)
        if self._status.startswith("submitted"):
            reader.last = LastSeen.ANSWER
            if self._status != "submitted":
                reader.timeline.note(f"ended: {self._status}", line)
        elif self._status:
            reader.fail(f"ended: {self._status}", line)


def _command(turn: Turn) -> str:
    """The tool's name: that of the tool call, else the command of the agent's own interface, else the shell's."""
    given = label(turn.call.get("name"))
    if given:
        return given
    word = turn.action.split(maxsplit=1)[0]
    return word if word in _COMMANDS else SHELL


def _call_of(message: dict[str, Any]) -> dict[str, Any]:
    calls = message.get("tool_calls")
    first = calls[0] if isinstance(calls, list) and calls else None
    function = first.get("function") if isinstance(first, dict) else None
    return function if isinstance(function, dict) else {}


def _cost(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value >= 0 else None
