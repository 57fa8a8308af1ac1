"""The session browser's side of the first screen: which page of which sessions, and whose they are.

This workspace's runs are read again when something was committed. The team's lie on a server that may be slow or away:
they are read in a worker of their own, at turns, so that everything else on the screen goes on meanwhile.
"""

from functools import partial
from typing import TYPE_CHECKING

from textual import on, work
from textual.css.query import NoMatches

from acode_tui.config import Settings
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.states import SessionState
from acode_tui.tui.live import LiveScreen
from acode_tui.tui.messages import PageRead, SearchClosed, Searched
from acode_tui.tui.state import Browser, Source
from acode_tui.tui.widgets.sessions.browser import SessionBrowser

if TYPE_CHECKING:
    from acode_tui.storage.ports import RunStateReader, SessionPage
    from acode_tui.tui.ports import DashboardWorkspace

SEARCH_PAUSE = 0.12
"""Seconds without a key after which a search runs."""


class BrowsingScreen(LiveScreen[None]):
    """Pages, search, filter, order and source."""

    def __init__(self, page_size: int) -> None:
        super().__init__()
        self.browser = Browser(page_size=page_size)
        self._request = 0
        self._started_on_page = False
        self._turn_seen = 0
        self._reading_team = False

    @property
    def sessions(self) -> SessionBrowser:
        return self.query_one(SessionBrowser)

    # Reading

    async def read(self, workspace: "DashboardWorkspace") -> None:
        if self.browser.source == "local":
            await self._read_page(workspace.store)

    async def _read_page(self, runs: "RunStateReader") -> None:
        request = self._request
        page = await self._page(runs)
        self.post_message(PageRead(page, request))

    async def _page(self, runs: "RunStateReader") -> "SessionPage":
        return await runs.list(self.browser.filter, limit=self.browser.page_size, after=self.browser.anchors[-1])

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

    def _show_another_page(self, pause: float = 0.0) -> None:
        self._request += 1
        self._turn(pause)

    @on(PageRead)
    def _page_read(self, event: PageRead) -> None:
        if event.request == self._request:
            self._show(event.page)

    def _show(self, page: "SessionPage") -> None:
        turned = not self.browser.loaded or self._started_on_page
        self._started_on_page = False
        self.browser.take(page)
        self.sessions.show(self.dashboard.now())
        if self.browser.rows and self.focused in (None, self.sessions):
            self.sessions.table.focus()
        if turned and self.browser.rows:
            self.sessions.table.move_cursor(row=0)

    # The team's runs

    def poll(self) -> None:
        super().poll()
        if (
            self.browser.source == "team"
            and self.is_attached
            and self.dashboard.team.turn != self._turn_seen
            and not self._reading_team
        ):
            self._turn_seen = self.dashboard.team.turn
            self._reading_team = True
            self._read_team()

    def refresh_now(self) -> None:
        self._turn_seen = -1
        super().refresh_now()

    @work(group="team", exit_on_error=False)
    async def _read_team(self) -> None:
        runs = self.dashboard.team.reader
        try:
            if runs is not None:
                await self._read_page(runs)
        except AcodeError as error:
            if error.message != self.browser.trouble:
                self.dashboard.report(error)
            self._troubled(error)
        finally:
            self._reading_team = False

    def _troubled(self, error: AcodeError) -> None:
        """What is shown of the team's runs stays, and the frame says that it may be old."""
        if self.browser.source == "team":
            self.browser.trouble = error.message
            self.sessions.retitle()

    def action_source(self) -> None:
        workspace, team = self.workspace, self.dashboard.team
        if workspace is not None:
            leaves = team.is_open or self.browser.joining
            team.begin(self._leave_team if leaves else partial(self._join_team, workspace))

    async def _join_team(self, workspace: "DashboardWorkspace") -> None:
        """Show the team's runs once their first page is there. A fault before leaves everything as it was."""
        self.browser.joining = True
        self.sessions.retitle()
        asked = self.browser.filter
        try:
            page = await self.dashboard.team.open(
                workspace, lambda runs: runs.list(asked, limit=self.browser.page_size)
            )
        except AcodeError as error:
            self.dashboard.report(error)
            if self.browser.source == "team":
                await self._leave_team()
            return
        finally:
            self.browser.joining = False
            self._retitle_if_shown()
        self._look_at("team")
        if asked == self.browser.filter:
            self._show(page)
        else:
            self._show_another_page()

    async def _leave_team(self) -> None:
        """Show this workspace's runs again, and give the connections back."""
        self.browser.joining = False
        opened = self.dashboard.team.let_go()
        self._look_at("local")
        self._show_another_page()
        await opened.aclose()

    def _look_at(self, source: Source) -> None:
        self.browser.turn_to(source)
        self._request += 1
        self._started_on_page = True
        self._turn_seen = self.dashboard.team.turn
        self.dashboard.watch_team()

    def _retitle_if_shown(self) -> None:
        try:
            self.sessions.retitle()
        except NoMatches:
            return  # the dashboard is being left

    # Settings

    def take_over(self, settings: Settings, before: Settings) -> None:
        """Go by another page size as well, and read the team's runs from another server."""
        super().take_over(settings, before)
        if settings.tui.page_size != before.tui.page_size:
            self.browser.page_size = settings.tui.page_size
            self._start_over()
        workspace = self.workspace
        moved = settings.persistence.postgres != before.persistence.postgres
        if moved and workspace is not None and self.browser.source == "team":
            self.dashboard.team.begin(partial(self._join_team, workspace))

    # Keys

    def action_page(self, direction: int) -> None:
        moved = self.browser.forward() if direction > 0 else self.browser.back()
        if moved:
            self._started_on_page = True
            self._show_another_page()

    def action_first_page(self) -> None:
        if self.browser.page_number > 1:
            self._started_on_page = True
            self._start_over()

    def _start_over(self, pause: float = 0.0) -> None:
        self.browser.restart()
        self._show_another_page(pause)

    async def action_search(self) -> None:
        await self.sessions.open_search()

    @on(SearchClosed)
    def _search_closed(self) -> None:
        self.sessions.close_search(clear=False)

    @on(Searched)
    def _searched(self, event: Searched) -> None:
        if event.text != self.browser.text:
            self.browser.text = event.text
            self._start_over(SEARCH_PAUSE if event.text else 0.0)

    def action_clear(self) -> None:
        if self.sessions.searching and self.browser.text:
            self.sessions.close_search(clear=True)
        elif self.sessions.searching:
            self.sessions.close_search(clear=False)
        elif self.browser.states:
            self._filtered(frozenset())

    def action_filter(self) -> None:
        from acode_tui.tui.screens.filter import StateFilter

        self.app.push_screen(StateFilter(self.browser.states), self._filtered)

    def _filtered(self, states: frozenset[SessionState] | None) -> None:
        if states is not None and states != self.browser.states:
            self.browser.states = states
            self._start_over()

    def action_sort(self) -> None:
        self.browser.sort = "created" if self.browser.sort == "updated" else "updated"
        self._start_over()
