"""One run as a page to read: gathered from its rows, and walked once for both kinds of page.

The size of the page is bounded for every run.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import IO, Literal, Protocol

import msgspec

from acode_tui.domain.display import clean
from acode_tui.domain.entities import Artifact, Entity, Session, SessionEvent, SessionTask, Step, ToolCall
from acode_tui.domain.quantities import duration, number, size
from acode_tui.domain.states import ArtifactType
from acode_tui.ops.export.json import About

MOST_CHARS = 60_000
"""Of one text: more does not help a reader; an export as JSON has it all."""
MOST_IMAGE_BYTES = 1_500_000
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_MOST_KEPT = 24_000_000
"""Bytes of content in a whole report; from there on artifacts are named only."""
_LANGUAGES = {
    **{"py": "python", "js": "javascript", "ts": "typescript", "rs": "rust", "go": "go", "rb": "ruby", "sh": "bash"},
    **{"json": "json", "toml": "toml", "yaml": "yaml", "yml": "yaml", "md": "markdown", "html": "html", "css": "css"},
    **{"sql": "sql", "c": "c", "h": "c", "cpp": "cpp", "java": "java", "tsx": "tsx", "jsx": "jsx", "xml": "xml"},
}


class CallNode(msgspec.Struct):
    """A tool call with its artifacts."""

    call: ToolCall
    artifacts: list[Artifact] = []


class StepNode(msgspec.Struct):
    """A step with what the model said in it, and its calls."""

    step: Step
    artifacts: list[Artifact] = []
    calls: list[CallNode] = []


class TaskNode(msgspec.Struct):
    """A task with its prompt, and its steps."""

    task: SessionTask
    artifacts: list[Artifact] = []
    steps: list[StepNode] = []


class Report(msgspec.Struct):
    """A run, ready to be rendered."""

    about: About
    session: Session
    events: list[SessionEvent] = []
    tasks: list[TaskNode] = []

    def calls(self) -> Iterator[CallNode]:
        """Every tool call, in order."""
        for task in self.tasks:
            for step in task.steps:
                yield from step.calls

    @property
    def numbers(self) -> list[tuple[str, str]]:
        """The run in numbers, by name."""
        tools = list(self.calls())
        failed = sum(node.call.state.value == "Failed" for node in tools)
        steps = [step for task in self.tasks for step in task.steps]
        held = (*(task.artifacts for task in self.tasks), *(step.artifacts for step in steps))
        artifacts = sum(map(len, held)) + sum(len(call.artifacts) for call in tools)
        took = duration(self.session.updated_at - self.session.created_at)
        return [
            ("tasks", number(len(self.tasks))),
            ("steps", number(len(steps))),
            ("tool calls", f"{number(len(tools))}" + (f", {number(failed)} failed" if failed else "")),
            ("artifacts", number(artifacts)),
            ("took", took),
        ]

    @property
    def tools(self) -> list[tuple[str, int]]:
        """How often each tool was called, the most used first."""
        return Counter(clean_line(node.call.tool_name, 60) for node in self.calls()).most_common(12)


TextRole = Literal["description", "error", "prompt", "response"]
"""What a passage of recorded text is on the page."""


_SPOKEN: dict[ArtifactType, TextRole] = {ArtifactType.USER_PROMPT: "prompt", ArtifactType.MODEL_RESPONSE: "response"}
"""Artifacts that are passages of the page. The others are folded, the model's reasoning among them."""


class Page(Protocol):
    """One kind of page. Every method returns a part of it in which all recorded text is escaped."""

    def begin(self, report: Report) -> str:
        """The page up to its sections: title, state and numbers."""
        ...

    def timeline(self, events: list[SessionEvent]) -> str:
        """The changes of the run's state."""
        ...

    def begin_tasks(self, count: int) -> str:
        """The beginning of the tasks' section."""
        ...

    def begin_task(self, node: TaskNode) -> str: ...

    def end_task(self) -> str: ...

    def begin_step(self, node: StepNode) -> str: ...

    def end_step(self) -> str: ...

    def begin_call(self, call: ToolCall, took: str) -> str:
        """The beginning of a tool call; ``took`` is its duration, empty where it has not ended."""
        ...

    def end_call(self) -> str: ...

    def text(self, text: str, role: TextRole) -> str:
        """A passage of text that is cut and clean already, but not escaped."""
        ...

    def code(self, title: str, text: str, language: str) -> str:
        """A folded block of code."""
        ...

    def artifact(self, artifact: Artifact, text: str) -> str:
        """A folded artifact with its text."""
        ...

    def image(self, artifact: Artifact) -> str | None:
        """A folded picture; None where this kind of page shows none."""
        ...

    def missing(self, artifact: Artifact) -> str:
        """An artifact whose content is not shown."""
        ...

    def end_tasks(self) -> str: ...

    def metadata(self, text: str) -> str:
        """The run's metadata as JSON."""
        ...

    def end(self, report: Report, redaction: str) -> str:
        """The end of the page; ``redaction`` says whether known shapes of secrets were hidden."""
        ...


def render(report: Report, page: Page) -> Iterator[str]:
    """The page, piece by piece, in the order in which a run is read."""
    yield page.begin(report)
    if report.events:
        yield page.timeline(report.events)
    yield page.begin_tasks(len(report.tasks))
    for task in report.tasks:
        yield page.begin_task(task)
        if task.task.description and not _begins_prompt(task):
            yield page.text(clean_lines(task.task.description), "description")
        for artifact in task.artifacts:
            yield _artifact(artifact, page)
        for step in task.steps:
            yield from _step(step, page)
        yield page.end_task()
    yield page.end_tasks()
    if report.session.metadata:
        yield page.metadata(clean_json(report.session.metadata))
    yield page.end(report, "Known shapes of secrets were hidden." if report.about.redacted else "Nothing was hidden.")


