"""A run under construction: the readers write into it line by line, and ``graph`` turns it into entities.

Keys are native ids. Orders follow the file, so a longer version of a file only adds to what a shorter one gave.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from acode_tui.domain.states import ArtifactType, ToolCallState
from acode_tui.domain.validation import MAX_DESCRIPTION_CHARS, escape
from acode_tui.ingest.counts import Counts
from acode_tui.ingest.observe import observer

# Bound once: until Python 3.12, finding a member in its enum takes longer than most of what is done with it.
_EXECUTING, _SUCCEEDED = ToolCallState.EXECUTING, ToolCallState.SUCCEEDED
_RESPONSE, _REASONING = ArtifactType.MODEL_RESPONSE, ArtifactType.REASONING

MAX_TITLE_CHARS = 200
MAX_EVENT_TEXT = 500
"""A text of more characters is kept whole beside the event that begins with it."""
MISSING_CALL = "missing call"
"""The name by which the artifacts of a result are called whose own call is not in the file."""


class NeedsWholeFileError(Exception):
    """The lines after those of an earlier import cannot be read without them."""


class ArtifactDraft(msgspec.Struct, frozen=True, gc=False):
    """``label`` distinguishes the artifacts of one task, step or call that have the same content."""

    label: str
    type: ArtifactType
    name: str
    content: bytes
    content_type: str
    at: datetime | None


class CallDraft:
    """A tool call. ``done_at`` is the time of the line that held its result; ``key`` is its native id."""

    __slots__ = (
        "artifacts",
        "at",
        "done_at",
        "error",
        "facts",
        "is_stored",
        "key",
        "name",
        "order",
        "parameters",
        "state",
    )

    def __init__(self, key: str, name: str, parameters: Any, at: datetime | None, order: int) -> None:
        self.order = order
        self.is_stored = False
        self.key = key
        self.name = name
        self.parameters = parameters
        self.at = at
        self.state = _EXECUTING
        self.done_at: datetime | None = None
        self.error: str | None = None
        self.facts: dict[str, Any] = {}
        self.artifacts: list[ArtifactDraft] = []

    @property
    def is_open(self) -> bool:
        """Whether no result has arrived yet."""
        return self.state is _EXECUTING

    def complete(self, state: ToolCallState, at: datetime | None, error: str | None = None) -> None:
        """Note the result. A later result replaces an earlier one."""
        self.state = state
        self.done_at = at
        self.error = error if state is not _SUCCEEDED else None

    def add_artifact(self, artifact: ArtifactDraft) -> None:
        """Add an artifact; a repeated one adds nothing."""
        if artifact not in self.artifacts:
            self.artifacts.append(artifact)


class UnclaimedResult(CallDraft):
    """A result that arrives before its call, or without one: what a call would hold, but no call.

    Its artifacts are those of the step where it arrives, until the call follows and takes everything over. An import
    of the lines up to there has stored them with the step by then, where they stay: artifacts are immutable.
    """

    __slots__ = ("step",)

    def __init__(self, key: str, step: "StepDraft", at: datetime | None) -> None:
        super().__init__(key, MISSING_CALL, None, at, 0)
        self.step = step
        step.unclaimed[key] = self

    def add_artifact(self, artifact: ArtifactDraft) -> None:
        if artifact not in self.artifacts:
            self.artifacts.append(artifact)
            self.step.artifacts.append(self._in_step(artifact))

    def give_to(self, call: CallDraft) -> None:
        """Leave everything to the call. Raises NeedsWholeFileError where an earlier import read the artifacts."""
        if self.is_stored:
            raise NeedsWholeFileError
        call.complete(self.state, self.done_at, self.error)
        call.facts = self.facts
        del self.step.unclaimed[self.key]
        for artifact in self.artifacts:
            self.step.artifacts.remove(self._in_step(artifact))
            name = artifact.name
            if name.startswith(MISSING_CALL):
                name = call.name + name.removeprefix(MISSING_CALL)
            call.artifacts.append(msgspec.structs.replace(artifact, name=name))

    def _in_step(self, artifact: ArtifactDraft) -> ArtifactDraft:
        return msgspec.structs.replace(artifact, label=f"{artifact.label} of {self.key}")


class ImageDraft(NamedTuple):
    """An image of a prompt or of a message. ``content`` is empty where the transcript only names it."""

    name: str
    content: bytes
    content_type: str


class StepDraft:
    """A step. Its own artifacts are the model's own words, and the results that no call claims.

    ``unclaimed`` holds those results by their call's native id; ``texts`` and ``reasonings`` count the pieces of text
    and of reasoning; ``followed`` says that another step of the task came after it, at ``followed_at``. ``calls`` and
    ``artifacts`` are those of the lines read this time; ``states``, ``has_artifacts`` and ``cut_off`` speak for those
    of an earlier import. ``updated_at`` is the latest stamp of what is settled, in either; a call without a result has
    one that may still change.
    """

    __slots__ = (
        "artifacts",
        "at",
        "call_count",
        "calls",
        "cut_off",
        "followed",
        "followed_at",
        "has_artifacts",
        "is_stored",
        "key",
        "metadata",
        "name",
        "order",
        "reasonings",
        "states",
        "texts",
        "unclaimed",
        "updated_at",
    )

    def __init__(self, key: str, at: datetime | None, order: int) -> None:
        self.key = key
        self.at = at
        self.order = order
        self.name = ""
        self.artifacts: list[ArtifactDraft] = []
        self.calls: list[CallDraft] = []
        self.call_count = 0
        self.metadata: dict[str, Any] = {}
        self.texts = 0
        self.reasonings = 0
        self.unclaimed: dict[str, UnclaimedResult] = {}
        self.followed = False
        self.followed_at: datetime | None = None
        self.is_stored = False
        self.states: list[ToolCallState] = []
        self.has_artifacts = False
        self.cut_off: list[dict[str, Any]] = []
        self.updated_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether a result may still come for one of its calls, or a call for one of its results."""
        return bool(self.unclaimed) or any(call.is_open for call in self.calls)


