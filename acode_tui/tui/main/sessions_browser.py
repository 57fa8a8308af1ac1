"""The session browser: the lines above the list, the list, and the reason why it is empty."""

from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from acode_tui.domain.quantities import counted, number
from acode_tui.storage.ports import SearchHit
from acode_tui.sync.ports import SyncState
from acode_tui.tui.dashboard_app import DashboardGetter
from acode_tui.tui.main.hit_rows import of_key, with_hits
from acode_tui.tui.main.sessions_chips import StateChips
from acode_tui.tui.main.sessions_headings import headings
from acode_tui.tui.main.sessions_table import SessionTable, session_rows
from acode_tui.tui.messages import FieldsMessage
from acode_tui.tui.paging import FIRST_PAGE, SessionPager
from acode_tui.tui.run_lines import RunLine
from acode_tui.tui.state import DashboardState
from acode_tui.tui.style.text import line, styled
from acode_tui.tui.widgets.keyed_table import KeyedTable
from acode_tui.tui.widgets.notice import Notice, keys

if TYPE_CHECKING:
    from textual.widgets import Input

    from acode_tui.tui.main.query_line import QueryLine
    from acode_tui.tui.widgets.input_lines import JumpLine


class SessionBrowser(Vertical):
    """The lower part of the main screen."""

    dashboard = DashboardGetter()

    class Opened(FieldsMessage):
        """The user opened a session, or a place in it that the search found."""

        session_id: str
        hit: SearchHit | None = None

    def __init__(self, state: DashboardState, zone: tzinfo | None) -> None:
        super().__init__(id="browser")
        self._state = state
        self._browser = state.browser
        self._zone = zone
        self._offer: tuple[str, tuple[str | Content, ...]] | None = None
        self._now: datetime | None = None
        self._search: QueryLine | None = None
        self._why_none: list[str] = []
        self._query_error: Static | None = None
        self._jump: JumpLine | None = None

    def compose(self) -> ComposeResult:
        yield StateChips(self._browser)
        yield SessionTable(id="sessions")
        yield Notice(id="why-empty")

    def on_mount(self) -> None:
        self.show(None)

    @property
    def table(self) -> SessionTable:
        return self.query_one(SessionTable)

    @property
    def line(self) -> RunLine | None:
        """The run under the cursor, and where it stands."""
        under, _ = of_key(self.table.cursor_key or "")
        return next((line for line in self._browser.lines if line.session.id == under), None)

    @property
    def query_line(self) -> "QueryLine | None":
        """The search line, once it was opened."""
        return self._search

    @property
    def typing(self) -> bool:
        """Whether the search line or the jump line has the focus."""
        return any(input is not None and input.has_focus for input in (self._search, self._jump))

    @property
    def choosing(self) -> bool:
        """Whether the chips have the focus."""
        return self.query_one(StateChips).has_focus

    # The list

    def show(self, now: datetime | None, *, is_other_page: bool = False) -> None:
        """Show the page of the state as of ``now``; ``is_other_page`` if another one was shown before."""
        self._now = now or self._now
        empty = not self._browser.rows
        if is_other_page:
            self._why_none = []
        self.table.display = not empty
        self.query_one(StateChips).display = self._browser.loaded and (not empty or self._browser.is_filtered)
        notice = self.query_one(Notice)
        notice.display = empty
        if empty:
            self._explain()
            if self.table.has_focus:
                self.focus()
        self.show_rows(is_other_page=is_other_page)
        self.retitle()

    def show_rows(self, now: datetime | None = None, *, is_other_page: bool = False) -> None:
        """Draw the rows again: of another page, or of the same one at a later moment."""
        self._now = now or self._now
        if self._now is None or not self._browser.rows:
            return
        browser, table = self._browser, self.table
        table.source, table.sort, table.has_server = browser.source, browser.sort, self._has_server
        # Before the first layout the widget has no width; rows of another width would be drawn a frame later.
        width = self.size.width or self.app.size.width - self.gutter.width
        table.lay_out(max(width - 2, 20))
        heads = headings(browser.rows, browser.sort, self._now, self._zone) if browser.grouped else None
        runs = session_rows(browser.lines, self._now, browser.costs, browser.marked)
        rows = with_hits(runs, browser.hits if browser.finds_places else {})
        table.show(rows, headings=heads, at_once=is_other_page)

    @property
    def _has_server(self) -> bool:
        """Whether there is a PostgreSQL to send to: without one every run would be pending for ever."""
        overview = self._state.overview
        if overview is None:
            return self.dashboard.settings.persistence.postgres.enabled
        return overview.sync.state is not SyncState.DISABLED

    def explain(self, why: list[str]) -> None:
        """Say in the notice why no session fits."""
        self._why_none = why
        self._explain()

    def offer(self, headline: str, *lines: str | Content) -> None:
        """Set the notice for a workspace without sessions."""
        self._offer = (headline, lines)
        self.show(None)

    def on_resize(self, event: events.Resize) -> None:
        self.show_rows()
        self.retitle()

    @on(KeyedTable.RowSelected, "#sessions")
    def _row_selected(self, event: KeyedTable.RowSelected) -> None:
        event.stop()
        session_id, number = of_key(event.key)
        hits = self._browser.hits.get(session_id, ())
        self.post_message(self.Opened(session_id, hits[number] if number is not None and number < len(hits) else None))

    def next_hit(self, direction: int) -> bool:
        """Put the cursor on the next (1) or the previous (-1) place that was found; False if there is none here."""
        keys = self.table.row_keys
        at = self.table.cursor_row + direction
        while 0 <= at < len(keys):
            if of_key(keys[at])[1] is not None:
                self.table.move_cursor(row=at)
                return True
            at += direction
        return False

    # The lines above the list

    async def open_search(self) -> None:
        """Show and focus the search line, which is created when it is first opened."""
        if self._search is None:
            from acode_tui.tui.main.query_line import Choices, QueryLine

            below = Choices()
            self._search = QueryLine(below)
            self._query_error = Static(id="query-error")
            self._query_error.display = False
            await self.mount(self._search, below, self._query_error, before=0)
        self._open(self._search)

    async def open_jump(self) -> None:
        """Show and focus the line for a session's id."""
        if self._jump is None:
            from acode_tui.tui.widgets.input_lines import JumpLine

            self._jump = JumpLine()
            await self.mount(self._jump, before=0)
        self._jump.value = ""
        self._open(self._jump)

    def _open(self, input: "Input") -> None:
        input.display = True
        # Not focus(), which takes effect later: the next letters may already be typed.
        self.screen.set_focus(input)

    def close_lines(self, *, clear: bool) -> None:
        """Focus the list again. The search line stays visible while it has a text, unless ``clear`` empties it."""
        if self._jump is not None:
            self._jump.display = False
        if self._search is not None:
            if clear:
                self._search.value = ""
            self._search.display = bool(self._search.value)
            if not self._search.display and self._query_error is not None:
                self._query_error.display = False
        if self._browser.rows:
            self.table.focus()
        else:
            self.screen.set_focus(None)

    def show_query_error(self) -> None:
        """Say below the search line why its text is no query, or nothing where it is one."""
        if self._query_error is not None:
            # While proposals are shown the text is not complete: what is missing is in their list.
            error = "" if self._search is not None and self._search.proposes else self._browser.query_error
            self._query_error.update(styled(error, "$text-error"))
            self._query_error.display = bool(error)

    def choose_states(self) -> None:
        """Focus the chips."""
        chips = self.query_one(StateChips)
        chips.display = True
        self.screen.set_focus(chips)

    # The notice and the frame

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _focus_changed(self) -> None:
        """Name other keys on an empty page: those that work depend on the focus."""
        if not self._browser.rows:
            self._explain()

    def _explain(self) -> None:
        headline, lines = self._why_empty()
        self.query_one(Notice).update(headline, *lines)

    def _why_empty(self) -> tuple[str, tuple[str | Content, ...]]:
        browser = self._browser
        if not browser.loaded:
            if self._state.read_error is not None:
                return "The workspace cannot be read", (
                    line(self._state.read_error.message),
                    line(self._state.read_error.hint or ""),
                    "It is tried again by itself; nothing that agents record elsewhere is lost.",
                )
            return "Opening the workspace…", ("The first opening of a large workspace may take a moment.",)
        if browser.is_filtered:
            what = f"“{line(browser.text.strip(), 40)}”" if browser.text.strip() else "these states"
            both = " in these states" if browser.text.strip() and browser.states else ""
            why = [line(sentence, max(self.size.width - 8, 20)) for sentence in self._why_none]
            return "No session fits", (f"Nothing here matches {what}{both}.", *why, self._keys_that_show_more())
        if browser.pages.start != FIRST_PAGE:
            return "This page is empty now", (keys(("[", "goes back a page"), ("home", "goes to the first")),)
        if browser.source == "team":
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

    def _keys_that_show_more(self) -> Content:
        """The keys that show more sessions, of those that work where the focus is."""
        if self.choosing:
            return keys(("a", "shows every state"))
        both = self._browser.text.strip() and self._browser.states
        clear = ("esc", "clears the search" if both else "shows everything again")
        return keys(clear) if self.typing else keys(clear, ("f", "chooses states"))

    def retitle(self) -> None:
        """Write the frame: the source, the search and the order, the page and the number of sessions."""
        browser = self._browser
        self.query_one(StateChips).refresh()
        title: list[Content] = [
            styled("Sessions", "bold"),
            Content.assemble(("source: ", "$foreground-muted"), self._source()),
        ]
        if browser.answered_text.strip():
            # Of the rows on screen: they are never shown under words that they do not answer yet.
            words = line(browser.answered_text.strip(), 24)
            title.append(Content.assemble(("search: ", "$foreground-muted"), (words, "$text-warning")))
        if browser.marked:
            others = "= compares them" if len(browser.marked) > 1 else "space marks another one"
            title.append(styled(f"{len(browser.marked)} marked, {others}", "$text-warning"))
        if browser.sort != "updated":
            title.append(Content.assemble(("order: ", "$foreground-muted"), (browser.sort, "$foreground")))
        self.border_title = Content("   ").join(title)
        self.border_subtitle = self._page_label()

    def _source(self) -> Content:
        browser = self._browser
        if browser.connecting:
            return styled("team, connecting… (T gives up)", "$text-warning")
        if browser.team_error:
            return styled("✗ team, out of reach", "$text-error")
        return styled(browser.source, "$text-primary" if browser.source == "team" else "$foreground")

    def _page_label(self) -> Content:
        """The page and the number of pages; or why it cannot be read."""
        browser = self._browser
        if browser.team_error:
            return self._error_label(
                browser.team_error, keys(("R", "tries again"), ("T", "shows this workspace's own"))
            )
        error = self._state.read_error or self._state.write_error
        if error is not None and browser.source == "local":
            return self._error_label(
                f"✗ {error.code}: {error.message}", styled("tried again by itself", "$foreground-muted")
            )
        if not browser.loaded:
            return Content("")
        if browser.loading and browser.text.strip() != browser.answered_text.strip():
            sought = line(browser.text.strip(), 24)
            return styled(f"searching for {sought}…" if sought else "ending the search…", "$text-primary")
        if browser.loading:
            return styled("reading the page…", "$text-primary")
        pages = browser.pages
        total = "" if pages.total is None else f"{number(pages.total)} sessions · "
        of = "" if pages.count is None else f" of {number(pages.count)}"
        page = f"page {number(pages.number)}{of}" if pages.number is not None else _unnumbered(pages)
        return styled(f"{total}{page}", "$foreground-muted")

    def _error_label(self, why: str, advice: Content) -> Content:
        room = max(self.size.width - advice.cell_length - 12, 0)
        reason = f"{line(why, room)}  ·  " if room > 20 else ""
        return Content.assemble((reason, "$text-error"), advice)


def _unnumbered(pages: SessionPager) -> str:
    """The label of a page without a known number."""
    if pages.from_end is None:
        return "from here on"
    return "last page" if pages.is_last else f"{counted(pages.from_end, 'page')} before the last"
