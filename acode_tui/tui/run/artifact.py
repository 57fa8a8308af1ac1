"""The viewer of one artifact: highlighted code and diffs, indented JSON, a hex dump of binary content."""

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
from acode_tui.domain.quantities import counted, number, size
from acode_tui.tui.bindings import VIEWER
from acode_tui.tui.dashboard_app import DashboardGetter
from acode_tui.tui.messages import PictureRefused
from acode_tui.tui.run.document import PART_LINES, Document, highlighted_lines, line_numbers, open_document
from acode_tui.tui.run.find import Match, Matches, find_matches
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.style.text import error_lines, line, styled
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.text_view import TextLayout, TextView, lay_out_text
from acode_tui.tui.widgets.title_line import TitleLine

if TYPE_CHECKING:
    from acode_tui.storage.ports import RunStateReader


DRAWN_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""What may be drawn, by its content type. What it is in truth the decoder sees."""


class ArtifactScreen(Screen[None]):
    """The whole content of an artifact, one part at a time."""

    dashboard = DashboardGetter()
    CSS_PATH = style_path("screens.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*VIEWER]
    AUTO_FOCUS = "TextView"

    @dataclass
    class PartReady(Message):
        """A part was read, highlighted and laid out. ``from_top`` shows its first line; else the scroll is kept."""

        document: Document
        part: int
        layout: TextLayout
        from_top: bool

    @dataclass
    class MatchesFound(Message):
        """A text was searched for in all parts."""

        matches: Matches
        direction: int

    def __init__(self, artifact: Artifact) -> None:
        super().__init__()
        self._matches: Matches | None = None
        self._artifact = artifact
        self._document: Document | None = None
        self._part = 0
        self._wrap: bool | None = None
        self._not_drawn = ""
        """Why an image is not drawn, as a clause; empty for what is no image."""

    def compose(self) -> ComposeResult:
        yield TitleLine("artifact")
        yield TextView(id="content")
        yield Input(placeholder="find in this text", id="search")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one("#search", Input).display = False
        self.query_one(TitleLine).update(
            self._artifact.name,
            styled(size(self._artifact.size), "$foreground"),
            styled(self._artifact.content_type, "$foreground-muted"),
            styled(self._artifact.content_hash[:19] + "…", "$foreground-muted"),
        )
        self.query_one(TextView).border_title = "reading…"
        if self._is_drawable:
            self._load_picture()
        else:
            self._load_part(0, from_top=True)

    # The image

    @property
    def _is_drawable(self) -> bool:
        """Whether it is an image that this terminal can draw."""
        return self.dashboard.images.drawing is not None and self._artifact.content_type in DRAWN_TYPES

    @property
    def toasts_make_room(self) -> bool:
        """While an image is shown: what is drawn in pixels cannot be covered in part."""
        return any(view.display for view in self.query("PictureView"))

    @work(group="picture", exclusive=True, exit_on_error=False)
    async def _load_picture(self) -> None:
        from acode_tui.tui.run.picture import MAX_BYTES, PictureError, decode
        from acode_tui.tui.run.picture_view import PictureView

        runs = self.dashboard.runs
        if runs is None:
            return
        try:
            if self._artifact.size > MAX_BYTES:
                raise PictureError(f"it has more than {size(MAX_BYTES)}")
            data = await runs.get_artifact_content(self._artifact.id)
            picture = await self.dashboard.in_thread(decode, data)
        except PictureError as error:
            self._show_bytes(str(error))
        except AcodeError:
            self._load_part(0, from_top=True)  # which fails alike, and says so
        else:
            view = PictureView(picture)
            await self.mount(view, after=self.query_one(TextView))
            self.query_one(TextView).display = False
            view.focus()
            self.refresh_bindings()

    @on(PictureRefused)
    def _picture_refused(self, event: PictureRefused) -> None:
        self.query("PictureView").remove()
        self._show_bytes(event.reason)

    def _show_bytes(self, reason: str) -> None:
        self._not_drawn = reason
        view = self.query_one(TextView)
        view.display = True
        view.focus()
        self.refresh_bindings()
        self._load_part(0, from_top=True)

    def action_image(self) -> None:
        """Turn from the image to its bytes, or back."""
        view, text = self.query_one("PictureView"), self.query_one(TextView)
        view.display, text.display = text.display, view.display
        (view if view.display else text).focus()
        if text.display and self._document is None:
            self._load_part(0, from_top=True)
        self.refresh_bindings()

    @work(group="part", exclusive=True, exit_on_error=False)
    async def _load_part(self, part: int, *, from_top: bool) -> None:
        runs = self.dashboard.runs
        if runs is None:
            return
        try:
            document = self._document or await self._read(runs)
        except AcodeError as error:
            self.dashboard.report(error)
            view = self.query_one(TextView)
            view.border_title = "could not be read"
            advice = styled("Open the artifact again to try once more.", "$foreground-muted")
            text = Content("\n").join([*error_lines(error), Content(""), advice])
            view.show(lay_out_text(list(text.split("\n", allow_blank=True)), view.room))
            return
        wrap = document.wraps if self._wrap is None else self._wrap
        columns = self.query_one(TextView).room if wrap else None
        layout = await self.dashboard.in_thread(_laid_out, document, part, columns, self._numbers)
        self.post_message(self.PartReady(document, part, layout, from_top))

    async def _read(self, runs: "RunStateReader") -> Document:
        artifact = self._artifact
        data = await runs.get_artifact_content(artifact.id)
        return await self.dashboard.in_thread(open_document, data, artifact.name, artifact.content_type, artifact.type)

    @on(PartReady)
    def _part_ready(self, event: PartReady) -> None:
        document = self._document = event.document
        self._part = event.part
        if self._wrap is None:
            self._wrap = document.wraps
        view = self.query_one(TextView)
        if event.from_top:
            view.show(event.layout)
            match = self._matches.selected if self._matches is not None else None
            if match is not None and match.part == event.part:
                view.mark(match.line)
        else:
            view.reflow(event.layout)
        self._update_titles(document)
        self.refresh_bindings()

    def _update_titles(self, document: Document) -> None:
        view = self.query_one(TextView)
        kind = document.language or document.kind
        view.border_title = kind if document.kind != "binary" else "binary: not text, shown as bytes"
        if self._not_drawn:
            view.border_title = f"not drawn: {self._not_drawn}"
        facts = [counted(document.line_count, "line")] if document.kind != "binary" else []
        if len(document.parts) > 1:
            facts.append(
                f"part {self._part + 1} of {len(document.parts)} ([ and ] turn; {number(PART_LINES)} lines each)"
            )
        if self._wrap:
            facts.append("wrapped")
        if self._numbers and document.kind == "diff" and not view.numbered:
            facts.append("no line numbers are known")
        if self._matches is not None:
            facts.append(f"{self._matches.position} × “{line(self._matches.needle, 24)}”")
        view.border_subtitle = Content(" · ".join(facts))

    @on(TextView.Resized)
    def _resized(self) -> None:
        if self._document is not None and self._wrap:
            self._load_part(self._part, from_top=False)

    def action_part(self, direction: int) -> None:
        if self._document is not None and 0 <= self._part + direction < len(self._document.parts):
            self._load_part(self._part + direction, from_top=True)

    def action_wrap(self) -> None:
        self._wrap = not self._wrap
        self._load_part(self._part, from_top=False)

    @property
    def _numbers(self) -> bool:
        return self.dashboard.state.layout.numbers

    def action_numbers(self) -> None:
        self.dashboard.change_layout(numbers=not self._numbers)
        if self._document is not None:
            self._load_part(self._part, from_top=False)

    def action_search(self) -> None:
        search = self.query_one("#search", Input)
        search.display = True
        self.set_focus(search)  # not focus(), which takes effect after the next letters

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self.query_one(TextView).focus()
        if event.value:
            self._find(event.value, 1)
        else:
            self._matches = None
            self.query_one(TextView).highlight("")
            self._update_titles_if_open()

    @work(group="find", exclusive=True, exit_on_error=False)
    async def _find(self, needle: str, direction: int) -> None:
        if self._document is not None:
            matches = await self.dashboard.in_thread(find_matches, self._document, needle)
            self.post_message(self.MatchesFound(matches, direction))

    @on(MatchesFound)
    def _matches_found(self, event: MatchesFound) -> None:
        self._matches = event.matches
        self.query_one(TextView).highlight(event.matches.needle)
        self._select_match(event.direction)
        self.refresh_bindings()

    def action_match(self, direction: int) -> None:
        needle = self.query_one("#search", Input).value
        if not needle:
            self.action_search()
        elif self._matches is None or self._matches.needle != needle:
            self._find(needle, direction)
        else:
            self._select_match(direction)

    def _select_match(self, direction: int) -> None:
        """Go to the next or previous match; load the part that it is in."""
        matches, view = self._matches, self.query_one(TextView)
        if matches is None:
            return
        match = matches.step(direction, Match(self._part, view.first_visible))
        if match is None:
            self.notify(f"“{line(matches.needle, 40)}” is not in this text", markup=False)
        elif match.part == self._part:
            view.mark(match.line)
        else:
            self._load_part(match.part, from_top=True)
        self._update_titles_if_open()

    def _update_titles_if_open(self) -> None:
        if self._document is not None:
            self._update_titles(self._document)

    def action_save(self) -> None:
        from acode_tui.tui.dialogs.save import SaveArtifactDialog

        self.app.push_screen(SaveArtifactDialog(self._artifact))

    def action_copy(self) -> None:
        text = self._document.text if self._document is not None else ""
        self.dashboard.copy(text, "text", otherwise="s saves it to a file")

    def action_copy_id(self) -> None:
        self.dashboard.copy(self._artifact.id, "id")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "image":
            return bool(self.query("PictureView")) if self.is_mounted else False
        if self.toasts_make_room and action in ("part", "numbers", "wrap", "search", "match"):
            return False
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


def _laid_out(document: Document, part: int, columns: int | None, numbers: bool) -> TextLayout:
    """One part, highlighted and laid out beside its line numbers. Runs in a thread."""
    return lay_out_text(highlighted_lines(document, part), columns, line_numbers(document, part) if numbers else ())