class TaskDraft:
    """A task. Its title is the first line of ``request``, where a program has put text of its own before that.

    ``artifacts`` holds the whole prompt and its images; ``superseded`` says that the user went back to before it.
    ``steps`` are those that the
    lines read this time belong to, of ``step_count``; ``updated_at`` is the latest stamp of the others.
    """

    __slots__ = (
        "artifacts",
        "at",
        "cut_off",
        "description",
        "failure",
        "followed",
        "followed_at",
        "implicit",
        "is_stored",
        "key",
        "line",
        "metadata",
        "order",
        "step_count",
        "steps",
        "superseded",
        "title",
        "updated_at",
    )

    def __init__(
        self,
        key: str,
        prompt: str,
        at: datetime | None,
        line: int,
        order: int,
        *,
        request: str = "",
        implicit: bool = False,
    ) -> None:
        self.key = key
        self.at = at
        self.line = line
        self.order = order
        self.implicit = implicit
        self.title = shorten(one_line(request or prompt), MAX_TITLE_CHARS)
        self.description = shorten(prompt)
        self.metadata: dict[str, Any] = {}
        self.artifacts: list[ArtifactDraft] = []
        if not implicit:
            content = to_bytes(prompt)
            self.artifacts.append(
                ArtifactDraft("prompt", ArtifactType.USER_PROMPT, "prompt", content, "text/markdown", at)
            )
        self.steps: list[StepDraft] = []
        self.step_count = 0
        self.failure: str | None = None
        self.superseded = False
        self.followed = False
        self.followed_at: datetime | None = None
        self.is_stored = False
        self.cut_off: list[dict[str, Any]] = []
        self.updated_at: datetime | None = None


