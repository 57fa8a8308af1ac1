"""A run under construction: the readers write into it line by line, and ``graph`` turns it into entities.

Keys are native ids. Orders follow the file, so a longer version of a file only adds to what a shorter one gave.
"""

from datetime import datetime
from typing import Any, NamedTuple

from acode_tui.domain.states import ArtifactType, ToolCallState
from acode_tui.domain.synthetic_calls import PROMPT, RESPONSE, UNCLAIMED_RESULT
from acode_tui.domain.validation import MAX_DESCRIPTION_CHARS, escape

MAX_TITLE_CHARS = 200


class ArtifactDraft(NamedTuple):
    """``label`` distinguishes the artifacts of one call that have the same content."""

    label: str
    type: ArtifactType
    name: str
    content: bytes
    content_type: str
    at: datetime | None


class CallDraft:
    """A tool call. ``done_at`` is the time of the line that held its result; ``key`` is its native id.

    ``synthetic``: no tool was called, the call only holds an artifact (see ``domain.synthetic_calls``).
    """

    __slots__ = ("artifacts", "at", "done_at", "error", "facts", "key", "name", "parameters", "state", "synthetic")

    def __init__(self, key: str, name: str, parameters: Any, at: datetime | None, *, synthetic: bool = False) -> None:
        self.key = key
        self.name = name
        self.parameters = parameters
        self.at = at
        self.synthetic = synthetic
        self.state = ToolCallState.SUCCEEDED if synthetic else ToolCallState.EXECUTING
        self.done_at = at if synthetic else None
        self.error: str | None = None
        self.facts: dict[str, Any] = {}
        self.artifacts: list[ArtifactDraft] = []

    def complete(self, state: ToolCallState, at: datetime | None, error: str | None = None) -> None:
        """Note the result. A later result replaces an earlier one."""
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
    """A task. Its title is the first line of ``request``, where a program has put text of its own before that.

    ``long_prompt`` is the whole prompt where the description holds only its beginning.
    """

    __slots__ = ("at", "description", "failure", "implicit", "key", "line", "long_prompt", "steps", "title")

    def __init__(
        self, key: str, prompt: str, at: datetime | None, line: int, *, request: str = "", implicit: bool = False
    ) -> None:
        self.key = key
        self.at = at
        self.line = line
        self.implicit = implicit
        self.title = shorten(one_line(request or prompt), MAX_TITLE_CHARS)
        self.description = shorten(prompt)
        self.long_prompt = prompt if len(prompt) > MAX_DESCRIPTION_CHARS else None
        self.steps: list[StepDraft] = []
        self.failure: str | None = None


class RunDraft:
    """One session under construction: its tasks, and where the next step, call or result belongs."""

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
        self, key: str, prompt: str, at: datetime | None, line: int, *, request: str = "", implicit: bool = False
    ) -> TaskDraft:
        task = TaskDraft(key, prompt, at, line, request=request, implicit=implicit)
        self.tasks.append(task)
        return task

    def begin_step(self, key: str, at: datetime | None, line: int) -> StepDraft:
        """Begin a step of the current task. Work before any prompt goes to an implicit task."""
        task = self.task or self.begin_task("implicit", "(before the first prompt)", at, line, implicit=True)
        step = StepDraft(key, at)
        if task.long_prompt is not None and not task.steps:
            step.calls.append(synthetic_prompt(task))
        task.steps.append(step)
        task.failure = None
        self.steps[key] = step
        return step

    def respond(self, step: StepDraft, text: str, at: datetime | None, *, name: str = "response") -> None:
        """Add a piece of the model's own text, as an artifact of the step's synthetic call."""
        response = step.response
        if response is None:
            response = CallDraft(RESPONSE, RESPONSE, {"carrier": True}, at, synthetic=True)
            step.response = response
            step.calls.append(response)
        elif not text.strip():
            return
        count = len(response.artifacts)
        title = name if count == 0 else f"{name} {count + 1}"
        response.artifacts.append(
            ArtifactDraft(str(count), ArtifactType.MODEL_RESPONSE, title, to_bytes(text), "text/markdown", at)
        )
        if not step.name:
            step.name = shorten(one_line(text), MAX_TITLE_CHARS)

    def call(self, step: StepDraft, key: str, name: str, parameters: Any, at: datetime | None) -> CallDraft:
        """Add a call, once per id. It takes over a result that came before it."""
        known = self.calls.get(key)
        if known is not None:
            return known
        call = CallDraft(key, name, parameters, at)
        orphan = self.orphans.pop(key, None)
        if orphan is not None:
            self.owner[key].calls.remove(orphan)
            call.complete(orphan.state, orphan.done_at, orphan.error)
            call.artifacts = orphan.artifacts
            call.facts = orphan.facts
        self.calls[key] = call
        self.owner[key] = step
        step.calls.append(call)
        return call

    def result_of(self, key: str, at: datetime | None, line: int) -> CallDraft:
        """The call that a result belongs to, or a synthetic one where the file does not hold that call."""
        call = self.calls.get(key) or self.orphans.get(key)
        if call is None:
            steps = self.task.steps if self.task else []
            step = steps[-1] if steps else self.begin_step(f"unclaimed:{key}", at, line)
            call = CallDraft(key, UNCLAIMED_RESULT, {"carrier": True, "callId": escape(key[:200])}, at, synthetic=True)
            step.calls.append(call)
            self.orphans[key] = call
            self.owner[key] = step
        return call

    def interrupt(self, reason: str = "interrupted") -> None:
        """Mark the current task as broken off."""
        if self.task is not None:
            self.task.failure = reason


def synthetic_prompt(task: TaskDraft) -> CallDraft:
    """The synthetic call that holds a prompt longer than a description."""
    assert task.long_prompt is not None
    call = CallDraft(PROMPT, PROMPT, {"carrier": True}, task.at, synthetic=True)
    content = to_bytes(task.long_prompt)
    call.artifacts.append(ArtifactDraft("0", ArtifactType.FILE_CONTENT, "prompt", content, "text/markdown", task.at))
    return call


def to_bytes(text: str) -> bytes:
    """An artifact's bytes: UTF-8, each lone surrogate as its own three bytes (``surrogatepass``)."""
    return text.encode("utf-8", "surrogatepass")


def one_line(text: str) -> str:
    """The first line that is not blank, its whitespace collapsed."""
    line = text[: 4 * MAX_DESCRIPTION_CHARS].lstrip().partition("\n")[0]
    if line.isprintable() and "  " not in line:
        # It has no whitespace but single spaces, as most lines; checking that is faster than splitting the line.
        return line.rstrip()
    return " ".join(line.split())


def shorten(text: str, limit: int = MAX_DESCRIPTION_CHARS) -> str:
    """Storable text of at most ``limit`` characters; an ellipsis replaces what was cut off."""
    kept = escape(text[: limit + 1])
    if len(kept) <= limit:
        return kept
    cut = kept[: limit - 1]
    # An escape is five characters, and half of one could not be decoded.
    escape_at = cut.rfind("\ue000", len(cut) - 4)
    return (cut[:escape_at] if escape_at >= 0 else cut) + "…"
