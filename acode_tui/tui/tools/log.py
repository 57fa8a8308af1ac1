"""The program's own log, live: JSON lines rendered, from a level on, those that hold a text; followed or held still."""

import os
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Input

from acode_tui.tui.bindings import LOG
from acode_tui.tui.dashboard_app import DashboardGetter
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.style.text import line, styled
from acode_tui.tui.style.times import clock, counted, day, number
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.notice import Notice
from acode_tui.tui.widgets.text_view import TextView, flow
from acode_tui.tui.widgets.title_line import TitleLine

TAIL_BYTES = 128 * 1024
MAX_READ = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log: level, moment (None if it names none), event, and everything else as ``name=value``."""

    level: str
    at: datetime | None
    event: str
    rest: str


class LogTail:
    """Reads on from where it stopped. A line without its end is left for the next time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset: int | None = None
        self._inode = 0

    def read(self) -> list[Entry]:
        """What was appended since the last call, at first the last stretch. A missing file is empty; raises OSError."""
        try:
            with self._path.open("rb") as file:
                stat = os.fstat(file.fileno())
                return self._read_on(file.fileno(), stat)
        except FileNotFoundError:
            return []

    def _read_on(self, handle: int, stat: os.stat_result) -> list[Entry]:
        if self._offset is None:
            self._offset = max(stat.st_size - TAIL_BYTES, 0)
            skip = self._offset > 0
        else:
            skip = False
            if stat.st_ino != self._inode or stat.st_size < self._offset:
                self._offset = 0
        self._inode = stat.st_ino
        data = os.pread(handle, min(stat.st_size - self._offset, MAX_READ), self._offset)
        end = data.rfind(b"\n") + 1
        self._offset += end
        lines = data[:end].splitlines()
        return [parse_entry(line) for line in (lines[1:] if skip else lines) if line.strip()]


def parse_entry(raw: bytes) -> Entry:
    """A line of the log; one that is not JSON is shown as it stands."""
    try:
        fields: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        fields = None
    if not isinstance(fields, dict):
        return Entry("info", None, raw.decode("utf-8", "replace"), "")
    level = str(fields.pop("level", "info"))
    time = str(fields.pop("timestamp", fields.pop("time", "")))
    event = str(fields.pop("event", ""))
    rest = "  ".join(f"{name}={_short(value)}" for name, value in fields.items() if name not in ("pid", "logger"))
    return Entry(level, _moment(time), event, rest)


def _moment(written: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _short(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


LEVELS = ("debug", "info", "warning", "error")
KEPT = 2_000
_STYLE = {
    "debug": "$foreground-muted",
    "info": "$text-primary",
    "warning": "$text-warning",
    "error": "bold $text-error",
}


class LogScreen(Screen[None]):
    """Follows the log file until the user scrolls away."""

    dashboard = DashboardGetter()
    CSS_PATH = style_path("screens.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*LOG]
    AUTO_FOCUS = "TextView"

    @dataclass
    class Appended(Message):
        """Lines came in."""

        entries: list[Entry]

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._tail = LogTail(path)
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._level = 1
        self._follow = True
        self._text = ""
        self._waiting = 0
        self._shown: list[Entry] = []
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
        self._timer = self.set_interval(self.dashboard.settings.tui.refresh_seconds, self._look)
        self.query_one("#search").display = False
        self._show()
        self._look()

    def on_screen_suspend(self) -> None:
        if self._timer is not None:
            self._timer.pause()

    def on_screen_resume(self) -> None:
        if self._timer is not None:
            self._timer.resume()

    def _look(self) -> None:
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
            self._waiting += sum(self._fits(entry) for entry in event.entries)
            self._retitle()

    def _fits(self, entry: Entry) -> bool:
        if _rank(entry.level) < self._level:
            return False
        wanted = self._text.casefold()
        return not wanted or wanted in f"{self._clock(entry)} {entry.level} {entry.event} {entry.rest}".casefold()

    def _show(self) -> None:
        self._waiting = 0
        chosen = self._shown = [entry for entry in self._entries if self._fits(entry)]
        view, notice = self.query_one(TextView), self.query_one(Notice)
        view.display, notice.display = bool(chosen), not chosen
        self._retitle()
        if not chosen:
            self._explain()
        view.reflow(flow(self._lines(), None))
        if self._follow:
            view.scroll_end(animate=False, x_axis=False)

    def _lines(self) -> list[Content]:
        """What is shown, with each day above its lines unless today's are all there is."""
        zone, today = self.dashboard.zone, self.dashboard.now().astimezone(self.dashboard.zone).date()
        lines: list[Content] = []
        last = today
        for entry in self._shown:
            that = entry.at.astimezone(zone).date() if entry.at is not None else last
            if that != last:
                lines.append(styled(day(that, today), "bold $text-primary"))
            last = that
            lines.append(_rendered(entry, self._clock(entry)))
        return lines

    def _clock(self, entry: Entry) -> str:
        return clock(entry.at, self.dashboard.zone) if entry.at is not None else ""

    def _explain(self) -> None:
        """Why nothing is shown, and what to do."""
        notice, hidden = self.query_one(Notice), len(self._entries)
        if hidden:
            said = "None of them is shown: f lowers the level, / and esc take the filter away."
            notice.say(f"{number(hidden)} line{'' if hidden == 1 else 's'} of the log", said)
        else:
            notice.say(
                "The log is empty",
                "Warnings, faults and slow statements of every acode-tui on this workspace appear here.",
                "acode-tui --log-level debug writes every statement's name and duration.",
            )

    def _retitle(self) -> None:
        level = LEVELS[self._level]
        held = f"holding still, {number(self._waiting)} more" if self._waiting else "holding still"
        style = "$text-success" if self._follow else "$text-warning"
        said = f"{level} and above" if self._level else "everything"
        self.query_one(TitleLine).say(
            said + (f", with “{line(self._text, 30)}”" if self._text else ""),
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
        search.focus()

    @on(Input.Changed)
    def _searched(self, event: Input.Changed) -> None:
        if event.value != self._text:
            self._text = event.value
            self._show()

    @on(Input.Submitted)
    def _to_the_lines(self) -> None:
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


def _rendered(entry: Entry, at: str) -> Content:
    return Content.assemble(
        (f"{at:<8}  ", "$foreground-muted"),
        (f"{line(entry.level, 8):<8} ", _STYLE.get(entry.level, "$text-error")),
        styled(entry.event, "$foreground"),
        "  ",
        styled(entry.rest, "$foreground-muted"),
    )
