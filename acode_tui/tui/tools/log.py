"""The log screen: the program's own log, filtered by level and text; it follows new lines, or holds still."""

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Input

from acode_tui.domain.quantities import counted, number
from acode_tui.tui.bindings import LOG
from acode_tui.tui.dashboard_app import DashboardGetter
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.style.text import line, styled
from acode_tui.tui.style.times import clock, day
from acode_tui.tui.tools.log_tail import LogEntry, LogTail
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.notice import Notice
from acode_tui.tui.widgets.text_view import TextView, lay_out_text
from acode_tui.tui.widgets.title_line import TitleLine

LEVELS = ("debug", "info", "warning", "error")
MAX_ENTRIES = 2_000
_LEVEL_STYLES = {
    "debug": "$foreground-muted",
    "info": "$text-primary",
    "warning": "$text-warning",
    "error": "bold $text-error",
}


class LogScreen(Screen[None]):
    """The lines of the log file from a level on. It follows new lines, until a key holds the screen still."""

    dashboard = DashboardGetter()
    CSS_PATH = style_path("screens.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*LOG]
    AUTO_FOCUS = "TextView"

    @dataclass
    class Appended(Message):
        """Lines were appended to the log."""

        entries: list[LogEntry]

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._tail = LogTail(path)
        self._entries: deque[LogEntry] = deque(maxlen=MAX_ENTRIES)
        self._level = 1
        self._follow = True
        self._search_text = ""
        self._held_back = 0
        """Entries that came in while the screen holds still, and would be shown."""
        self._shown: list[LogEntry] = []
        self._reading = False
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield TitleLine("log")
        with Vertical(id="lines"):
            yield TextView(id="content")
            yield Notice()
        yield Input(placeholder="only lines that hold", id="search")
        yield KeyBar()

    def on_mount(self) -> None:
        self._timer = self.set_interval(self.dashboard.settings.tui.refresh_seconds, self._poll)
        self.query_one("#search").display = False
        self._show()
        self._poll()

    def on_screen_suspend(self) -> None:
        if self._timer is not None:
            self._timer.pause()

    def on_screen_resume(self) -> None:
        if self._timer is not None:
            self._timer.resume()

    def _poll(self) -> None:
        if not self._reading:
            self._reading = True
            self.run_worker(self._read(), group="log", exit_on_error=False)

    async def _read(self) -> None:
        try:
            entries = await self.dashboard.in_thread(self._tail.read)
            if entries:
                self.post_message(self.Appended(entries))
        except OSError as error:
            self.dashboard.report(error)
            if self._timer is not None:
                self._timer.stop()
        finally:
            self._reading = False

    @on(Appended)
    def _appended(self, event: Appended) -> None:
        self._entries.extend(event.entries)
        if self._follow or not self._shown:
            self._show()
        else:
            self._held_back += sum(self._matches(entry) for entry in event.entries)
            self._retitle()

    def _matches(self, entry: LogEntry) -> bool:
        if _rank(entry.level) < self._level:
            return False
        wanted = self._search_text.casefold()
        return not wanted or wanted in f"{self._clock(entry)} {entry.level} {entry.event} {entry.fields}".casefold()

    def _show(self) -> None:
        self._held_back = 0
        shown = self._shown = [entry for entry in self._entries if self._matches(entry)]
        view, notice = self.query_one(TextView), self.query_one(Notice)
        view.display, notice.display = bool(shown), not shown
        self._retitle()
        if not shown:
            self._explain_empty()
        view.reflow(lay_out_text(self._lines(), None))
        if self._follow:
            view.scroll_end(animate=False, x_axis=False)

    def _lines(self) -> list[Content]:
        """The shown entries, with a heading above each day; without one if all are of today."""
        zone, today = self.dashboard.zone, self.dashboard.now().astimezone(self.dashboard.zone).date()
        lines: list[Content] = []
        last = today
        for entry in self._shown:
            date = entry.at.astimezone(zone).date() if entry.at is not None else last
            if date != last:
                lines.append(styled(day(date, today), "bold $text-primary"))
            last = date
            lines.append(_rendered(entry, self._clock(entry)))
        return lines

    def _clock(self, entry: LogEntry) -> str:
        return clock(entry.at, self.dashboard.zone) if entry.at is not None else ""

    def _explain_empty(self) -> None:
        """Say why nothing is shown, and what to do."""
        notice, hidden = self.query_one(Notice), len(self._entries)
        if hidden:
            why = "None of them is shown: f lowers the level, / and esc remove the filter."
            notice.update(f"{counted(hidden, 'line')} of the log", why)
        else:
            notice.update(
                "The log is empty",
                "Warnings, errors and slow statements of every acode-tui on this workspace appear here.",
                "acode-tui --log-level debug writes every statement's name and duration.",
            )

    def _retitle(self) -> None:
        level = LEVELS[self._level]
        held = f"holding still, {number(self._held_back)} more" if self._held_back else "holding still"
        style = "$text-success" if self._follow else "$text-warning"
        levels = f"{level} and above" if self._level else "everything"
        self.query_one(TitleLine).update(
            levels + (f", with “{line(self._search_text, 30)}”" if self._search_text else ""),
            styled("◉ following" if self._follow else f"‖ {held}", style),
            styled(counted(len(self._shown), "line"), "$foreground-muted"),
        )

    def action_level(self) -> None:
        self._level = (self._level + 1) % len(LEVELS)
        self._show()

    def action_follow(self) -> None:
        self._follow = not self._follow
        self._show()

    def action_search(self) -> None:
        search = self.query_one("#search", Input)
        search.display = True
        self.set_focus(search)  # not focus(), which takes effect after the next letters

    @on(Input.Changed)
    def _searched(self, event: Input.Changed) -> None:
        if event.value != self._search_text:
            self._search_text = event.value
            self._show()

    @on(Input.Submitted)
    def _focus_lines(self) -> None:
        self.query_one(TextView).focus()

    def action_leave(self) -> None:
        search = self.query_one("#search", Input)
        if search.display:
            search.value = ""
            search.display = False
            self.query_one(TextView).focus()
        else:
            self.dismiss()

    def action_copy(self) -> None:
        lines = "\n".join(shown.plain for shown in self._lines())
        self.dashboard.copy(lines, "lines", otherwise="f and / narrow them")


def _rank(level: str) -> int:
    return LEVELS.index(level) if level in LEVELS else len(LEVELS) - 1


def _rendered(entry: LogEntry, at: str) -> Content:
    return Content.assemble(
        (f"{at:<8}  ", "$foreground-muted"),
        (f"{line(entry.level, 8):<8} ", _LEVEL_STYLES.get(entry.level, "$text-error")),
        styled(entry.event, "$foreground"),
        "  ",
        styled(entry.fields, "$foreground-muted"),
    )
