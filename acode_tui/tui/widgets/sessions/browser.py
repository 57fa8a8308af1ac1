"""The session browser: what is shown, of how many, and why nothing is."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message

from acode_tui.tui.palette import SESSION
from acode_tui.tui.state import Browser
from acode_tui.tui.text import line, styled
from acode_tui.tui.times import number
from acode_tui.tui.widgets.keyed_table import KeyedTable
from acode_tui.tui.widgets.notice import Notice
from acode_tui.tui.widgets.sessions.table import SessionTable

if TYPE_CHECKING:
    from acode_tui.tui.widgets.sessions.search import SearchLine


class SessionBrowser(Vertical):
    """The lower part of the first screen."""

    @dataclass
    class Opened(Message):
        """A session was chosen."""

        session_id: str

    def __init__(self, browser: Browser) -> None:
        super().__init__(id="browser")
        self._browser = browser
        self._offer: tuple[str, tuple[str | Content, ...]] | None = None
        self._now: datetime | None = None
        self._search: SearchLine | None = None

    def compose(self) -> ComposeResult:
        yield SessionTable(id="sessions")
        yield Notice(id="why-empty")

    def on_mount(self) -> None:
        self.show(None)

    @property
    def table(self) -> SessionTable:
        return self.query_one(SessionTable)

    @property
    def searching(self) -> bool:
        return self._search is not None and self._search.display

    def show(self, now: datetime | None) -> None:
        """Show the page that the model holds, as seen at a moment."""
        self._now = now or self._now
        empty = not self._browser.rows
        self.table.display = not empty
        notice = self.query_one(Notice)
        notice.display = empty
        if empty:
            headline, lines = self._why_empty()
            notice.say(headline, *lines)
            if self.table.has_focus:
                self.focus()
        self.show_rows()
        self.retitle()

    def show_rows(self, now: datetime | None = None) -> None:
        """Write the rows again: another page, or the same at a later moment."""
        self._now = now or self._now
        if self._now is None or not self._browser.rows:
            return
        table = self.table
        table.source = self._browser.source
        table.lay_out(max(self.size.width - 2, 20))
        table.show_sessions(self._browser.rows, self._now)

    def offer(self, headline: str, *lines: str | Content) -> None:
        """What to say where there are no sessions at all."""
        self._offer = (headline, lines)
        self.show(None)

    async def open_search(self) -> None:
        """Show the search line; it is made when it is first wanted."""
        if self._search is None:
            from acode_tui.tui.widgets.sessions.search import SearchLine

            self._search = SearchLine()
            await self.mount(self._search, before=0)
        self._search.display = True
        # Now, not when the app comes to it: the next letters may be on their way already.
        self.screen.set_focus(self._search)

    def close_search(self, *, clear: bool) -> None:
        if self._search is not None:
            if clear:
                self._search.value = ""
            self._search.display = bool(self._search.value)
        if self._browser.rows:
            self.table.focus()

    def on_resize(self, event: events.Resize) -> None:
        self.show_rows()

    @on(KeyedTable.RowSelected, "#sessions")
    def _chosen(self, event: KeyedTable.RowSelected) -> None:
        event.stop()
        self.post_message(self.Opened(event.key))

    def _why_empty(self) -> tuple[str, tuple[str | Content, ...]]:
        if not self._browser.loaded:
            return "Opening the workspace…", ("The first opening of a large workspace may take a moment.",)
        if self._browser.narrowed:
            what = f"“{line(self._browser.text.strip(), 40)}”" if self._browser.text.strip() else "these states"
            return (
                "No session fits",
                (f"Nothing here matches {what}.", keys(("esc", "shows everything again"), ("f", "chooses states"))),
            )
        if self._browser.page_number > 1:
            return "This page is empty now", (keys(("[", "goes back a page")),)
        if self._browser.source == "team":
            return (
                "The team's database holds no runs yet",
                (
                    "What any workspace sends is listed here.",
                    keys(("s", "sends what waits here"), ("T", "shows this workspace's own")),
                ),
            )
        return self._offer or (
            "No runs recorded here yet",
            (
                "Record one from Python with acode_tui.open_workspace(), or",
                keys(("i", "looks for transcripts to import")),
            ),
        )

    def retitle(self) -> None:
        """Say in the frame whose sessions are shown, which, and how many."""
        browser = self._browser
        states = " ".join(SESSION[state].label for state in browser.filter.states) or "all"
        title: list[Content] = [
            styled("Sessions", "bold"),
            Content.assemble(("source: ", "$foreground-muted"), self._source()),
            Content.assemble(("state: ", "$foreground-muted"), (states, "$foreground")),
        ]
        if browser.text.strip():
            title.append(
                Content.assemble(("search: ", "$foreground-muted"), (line(browser.text.strip(), 24), "$text-warning"))
            )
        if browser.sort == "created":
            title.append(Content.assemble(("order: ", "$foreground-muted"), ("created", "$foreground")))
        self.border_title = Content("   ").join(title)
        pages = "" if browser.page_count is None else f" of {number(browser.page_count)}"
        if browser.trouble:
            self.border_subtitle = self._trouble()
            return
        total = "" if browser.total is None else f"{number(browser.total)} sessions · "
        self.border_subtitle = Content.styled(
            f"{total}page {number(browser.page_number)}{pages}" if browser.loaded else "", "$foreground-muted"
        )

    def _source(self) -> Content:
        browser = self._browser
        if browser.joining:
            return styled("team, connecting… (T gives up)", "$text-warning")
        if browser.trouble:
            return styled("✗ team, out of reach", "$text-error")
        return styled(browser.source, "$text-primary" if browser.source == "team" else "$foreground")

    def _trouble(self) -> Content:
        advice = keys(("R", "tries again"), ("T", "shows this workspace's own"))
        room = max(self.size.width - advice.cell_length - 12, 0)
        why = f"{line(self._browser.trouble, room)}  ·  " if room > 20 else ""
        return Content.assemble((why, "$text-warning"), advice)


def keys(*pairs: tuple[str, str]) -> Content:
    """``i imports them · esc goes back`` with the keys set off."""
    parts: list[Content] = [
        Content.assemble((pressed, "bold $text-primary"), (f" {does}", "$foreground-muted")) for pressed, does in pairs
    ]
    return Content.styled("  ·  ", "$foreground-muted").join(parts)