def _begins_prompt(node: TaskNode) -> bool:
    """Whether a task's description is the beginning of its prompt, which the page shows whole."""
    beginning = (node.task.description or "").rstrip(" .…").encode()
    prompts = (each for each in node.artifacts if each.type is ArtifactType.USER_PROMPT)
    return any(bool(prompt.content) and (prompt.content or b"").startswith(beginning) for prompt in prompts)


def _step(node: StepNode, page: Page) -> Iterator[str]:
    yield page.begin_step(node)
    if node.step.description:
        yield page.text(clean_lines(node.step.description), "description")
    for artifact in node.artifacts:
        yield _artifact(artifact, page)
    for each in node.calls:
        call = each.call
        yield page.begin_call(call, duration(call.completed_at - call.created_at) if call.completed_at else "")
        if call.error_message:
            yield page.text(clean_lines(call.error_message), "error")
        if call.parameters not in (None, {}, []):
            yield page.code("Parameters", clean_json(call.parameters), "json")
        if call.result is not None:
            yield page.code("Result", clean_json(call.result), "json")
        for artifact in each.artifacts:
            yield _artifact(artifact, page)
        yield page.end_call()
    yield page.end_step()


def _artifact(artifact: Artifact, page: Page) -> str:
    if artifact.content and artifact.content_type in IMAGES and (image := page.image(artifact)) is not None:
        return image
    text = text_of(artifact) if artifact.content else None
    if text is None:
        return page.missing(artifact)
    if (role := _SPOKEN.get(artifact.type)) is not None:
        return page.text(text, role) if text.strip() else ""
    return page.artifact(artifact, text)


class ReportFile:
    """A ``RowSink`` that gathers the rows of one run and writes the page when it is closed."""

    def __init__(self, file: IO[bytes], about: About, render: Callable[[Report], Iterator[str]]) -> None:
        self._file = file
        self._about = about
        self._render = render
        self._report: Report | None = None
        self._kept = 0

    def add(self, entity: Entity) -> None:
        """The next row."""
        if isinstance(entity, Session):
            self._report = Report(about=self._about, session=entity)
            return
        report = self._report
        if report is None:
            return
        if isinstance(entity, SessionEvent):
            report.events.append(entity)
        elif isinstance(entity, SessionTask):
            report.tasks.append(TaskNode(entity))
        elif isinstance(entity, Step):
            report.tasks[-1].steps.append(StepNode(entity))
        elif isinstance(entity, ToolCall):
            report.tasks[-1].steps[-1].calls.append(CallNode(entity))
        elif isinstance(entity, Artifact):
            _holder(report.tasks[-1], entity).append(self._short(entity))

    def close(self, counts: dict[str, int]) -> None:
        """Write the page."""
        if self._report is not None:
            for part in self._render(self._report):
                self._file.write(part.encode("utf-8", "replace"))

    def abandon(self) -> None:
        """Do nothing: the file is its maker's."""

    def _short(self, artifact: Artifact) -> Artifact:
        content = artifact.content or b""
        most = MOST_IMAGE_BYTES if artifact.content_type in IMAGES else 4 * MOST_CHARS
        if artifact.content_type in IMAGES and len(content) > most:
            content = b""
        content = content[:most] if self._kept < _MOST_KEPT else b""
        self._kept += len(content)
        return msgspec.structs.replace(artifact, content=content)


def _holder(task: TaskNode, artifact: Artifact) -> list[Artifact]:
    """The artifacts of the row that this one hangs on: always the last of its kind."""
    if artifact.step_id is None:
        return task.artifacts
    step = task.steps[-1]
    return step.artifacts if artifact.tool_call_id is None else step.calls[-1].artifacts


def clean_line(text: str, most: int | None = None) -> str:
    """Recorded text on one line, safe to show."""
    return clean(text, max_chars=most)


def clean_lines(text: str) -> str:
    """Recorded text of several lines, safe to show and not endless."""
    cut = clean(text[:MOST_CHARS], keep_newlines=True)
    return cut if len(text) <= MOST_CHARS else f"{cut}\n… {number(len(text) - MOST_CHARS)} more characters"


def clean_json(value: object) -> str:
    """A JSON value laid out; a mere string as itself."""
    if isinstance(value, str):
        return clean_lines(value)
    return clean_lines(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def text_of(artifact: Artifact) -> str | None:
    """An artifact's content as text, None where it is none."""
    content = artifact.content or b""
    if b"\x00" in content[:8192] and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return clean_lines(content[: len(content) - len(content) % 2].decode("utf-16", "replace"))
    text = content.decode("utf-8", "replace")
    return None if text.count("\ufffd") > len(text) // 10 + 4 else clean_lines(text)


def describe_missing(artifact: Artifact) -> str:
    """A sentence in place of content that is not shown."""
    if not artifact.size:
        return "empty"
    return f"{size(artifact.size)} that are not shown here; `acode-tui artifact save {artifact.id[:13]} PATH` has them"


def is_diff(artifact: Artifact) -> bool:
    """Whether the content is a diff."""
    content = artifact.content or b""
    return (
        artifact.type is ArtifactType.FILE_DIFF
        or "diff" in artifact.content_type
        or content.startswith((b"diff --git ", b"--- a/"))
    )


def language(artifact: Artifact) -> str:
    """The name that a fence takes for the content's language; empty where it is not known."""
    if is_diff(artifact):
        return "diff"
    if "json" in artifact.content_type:
        return "json"
    return _LANGUAGES.get(artifact.name.rpartition(".")[2].lower(), "")


def format_moment(when: datetime) -> str:
    """A time as a page shows it."""
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"
