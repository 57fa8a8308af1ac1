"""A run under construction: what the format modules write into, line by line, and ``graph`` turns into entities.

Keys are native ids. Orders follow the file, so reading a longer version of the same file only ever adds to
what a shorter one gave.
"""

from datetime import datetime
from typing import Any, NamedTuple

from acode_tui.domain.states import ArtifactType, ToolCallState
from acode_tui.domain.synthetic_calls import PROMPT, RESPONSE, UNCLAIMED_RESULT
from acode_tui.domain.validation import MAX_DESCRIPTION_CHARS, escape

MAX_TITLE_CHARS = 200


class ArtifactDraft(NamedTuple):
    """``label`` tells apart the artifacts of one call; the content's hash does the rest."""

    label: str
    type: ArtifactType
    name: str
    content: bytes
    content_type: str
    at: datetime | None


class CallDraft:
    """A tool call. ``done_at`` is the line's time that brought its result."""

    __slots__ = ("artifacts", "at", "carrier", "done_at", "error", "facts", "key", "name", "parameters", "state")

    def __init__(self, key: str, name: str, parameters: Any, at: datetime | None, *, carrier: bool = False) -> None:
        self.key = key
        self.name = name
        self.parameters = parameters
        self.at = at
        self.carrier = carrier
        self.state = ToolCallState.SUCCEEDED if carrier else ToolCallState.EXECUTING
        self.done_at = at if carrier else None
        self.error: str | None = None
        self.facts: dict[str, Any] = {}
        self.artifacts: list[ArtifactDraft] = []

    def settle(self, state: ToolCallState, at: datetime | None, error: str | None = None) -> None:
        """A result arrived, however late: it replaces what was known."""
        self.state = state
        self.done_at = at
        self.error = error if state is not ToolCallState.SUCCEEDED else None


class StepDraft:
    __slots__ = ("at", "calls", "key", "metadata", "name", "response")

    def __init__(self, key: str, at: datetime | None) -> None:
        self.key = key
        self.at = at
        self.name = ""
        self.calls: list[CallDraft] = []
        self.metadata: dict[str, Any] = {}
        self.response: CallDraft | None = None


class TaskDraft:
    """What was asked for: ``asked``, where a program has put words of its own before it.

    ``long_prompt`` is the whole prompt where the description holds only its beginning.
    """

    __slots__ = ("at", "description", "failure", "implicit", "key", "line", "long_prompt", "steps", "title")

    def __init__(
        self, key: str, prompt: str, at: datetime | None, line: int, *, asked: str = "", implicit: bool = False
    ) -> None:
        self.key = key
        self.at = at
        self.line = line
        self.implicit = implicit
        self.title = shorten(one_line(asked or prompt), MAX_TITLE_CHARS)
        self.description = shorten(prompt)
        self.long_prompt = prompt if len(prompt) > MAX_DESCRIPTION_CHARS else None
        self.steps: list[StepDraft] = []
        self.failure: str | None = None


