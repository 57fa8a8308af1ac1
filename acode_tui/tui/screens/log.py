"""The program's own log, live: JSON lines rendered, from a level on."""

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

from acode_tui.tui.app import Dashboard
from acode_tui.tui.bindings import LOG
from acode_tui.tui.logtail import Entry, LogTail
from acode_tui.tui.styles import style_path
from acode_tui.tui.text import line, styled
from acode_tui.tui.times import number
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.notice import Notice
from acode_tui.tui.widgets.text_view import TextView, flow
from acode_tui.tui.widgets.title import TitleLine

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
        self._reading = False
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield TitleLine("log")
        with Vertical(id="lines"):
            yield TextView(id="content")
            yield Notice()
        yield KeyBar()

    @property
    def dashboard(self) -> Dashboard:
        app = self.app
        assert isinstance(app, Dashboard)
        return app

    def on_mount(self) -> None:
        self._timer = self.set_interval(self.dashboard.settings.tui.refresh_seconds, self._look)
        self.query_one(Notice).say(
            "The log is empty",
            "Warnings, faults and slow statements of every acode-tui on this workspace appear here.",
            "acode-tui --log-level debug writes every statement's name and duration.",
        )
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
        self._show()

    def _show(self) -> None:
        level = LEVELS[self._level]
        chosen = [entry for entry in self._entries if _rank(entry.level) >= self._level]
        view, notice = self.query_one(TextView), self.query_one(Notice)
        view.display, notice.display = bool(chosen), not chosen
        self.query_one(TitleLine).say(
            f"{level} and above" if self._level else "everything",
            styled(
                "following" if self._follow else "holding still", "$text-success" if self._follow else "$text-warning"
            ),
            styled(f"{number(len(chosen))} lines", "$foreground-muted"),
        )
        view.reflow(flow([_rendered(entry) for entry in chosen], None))
        if self._follow:
            view.scroll_end(animate=False, x_axis=False)

    def action_level(self) -> None:
        self._level = (self._level + 1) % len(LEVELS)
        self._show()

    def action_follow(self) -> None:
        self._follow = not self._follow
        self._show()


def _rank(level: str) -> int:
    return LEVELS.index(level) if level in LEVELS else len(LEVELS) - 1


def _rendered(entry: Entry) -> Content:
    return Content.assemble(
        (f"{line(entry.time, 8):<8}  ", "$foreground-muted"),
        (f"{line(entry.level, 8):<8} ", _STYLE.get(entry.level, "$text-error")),
        styled(entry.event, "$foreground"),
        "  ",
        styled(entry.rest, "$foreground-muted"),
    )
