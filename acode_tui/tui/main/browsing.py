"""The session browser's side of the first screen: which page of which sessions, in which order, and whose they are.

This workspace's runs are read again when something was committed. The team's lie on a server that may be slow or away:
they are read in a worker of their own, at turns, so that everything else on the screen goes on meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, get_args

from textual import on, work
from textual.css.query import NoMatches

from acode_tui.config import Settings
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.states import EntityType, SessionState
from acode_tui.storage.cursors import SortKey, cursor_above
from acode_tui.tui.live_screen import LiveScreen
from acode_tui.tui.main.sessions_browser import SessionBrowser
from acode_tui.tui.messages import InputClosed, JumpRequested, PageRead, SearchChanged, StatesSelected
from acode_tui.tui.paging import FIRST_PAGE
from acode_tui.tui.state import BrowserState, Source
from acode_tui.tui.style.times import ORDERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from acode_tui.domain.entities import Session
    from acode_tui.storage.ports import RunStateReader, SessionPage
    from acode_tui.tui.ports import DashboardWorkspace

SEARCH_PAUSE = 0.12
"""Seconds without a key after which a search runs."""

PATIENCE = 0.2
"""Seconds after which a page that has not come is said to be on its way."""


@dataclass(frozen=True, slots=True)
class CursorTarget:
    """Where the cursor stands on a page that comes: on a session, else at one of its ends."""

    session_id: str = ""
    last: bool = False

    def row(self, shown: Sequence[str]) -> int:
        if self.session_id in shown:
            return shown.index(self.session_id)
        return len(shown) - 1 if self.last else 0


TOP, BOTTOM = CursorTarget(), CursorTarget(last=True)


class BrowsingScreen(LiveScreen[None]):
    """Pages, search, filter, order and source."""

    def __init__(self) -> None:
        super().__init__()
        self._request = 0
        self._landing: CursorTarget | None = None
        self._team_version = 0
        self._reading_team = False

    @property
    def browser(self) -> BrowserState:
        return self.dashboard.state.browser

    @property
    def sessions(self) -> SessionBrowser:
        return self.query_one(SessionBrowser)

    # Reading

    async def read(self, workspace: "DashboardWorkspace") -> None:
        if self.browser.source == "local":
            await self._read_page(workspace.store)

    async def _read_page(self, runs: "RunStateReader") -> None:
        request, pages, asked = self._request, self.browser.pages, self.browser.filter
        here = pages.start
        page = await runs.list(asked, limit=pages.limit, after=here.after, before=here.before)
        self.post_message(PageRead(page, await runs.count_by_state(asked), request))

    @work(group="page", exclusive=True, exit_on_error=False)
    async def _turn(self, pause: float) -> None:
        """Read the page that the model points at. Typing on cancels a search that has not begun."""
        if pause:
            await self.dashboard.pause(pause)
        runs = self.dashboard.runs
        if runs is None:
            return
        try:
            await self._read_page(runs)
        except AcodeError as error:
            self.dashboard.report(error)
            self._troubled(error)

    def _show_another_page(self, landing: CursorTarget | None = None, *, pause: float = 0.0) -> None:
        self._request += 1
        self._landing = landing
        self.set_timer(pause + PATIENCE, partial(self._say_reading, self._request))
        self._turn(pause)

    def _say_reading(self, request: int) -> None:
        """A page that takes its time is said to be on its way; a quick one does not flicker."""
        if request == self._request and request != self._answered:
            self.browser.loading = True
            self._retitle_if_shown()

    _answered = 0

    @on(PageRead)
    def _page_read(self, event: PageRead) -> None:
        if event.request == self._request:
            self._show(event.page, event.counts)

    def _show(self, page: "SessionPage", counts: "Mapping[SessionState, int] | None") -> None:
        another = not self.browser.loaded or self._answered != self._request
        landing = TOP if not self.browser.loaded else self._landing
        self._landing, self._answered = None, self._request
        self.browser.set_page(page, counts)
        self.sessions.show(self.dashboard.now(), another=another)
        table = self.sessions.table
        if self.browser.rows and self.focused in (None, self.sessions):
            table.focus()
        if self.browser.rows and landing is not None:
            table.move_cursor(row=landing.row(table.row_keys))

    # The team's runs

    def poll(self) -> None:
        super().poll()
        if (
            self.is_attached
            and self.browser.source == "team"
            and self.dashboard.team.version != self._team_version
            and not self._reading_team
        ):
            self._team_version = self.dashboard.team.version
            self._reading_team = True
            self._read_team()

    def refresh_now(self) -> None:
        self._team_version = -1
        super().refresh_now()

    @work(group="team", exit_on_error=False)
    async def _read_team(self) -> None:
        runs = self.dashboard.team.reader
        try:
            if runs is not None:
                await self._read_page(runs)
        except AcodeError as error:
            if error.message != self.browser.team_error:
                self.dashboard.report(error)
            self._troubled(error)
        finally:
            self._reading_team = False

    def _troubled(self, error: AcodeError) -> None:
        """What is shown of the team's runs stays, and the frame says that it may be old."""
        self.browser.loading = False
        if self.browser.source == "team":
            self.browser.team_error = error.message
        self._retitle_if_shown()

    def action_source(self) -> None:
        workspace, team = self.workspace, self.dashboard.team
        if workspace is not None:
            leaves = team.is_open or self.browser.connecting
            team.switch(self._leave_team if leaves else partial(self._join_team, workspace))

    async def _join_team(self, workspace: "DashboardWorkspace") -> None:
        """Show the team's runs once their first page is there. A fault before leaves everything as it was."""
        self.browser.connecting = True
        self.sessions.retitle()
        asked = self.browser.filter

        async def first(runs: "RunStateReader") -> "tuple[SessionPage, Mapping[SessionState, int] | None]":
            page = await runs.list(asked, limit=self.browser.pages.size)
            return page, await runs.count_by_state(asked)

        try:
            page, counts = await self.dashboard.team.open(workspace, first)
        except AcodeError as error:
            self.dashboard.report(error)
            if self.browser.source == "team":
                await self._leave_team()
            return
        finally:
            self.browser.connecting = False
            self._retitle_if_shown()
        self._look_at("team")
        if asked == self.browser.filter:
            self._show(page, counts)
        else:
            self._show_another_page(TOP)

    async def _leave_team(self) -> None:
        """Show this workspace's runs again, and give the connections back."""
        self.browser.connecting = False
        opened = self.dashboard.team.release()
        self._look_at("local")
        self._show_another_page(TOP)
        await opened.aclose()

    def _look_at(self, source: Source) -> None:
        self.browser.switch_source(source)
        self._request += 1
        self._landing = TOP
        self._team_version = self.dashboard.team.version
        self.dashboard.watch_team()

    def _retitle_if_shown(self) -> None:
        try:
            self.sessions.retitle()
        except NoMatches:
            return  # the dashboard is being left

    # Settings

    def apply_settings(self, settings: Settings, before: Settings) -> None:
        """Go by another page size as well, and read the team's runs from another server."""
        super().apply_settings(settings, before)
        if settings.tui.page_size != before.tui.page_size:
            self.browser.pages.size = settings.tui.page_size
            self._start_over()
        workspace = self.workspace
        moved = settings.persistence.postgres != before.persistence.postgres
        if moved and workspace is not None and self.browser.source == "team":
            self.dashboard.team.switch(partial(self._join_team, workspace))

    # Pages

    def action_page(self, direction: int) -> None:
        pages = self.browser.pages
        if pages.forward() if direction > 0 else pages.back():
            self._show_another_page(TOP)

    def action_first_page(self) -> None:
        if self.browser.pages.start == FIRST_PAGE:
            self.sessions.table.action_top()
        else:
            self.browser.pages.restart()
            self._show_another_page(TOP)

    def action_last_page(self) -> None:
        if self.browser.pages.to_end(self.browser.sort):
            self._show_another_page(BOTTOM)
        else:
            self.sessions.table.action_bottom()

    def _start_over(self, *, pause: float = 0.0) -> None:
        self.browser.pages.restart()
        self._show_another_page(TOP, pause=pause)

    # Search, jump, filter

    async def action_search(self) -> None:
        await self.sessions.open_search()

    async def action_jump(self) -> None:
        await self.sessions.open_jump()

    @on(InputClosed)
    def _input_closed(self) -> None:
        self.sessions.close_lines(clear=False)

    @on(SearchChanged)
    def _searched(self, event: SearchChanged) -> None:
        if event.text != self.browser.text:
            self.browser.search(event.text)
            self._start_over(pause=SEARCH_PAUSE if event.text else 0.0)

    @on(JumpRequested)
    def _jump_requested(self, event: JumpRequested) -> None:
        self._jump(event.prefix)

    @work(group="page", exclusive=True, exit_on_error=False)
    async def _jump(self, prefix: str) -> None:
        """Show the page that the session of that id is on, where it is cheap to tell which that is; else the one that
        begins with it. What hides it is cleared.
        """
        runs = self.dashboard.runs
        if runs is None:
            return
        with self.dashboard.reporting():
            session = await runs.get(await runs.resolve_id(EntityType.SESSION, prefix))
            self.sessions.close_lines(clear=False)
            if session.id in self.sessions.table.row_keys:
                self.sessions.table.move_cursor(row=self.sessions.table.row_keys.index(session.id))
                return
            if self.browser.is_filtered:
                self.browser.states = frozenset()
                self.browser.search("")
                self.sessions.close_lines(clear=True)
                self.notify("search and filter were cleared to show it", title="jump", markup=False)
            await self._turn_to(runs, session)
            self._show_another_page(CursorTarget(session.id))

    async def _turn_to(self, runs: "RunStateReader", session: "Session") -> None:
        """Point the model at the page that holds a session, with as many rows above it as its number says."""
        pages, asked = self.browser.pages, self.browser.filter
        cursor = cursor_above(asked.sort, session)
        above = await runs.count_before(asked, cursor)
        if above is None:
            pages.start_at(cursor)
            return
        if above < pages.size:
            pages.restart()
            return
        if beside := above % pages.size:
            cursor = cursor_above(asked.sort, (await runs.list(asked, limit=beside, before=cursor)).sessions[0])
        pages.start_at(cursor, above // pages.size + 1)

    def action_clear(self) -> None:
        if self.sessions.typing:
            self.sessions.close_lines(clear=True)
        elif self.sessions.choosing:
            self.sessions.table.focus()
        elif self.browser.text:
            self.sessions.close_lines(clear=True)
        elif self.browser.states:
            self._filtered(frozenset())

    def action_filter(self) -> None:
        self.sessions.choose_states()

    @on(StatesSelected)
    def _states_selected(self, event: StatesSelected) -> None:
        self._filtered(event.states)

    def _filtered(self, states: frozenset[SessionState]) -> None:
        if states != self.browser.states:
            self.browser.states = states
            self.sessions.retitle()
            self._start_over()

    # Order and headings

    def action_sort(self) -> None:
        orders = get_args(SortKey)
        self.browser.sort = orders[(orders.index(self.browser.sort) + 1) % len(orders)]
        self.dashboard.change_layout(sort=self.browser.sort)
        self.notify(f"ordered by {ORDERS[self.browser.sort]}", title="order", markup=False)
        self._start_over()

    def action_group(self) -> None:
        self.browser.grouped = not self.browser.grouped
        self.dashboard.change_layout(grouped=self.browser.grouped)
        self.sessions.show(self.dashboard.now(), another=True)