class RunDraft:
    """One session being read: its tasks, and where the next step, call or result belongs."""

    def __init__(self) -> None:
        self.tasks: list[TaskDraft] = []
        self.steps: dict[str, StepDraft] = {}
        self.calls: dict[str, CallDraft] = {}
        self.owner: dict[str, StepDraft] = {}
        self.orphans: dict[str, CallDraft] = {}

    @property
    def task(self) -> TaskDraft | None:
        return self.tasks[-1] if self.tasks else None

    def begin_task(
        self, key: str, prompt: str, at: datetime | None, line: int, *, asked: str = "", implicit: bool = False
    ) -> TaskDraft:
        task = TaskDraft(key, prompt, at, line, asked=asked, implicit=implicit)
        self.tasks.append(task)
        return task

    def begin_step(self, key: str, at: datetime | None, line: int) -> StepDraft:
        """A new step of the present task; work before any prompt goes to an implicit task."""
        task = self.task or self.begin_task("implicit", "(before the first prompt)", at, line, implicit=True)
        step = StepDraft(key, at)
        if task.long_prompt is not None and not task.steps:
            step.calls.append(prompt_carrier(task))
        task.steps.append(step)
        task.failure = None
        self.steps[key] = step
        return step

    def respond(self, step: StepDraft, text: str, at: datetime | None, *, name: str = "response") -> None:
        """A piece of the model's own text, as an artifact under the step's one carrier."""
        carrier = step.response
        if carrier is None:
            carrier = CallDraft(RESPONSE, RESPONSE, {"carrier": True}, at, carrier=True)
            step.response = carrier
            step.calls.append(carrier)
        elif not text.strip():
            return
        count = len(carrier.artifacts)
        title = name if count == 0 else f"{name} {count + 1}"
        carrier.artifacts.append(
            ArtifactDraft(str(count), ArtifactType.MODEL_RESPONSE, title, to_bytes(text), "text/markdown", at)
        )
        if not step.name:
            step.name = shorten(one_line(text), MAX_TITLE_CHARS)

    def call(self, step: StepDraft, key: str, name: str, parameters: Any, at: datetime | None) -> CallDraft:
        """A call, once an id; a result that came before it is handed over."""
        known = self.calls.get(key)
        if known is not None:
            return known
        call = CallDraft(key, name, parameters, at)
        orphan = self.orphans.pop(key, None)
        if orphan is not None:
            self.owner[key].calls.remove(orphan)
            call.settle(orphan.state, orphan.done_at, orphan.error)
            call.artifacts = orphan.artifacts
            call.facts = orphan.facts
        self.calls[key] = call
        self.owner[key] = step
        step.calls.append(call)
        return call

    def result_of(self, key: str, at: datetime | None, line: int) -> CallDraft:
        """The call that a result belongs to, or a carrier where the file does not hold that call."""
        call = self.calls.get(key) or self.orphans.get(key)
        if call is None:
            steps = self.task.steps if self.task else []
            step = steps[-1] if steps else self.begin_step(f"unclaimed:{key}", at, line)
            call = CallDraft(key, UNCLAIMED_RESULT, {"carrier": True, "callId": escape(key[:200])}, at, carrier=True)
            step.calls.append(call)
            self.orphans[key] = call
            self.owner[key] = step
        return call

    def interrupt(self, reason: str = "interrupted") -> None:
        """The present task was broken off."""
        if self.task is not None:
            self.task.failure = reason


def prompt_carrier(task: TaskDraft) -> CallDraft:
    """The carrier of a prompt that is longer than a description."""
    assert task.long_prompt is not None
    carrier = CallDraft(PROMPT, PROMPT, {"carrier": True}, task.at, carrier=True)
    content = to_bytes(task.long_prompt)
    carrier.artifacts.append(ArtifactDraft("0", ArtifactType.FILE_CONTENT, "prompt", content, "text/markdown", task.at))
    return carrier


def to_bytes(text: str) -> bytes:
    """An artifact's bytes: UTF-8, lone surrogates kept by their own three bytes (``surrogatepass``)."""
    return text.encode("utf-8", "surrogatepass")


def one_line(text: str) -> str:
    """The first line that says something."""
    line = text[: 4 * MAX_DESCRIPTION_CHARS].lstrip().partition("\n")[0]
    if line.isprintable() and "  " not in line:
        # The only blanks are single spaces: most lines, and looking is quicker than taking them apart.
        return line.rstrip()
    return " ".join(line.split())


def shorten(text: str, limit: int = MAX_DESCRIPTION_CHARS) -> str:
    """Storable text of at most ``limit`` characters, with an ellipsis where something was left off."""
    kept = escape(text[: limit + 1])
    if len(kept) <= limit:
        return kept
    cut = kept[: limit - 1]
    # An escape is five characters; half of one could not be had back.
    mark = cut.rfind("\ue000", len(cut) - 4)
    return (cut[:mark] if mark >= 0 else cut) + "…"