class RunDraft:
    """One session under construction: its tasks, and where the next step, call or result belongs.

    A resumed run begins with what ``resume`` has kept of the lines before. ``task_count`` and ``step_count`` count
    everything that was begun; ``description`` is that of the first task that has one; the times are the session's.
    ``marks`` is metadata of every task and step that begins from now on.
    """

    def __init__(self) -> None:
        self.tasks: list[TaskDraft] = []
        self.steps: dict[str, StepDraft] = {}
        self.calls: dict[str, CallDraft] = {}
        self.unclaimed: dict[str, UnclaimedResult] = {}
        self.task_count = 0
        self.step_count = 0
        self.counts = Counts()
        self.description = ""
        self.created_at: datetime | None = None
        self.updated_at: datetime | None = None
        self.is_resumed = False
        self.marks: dict[str, Any] = {}
        if (watching := observer()) is not None:
            watching.begin_run(self)

    @property
    def task(self) -> TaskDraft | None:
        return self.tasks[-1] if self.tasks else None

    def begin_task(
        self, key: str, prompt: str, at: datetime | None, line: int, *, request: str = "", implicit: bool = False
    ) -> TaskDraft:
        before = self.task
        if before is not None:
            before.followed, before.followed_at = True, at
        task = TaskDraft(key, prompt, at, line, self.task_count, request=request, implicit=implicit)
        if self.marks:
            task.metadata.update(self.marks)
        self.tasks.append(task)
        self.task_count += 1
        self.counts.tasks += not implicit
        if not implicit and not self.description and task.description.strip():
            self.description = task.description
        return task

    def begin_step(self, key: str, at: datetime | None, line: int) -> StepDraft:
        """Begin a step of the current task. Work before any prompt goes to an implicit task."""
        if not self.tasks:
            self.begin_task("implicit", "(before the first prompt)", at, line, implicit=True)
        task = self.tasks[-1]
        if task.steps:
            before = task.steps[-1]
            before.followed, before.followed_at = True, at
        step = StepDraft(key, at, task.step_count)
        if self.marks:
            step.metadata.update(self.marks)
        task.steps.append(step)
        task.step_count += 1
        task.failure = None
        self.steps[key] = step
        self.step_count += 1
        self.counts.steps += 1
        return step

    def respond(self, step: StepDraft, text: str, at: datetime | None, *, name: str = "response") -> None:
        """Add a piece of the model's own text to its step. A blank one is kept only where it is the first."""
        if step.texts and not text.strip():
            return
        count = step.texts
        step.texts += 1
        title = name if count == 0 else f"{name} {count + 1}"
        step.artifacts.append(ArtifactDraft(str(count), _RESPONSE, title, to_bytes(text), "text/markdown", at))
        if not step.name:
            step.name = shorten(one_line(text), MAX_TITLE_CHARS)

    def reason(self, step: StepDraft, text: str, at: datetime | None) -> None:
        """Add a piece of the model's reasoning to its step. A blank one adds nothing."""
        if not text.strip():
            return
        count = step.reasonings
        step.reasonings += 1
        name = "reasoning" if count == 0 else f"reasoning {count + 1}"
        label = f"reasoning {count}"
        step.artifacts.append(ArtifactDraft(label, _REASONING, name, to_bytes(text), "text/markdown", at))

    def call(self, step: StepDraft, key: str, name: str, parameters: Any, at: datetime | None) -> CallDraft:
        """Add a call, once per id. It takes over a result that came before it."""
        known = self.calls.get(key)
        if known is not None:
            return known
        call = CallDraft(key, name, parameters, at, step.call_count)
        result = self.unclaimed.pop(key, None)
        if result is not None:
            result.give_to(call)
        self.calls[key] = call
        step.calls.append(call)
        step.call_count += 1
        self.counts.tool_calls += 1
        return call

    def result_of(self, key: str, at: datetime | None, line: int) -> CallDraft:
        """What a result is attached to: its call, or what stands for it where the file does not hold that call."""
        call = self.calls.get(key)
        if call is not None:
            return call
        result = self.unclaimed.get(key)
        if result is not None:
            if result.is_stored:
                raise NeedsWholeFileError
            return result
        if self.task is not None and self.task.steps:
            step = self.task.steps[-1]
        else:
            step = self.begin_step(f"unclaimed:{key}", at, line)
            step.name = "(result)"
            self.counts.steps -= 1
        result = UnclaimedResult(key, step, at)
        self.unclaimed[key] = result
        return result

    def new_rows(self) -> Iterator[tuple[str, str]]:
        """The kind and the key of each task, step and call that no earlier import has read."""
        for task in self.tasks:
            if not task.is_stored:
                yield "task", task.key
            for step in task.steps:
                if not step.is_stored:
                    yield "step", step.key
        for calls in (self.calls, self.unclaimed):
            for key, call in calls.items():
                if not call.is_stored:
                    yield "call", key

    def add_images(self, task: TaskDraft, images: Iterable[ImageDraft], at: datetime | None) -> None:
        """Add the images of a prompt to its task."""
        for image in images:
            count = len(task.artifacts)
            task.artifacts.append(
                ArtifactDraft(f"image {count}", ArtifactType.IMAGE, image.name, image.content, image.content_type, at)
            )

    def keep_text(self, name: str, content: str, line: int, at: datetime | None) -> None:
        """Keep a text of an event whole, with the current task, where the event's reason cannot hold it."""
        if self.task is not None and len(content) > MAX_EVENT_TEXT:
            draft = ArtifactDraft(f"note {line}", _RESPONSE, name, to_bytes(content), "text/markdown", at)
            self.task.artifacts.append(draft)

    def supersede(self, count: int) -> list[TaskDraft]:
        """Mark the latest ``count`` tasks that are not yet so as superseded: the user went back to before them.

        Raises NeedsWholeFileError where one of them is known from an earlier import alone.
        """
        found = [task for task in reversed(self.tasks) if not task.implicit and not task.superseded][: max(count, 0)]
        if len(found) < count and self.is_resumed:
            raise NeedsWholeFileError
        for task in found:
            task.superseded = True
        return found

    def interrupt(self, reason: str = "interrupted") -> None:
        """Mark the current task as broken off."""
        if self.task is not None:
            self.task.failure = reason


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
