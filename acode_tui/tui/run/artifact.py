"""The viewer of one artifact: colours by language, diffs as diffs, JSON pretty, binary as a hex summary."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input

from acode_tui.domain.entities import Artifact
from acode_tui.domain.errors import AcodeError
from acode_tui.tui.bindings import VIEWER
from acode_tui.tui.run.document import PART_LINES, Document, Found, coloured, find, line_numbers, open_document
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.style.text import line, styled, told_fault
from acode_tui.tui.style.times import counted, number, size
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.notice import TitleLine
from acode_tui.tui.widgets.text_view import Flow, TextView, flow

if TYPE_CHECKING:
    from acode_tui.storage.ports import RunStateReader
    from acode_tui.tui.app import Dashboard


class ArtifactScreen(Screen[None]):
    """One artifact's whole content, a part at a time."""

    CSS_PATH = style_path("screens.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*VIEWER]
    AUTO_FOCUS = "TextView"

    @dataclass
    class PartReady(Message):
        """A part was read, coloured and laid out."""

        document: Document
        part: int
        flow: Flow
        renewed: bool

    @dataclass
    class Searched(Message):
        """A text was looked for in all parts."""

        found: Found
        direction: int

    def __init__(self, artifact: Artifact) -> None:
        super().__init__()
        self._found: Found | None = None
        self._artifact = artifact
        self._document: Document | None = None
        self._part = 0
        self._wrap: bool | None = None

    def compose(self) -> ComposeResult:
        yield TitleLine("artifact")
        yield TextView(id="content")
        yield Input(placeholder="find in this text", id="search")
        yield KeyBar()

    @property
    def dashboard(self) -> "Dashboard":
        from acode_tui.tui.app import Dashboard

        app = self.app
        assert isinstance(app, Dashboard)
        return app

    def on_mount(self) -> None:
        self.query_one("#search", Input).display = False
        self.query_one(TitleLine).say(
            self._artifact.name,
            styled(size(self._artifact.size), "$foreground"),
            styled(self._artifact.content_type, "$foreground-muted"),
            styled(self._artifact.content_hash[:19] + "…", "$foreground-muted"),
        )
        self.query_one(TextView).border_title = "reading…"
        self._prepare(0, renewed=True)

    @work(group="part", exclusive=True, exit_on_error=False)
    async def _prepare(self, part: int, *, renewed: bool) -> None:
        runs = self.dashboard.runs
        if runs is None:
            return
        try:
            document = self._document or await self._read(runs)
        except AcodeError as error:
            self.dashboard.report(error)
            view = self.query_one(TextView)
            view.border_title = "could not be read"
            advice = styled("Opened again, it is read again.", "$foreground-muted")
            told = Content("\n").join([*told_fault(error), Content(""), advice])
            view.show(flow(list(told.split("\n", allow_blank=True)), view.room))
            return
        wrap = document.wraps if self._wrap is None else self._wrap
        columns = self.query_one(TextView).room if wrap else None
        laid_out = await self.dashboard.in_thread(_laid_out, document, part, columns, self._numbers)
        self.post_message(self.PartReady(document, part, laid_out, renewed))

    async def _read(self, runs: "RunStateReader") -> Document:
        found = self._artifact
        data = await runs.get_artifact_content(found.id)
        return await self.dashboard.in_thread(open_document, data, found.name, found.content_type, found.type)

    @on(PartReady)
    def _ready(self, event: PartReady) -> None:
        document = self._document = event.document
        self._part = event.part
        if self._wrap is None:
            self._wrap = document.wraps
        view = self.query_one(TextView)
        if event.renewed:
            view.show(event.flow)
            place = self._found.place if self._found is not None else None
            if place is not None and place[0] == event.part:
                view.mark(place[1])
        else:
            view.reflow(event.flow)
        self._titles(document)
        self.refresh_bindings()

    def _titles(self, document: Document) -> None:
        view = self.query_one(TextView)
        kind = document.language or document.kind
        view.border_title = kind if document.kind != "binary" else "binary: not text, shown as bytes"
        said = [counted(document.line_count, "line")] if document.kind != "binary" else []
        if len(document.parts) > 1:
            said.append(
                f"part {self._part + 1} of {len(document.parts)} ([ and ] turn; {number(PART_LINES)} lines each)"
            )
        if self._wrap:
            said.append("wrapped")
        if self._numbers and document.kind == "diff" and not view.numbered:
            said.append("no line numbers are known")
        if self._found is not None:
            said.append(f"{self._found.told} × “{line(self._found.needle, 24)}”")
        view.border_subtitle = Content(" · ".join(said))

    @on(TextView.Resized)
    def _resized(self) -> None:
        if self._document is not None and self._wrap:
            self._prepare(self._part, renewed=False)

    def action_part(self, direction: int) -> None:
        if self._document is not None and 0 <= self._part + direction < len(self._document.parts):
            self._prepare(self._part + direction, renewed=True)

    def action_wrap(self) -> None:
        self._wrap = not self._wrap
        self._prepare(self._part, renewed=False)

    @property
    def _numbers(self) -> bool:
        return self.dashboard.state.layout.numbers

    def action_numbers(self) -> None:
        self.dashboard.lay_out(numbers=not self._numbers)
        if self._document is not None:
            self._prepare(self._part, renewed=False)

    def action_search(self) -> None:
        search = self.query_one("#search", Input)
        search.display = True
        search.focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self.query_one(TextView).focus()
        if event.value:
            self._find(event.value, 1)
        else:
            self._found = None
            self.query_one(TextView).highlight("")
            self._titles_if_known()

    @work(group="find", exclusive=True, exit_on_error=False)
    async def _find(self, needle: str, direction: int) -> None:
        if self._document is not None:
            found = await self.dashboard.in_thread(find, self._document, needle)
            self.post_message(self.Searched(found, direction))

    @on(Searched)
    def _searched(self, event: Searched) -> None:
        self._found = event.found
        self.query_one(TextView).highlight(event.found.needle)
        self._go(event.direction)
        self.refresh_bindings()

    def action_match(self, direction: int) -> None:
        needle = self.query_one("#search", Input).value
        if not needle:
            self.action_search()
        elif self._found is None or self._found.needle != needle:
            self._find(needle, direction)
        else:
            self._go(direction)

    def _go(self, direction: int) -> None:
        """To the next place, in another part if it stands there."""
        found, view = self._found, self.query_one(TextView)
        if found is None:
            return
        place = found.step(direction, (self._part, view.first_seen))
        if place is None:
            self.notify(f"“{line(found.needle, 40)}” is not in this text", markup=False)
        elif place[0] == self._part:
            view.mark(place[1])
        else:
            self._prepare(place[0], renewed=True)
        self._titles_if_known()

    def _titles_if_known(self) -> None:
        if self._document is not None:
            self._titles(self._document)

    def action_save(self) -> None:
        from acode_tui.tui.dialogs.save import SaveArtifact

        self.app.push_screen(SaveArtifact(self._artifact))

    def action_copy(self) -> None:
        text = self._document.text if self._document is not None else ""
        self.dashboard.copy(text, "text", otherwise="s saves it to a file")

    def action_copy_id(self) -> None:
        self.dashboard.copy(self._artifact.id, "id")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "part":
            return self._document is not None and len(self._document.parts) > 1
        if action == "numbers":
            return self._document is None or self._document.kind != "binary"
        if action == "match":
            return bool(self.query_one("#search", Input).value) if self.is_mounted else False
        return True

    def action_dismiss(self, result: None = None) -> None:  # type: ignore[override]
        search = self.query_one("#search", Input)
        if search.display:
            search.display = False
            self.query_one(TextView).focus()
        else:
            self.dismiss()


def _laid_out(document: Document, part: int, columns: int | None, numbers: bool) -> Flow:
    """One part, coloured and laid out beside its line numbers. Runs in a thread."""
    return flow(coloured(document, part), columns, line_numbers(document, part) if numbers else ())
