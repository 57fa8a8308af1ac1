"""The files that a run changed, or the runs of a query: the list at the left, what was changed in one at the right."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen

from acode_tui.domain.display import fit
from acode_tui.domain.entities import Artifact, Session
from acode_tui.domain.quantities import counted, number
from acode_tui.domain.states import ArtifactType
from acode_tui.storage.ports import SessionFilter
from acode_tui.tui.bindings import FILES, OPENING
from acode_tui.tui.dashboard_app import DashboardGetter
from acode_tui.tui.run.document import highlighted_lines, open_document
from acode_tui.tui.run.file_changes import (
    CHANGING,
    Change,
    ChangedFile,
    add_changes,
    changes_of,
    diff_text,
    lines_changed,
    newest_first,
)
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.style.text import line, styled
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.keyed_table import Column, KeyedTable, Row
from acode_tui.tui.widgets.text_view import TextLayout, TextView, lay_out_text
from acode_tui.tui.widgets.title_line import TitleLine

if TYPE_CHECKING:
    from acode_tui.storage.ports import RunStateReader

MAX_RUNS = 200
"""The most runs of a query that are read, the newest ones."""
RUNS_AT_ONCE = 25
"""Runs whose changes are read together."""
BYTES_AT_ONCE = 16_000_000
MAX_FILES = 500
MAX_BYTES = 1_000_000
"""The largest change that is read."""
MAX_CHANGES = 200
"""The most changes of one file that are shown, the newest ones."""


class FileTable(KeyedTable):
    """Changed files, those changed last first."""

    BINDINGS: ClassVar[list[BindingType]] = [*OPENING]

    def columns_for(self, width: int) -> tuple[Column, ...]:
        counts = (Column("added", "+", 6, right=True), Column("removed", "-", 6, right=True))
        runs = () if width < 44 else (Column("runs", "runs", 5, right=True),)
        return (Column("path", "file"), *counts, *runs)

    def on_resize(self) -> None:
        self.lay_out(max(self.size.width, 20))


class FilesScreen(Screen[None]):
    """``runs`` is the id of a run, or a filter of runs; ``title`` names them."""

    dashboard = DashboardGetter()
    CSS_PATH = style_path("screens.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*FILES]
    AUTO_FOCUS = "FileTable"
    toasts_make_room = True

    @dataclass
    class FilesRead(Message):
        """More runs were read, or all."""

        files: list[ChangedFile]
        runs: int
        done: bool

    @dataclass
    class DiffRead(Message):
        """What was changed in a file was read and laid out."""

        path: str
        layout: TextLayout

    def __init__(self, title: str, runs: str | SessionFilter) -> None:
        super().__init__()
        self._title = title
        self._runs = runs
        self._files: list[ChangedFile] = []
        self._shown = ""

    def compose(self) -> ComposeResult:
        yield TitleLine("files changed")
        with Horizontal(classes="beside"):
            with Vertical(id="files", classes="frame"):
                yield FileTable()
            yield TextView(id="content")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one("#files").border_title = "Files"
        self.query_one(TitleLine).update(self._title, styled("reading…", "$foreground-muted"))
        self._read()

    @work(group="files", exclusive=True, exit_on_error=False)
    async def _read(self) -> None:
        runs, files, count = self.dashboard.runs, dict[str, ChangedFile](), 0
        if runs is None:
            return
        with self.dashboard.reporting():
            found = await self._sessions(runs)
            for start in range(0, len(found), RUNS_AT_ONCE):
                sessions = found[start : start + RUNS_AT_ONCE]
                artifacts = await runs.get_artifacts_of([session.id for session in sessions], CHANGING)
                changes = await self.dashboard.in_thread(_changes, sessions, artifacts)
                for part in _by_size(changes):
                    contents = await _contents(runs, part)
                    await self.dashboard.in_thread(_count, files, part, contents)
                count += len(sessions)
                if count < len(found):
                    self.post_message(self.FilesRead(newest_first(files.values()), count, done=False))
        self.post_message(self.FilesRead(newest_first(files.values()), count, done=True))

    async def _sessions(self, runs: "RunStateReader") -> Sequence[Session]:
        if isinstance(self._runs, str):
            return [await runs.get(self._runs)]
        return (await runs.list(self._runs, limit=MAX_RUNS)).sessions

    @on(FilesRead)
    def _files_read(self, event: FilesRead) -> None:
        self._files = event.files[:MAX_FILES]
        table = self.query_one(FileTable)
        table.show([(file.path, _row(file)) for file in self._files])
        facts = [styled(counted(len(event.files), "file"), "$foreground")]
        if not isinstance(self._runs, str):
            most = f"the newest {number(MAX_RUNS)} runs" if event.runs == MAX_RUNS else counted(event.runs, "run")
            facts.append(styled(most, "$foreground-muted"))
        if not event.done:
            facts.append(styled("reading…", "$text-warning"))
        self.query_one(TitleLine).update(self._title, *facts)
        if event.done and not event.files:
            nothing = "No change of a file was recorded in this run." if isinstance(self._runs, str) else ""
            self._say(nothing or "No change of a file was recorded in these runs.")
        elif table.cursor_key is not None:
            self._show_file(table.cursor_key)

    def _say(self, text: str) -> None:
        view = self.query_one(TextView)
        view.show(lay_out_text([styled(text, "$foreground-muted")], view.room))

    @on(KeyedTable.RowHighlighted)
    def _highlighted(self, event: KeyedTable.RowHighlighted) -> None:
        self._show_file(event.key)

    def _show_file(self, path: str) -> None:
        file = self._file(path)
        if file is not None:
            self._read_diff(file)

    def _file(self, path: str | None) -> ChangedFile | None:
        return next((file for file in self._files if file.path == path), None)

    @work(group="diff", exclusive=True, exit_on_error=False)
    async def _read_diff(self, file: ChangedFile) -> None:
        runs = self.dashboard.runs
        if runs is None:
            return
        with self.dashboard.reporting():
            shown = ChangedFile(file.path, file.changes[-MAX_CHANGES:])
            contents = [content for part in _by_size(shown.changes) for content in await _contents(runs, part)]
            room = self.query_one(TextView).room
            layout = await self.dashboard.in_thread(_laid_out, shown, contents, room)
            self.post_message(self.DiffRead(file.path, layout))

    @on(DiffRead)
    def _diff_read(self, event: DiffRead) -> None:
        if event.path != self.query_one(FileTable).cursor_key:
            return
        view, file = self.query_one(TextView), self._file(event.path)
        view.border_title = line(event.path, 80)
        if file is not None:
            view.border_subtitle = Content(f"{counted(len(file.changes), 'change')} in {counted(file.runs, 'run')}")
        if event.path == self._shown:
            view.reflow(event.layout)
        else:
            view.show(event.layout)
        self._shown = event.path

    @on(TextView.Resized)
    def _resized(self) -> None:
        if self._shown:
            self._show_file(self._shown)

    @on(KeyedTable.RowSelected)
    def _selected(self, event: KeyedTable.RowSelected) -> None:
        """Open the last change of a file whole."""
        if (file := self._file(event.key)) is not None:
            from acode_tui.tui.run.artifact import ArtifactScreen

            self.app.push_screen(ArtifactScreen(file.changes[-1].artifact))

    def action_step(self, direction: int) -> None:
        table = self.query_one(FileTable)
        row = table.cursor_row + direction
        if 0 <= row < table.row_count:
            table.move_cursor(row=row)

    def action_copy(self) -> None:
        self.dashboard.copy(self.query_one(FileTable).cursor_key or "", "path")


def _row(file: ChangedFile) -> Row:
    path = line(file.path)
    return {
        "path": (path if len(path) <= 60 else "…" + fit(path[-58:], 59), "plain"),
        "added": (number(file.added), "good"),
        "removed": (number(file.removed), "bad"),
        "runs": (number(file.runs), "quiet"),
    }


def _changes(sessions: Sequence[Session], artifacts: Sequence[Artifact]) -> list[Change]:
    """The changes of some runs. Runs in a thread."""
    of_session: dict[str, list[Artifact]] = {}
    for artifact in artifacts:
        of_session.setdefault(artifact.session_id, []).append(artifact)
    return [change for session in sessions for change in changes_of(session, of_session.get(session.id, ()))]


def _by_size(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """The changes in groups whose contents are read together."""
    part, held = list[Change](), 0
    for change in changes:
        part.append(change)
        held += min(change.artifact.size, MAX_BYTES)
        if held >= BYTES_AT_ONCE:
            yield part
            part, held = [], 0
    if part:
        yield part


async def _contents(runs: "RunStateReader", changes: Sequence[Change]) -> list[bytes | None]:
    """The content of each change; None where it is too long to be read."""
    ids = [change.artifact.id for change in changes if change.artifact.size <= MAX_BYTES]
    read = await runs.get_artifact_contents(ids) if ids else {}
    return [read.get(change.artifact.id) for change in changes]


def _count(files: dict[str, ChangedFile], changes: list[Change], contents: list[bytes | None]) -> None:
    """Count the lines of some changes. Runs in a thread."""
    add_changes(
        files,
        (
            (change, lines_changed(change.artifact, content or b""))
            for change, content in zip(changes, contents, strict=True)
        ),
    )


def _laid_out(file: ChangedFile, contents: list[bytes | None], room: int) -> TextLayout:
    """All changes of a file as highlighted lines. Runs in a thread."""
    text = diff_text(file, contents).encode("utf-8", "surrogatepass")
    document = open_document(text, f"{file.path}.diff", "text/x-diff", ArtifactType.FILE_DIFF)
    lines = highlighted_lines(document, 0)
    if len(document.parts) > 1:
        lines.append(styled("… enter opens the last change whole", "$text-warning"))
    return lay_out_text(lines, room)
