"""The part of the main screen that reads sessions: a page of them, what a search finds in them, the runs inside them.

This workspace's sessions are read again after a commit. The team's are on a server that may be slow or unreachable:
they are read at intervals, in a worker of their own, so that the rest of the screen does not wait for it.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from textual import on, work
from textual.css.query import NoMatches

from acode_tui.domain.entities import SessionSummary
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.search.query import as_typed
from acode_tui.domain.states import SessionState
from acode_tui.storage.cursors import FIGURES, MAX_PAGE
from acode_tui.storage.ports import SessionFilter
from acode_tui.tui.live_screen import LiveScreen
from acode_tui.tui.main.hit_rows import SHOWN
from acode_tui.tui.main.sessions_browser import SessionBrowser
from acode_tui.tui.messages import HitsRead, PageRead
from acode_tui.tui.run_lines import MAX_DEPTH
from acode_tui.tui.state import BrowserState, Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from acode_tui.storage.ports import RunStateReader, SessionPage
    from acode_tui.tui.ports import DashboardWorkspace

LOADING_DELAY = 0.2
"""Seconds after which a page that is not read yet is shown as loading; a quick one does not flicker."""


class CursorTarget(msgspec.Struct, frozen=True):
    """The row for the cursor on a page that is being read: a session's, else the first or the last one."""

    session_id: str = ""
    last: bool = False

    def row(self, session_ids: Sequence[str]) -> int:
        """The index of the row among the sessions of the page."""
        if self.session_id in session_ids:
            return session_ids.index(self.session_id)
        return len(session_ids) - 1 if self.last else 0


TOP, BOTTOM = CursorTarget(), CursorTarget(last=True)

HITS_AT_ONCE = 8
"""Runs whose places are read together: those at the top of the list are shown first."""

MAX_CHILDREN = 1_000
"""Most runs that are shown below one."""


async def read_children(
    runs: "RunStateReader", sessions: "Sequence[SessionSummary]", unfolded: frozenset[str]
) -> "dict[str, Sequence[SessionSummary]]":
    """The children of the unfolded ones of these sessions and of the unfolded ones inside them, newest first."""
    found: dict[str, Sequence[SessionSummary]] = {}
    level = sessions
    for _ in range(MAX_DEPTH):
        opened = [each.id for each in level if each.id in unfolded and each.child_count and each.id not in found]
        for parent in opened:
            found[parent] = await _children_of(runs, parent)
        level = [child for parent in opened for child in found[parent]]
    return found


async def _children_of(runs: "RunStateReader", parent: str) -> "list[SessionSummary]":
    of_one, found, cursor = SessionFilter(parent=parent, sort="created"), list[SessionSummary](), None
    while len(found) < MAX_CHILDREN:
        page = await runs.list(of_one, limit=MAX_PAGE, after=cursor)
        found += page.sessions
        cursor = page.next_cursor
        if cursor is None:
            break
    return found


class PageReadingScreen(LiveScreen[None]):
    """A screen with a SessionBrowser that shows a page, the places found in its runs, and the runs inside them."""

    def __init__(self) -> None:
        super().__init__()
        self._request = 0
        """Counts the pages that were asked for; the answer to an older request is dropped."""
        self._answered = 0
        self._cursor_target: CursorTarget | None = None
        self._team_version = 0
        self._reading_team = False

    @property
    def browser(self) -> BrowserState:
        return self.dashboard.state.browser

    @property
    def has_file(self) -> bool:
        """Whether the workspace is a file. A database that is one keeps no index of parents or of a run's figures."""
        return self.workspace is None or self.workspace.has_file

    @property
    def sessions(self) -> SessionBrowser:
        return self.query_one(SessionBrowser)

    # Reading pages

    def on_mount(self) -> None:
        first = self.dashboard.first_page
        if first is not None:
            self._show_page(first.page, first.counts)

    async def read(self, workspace: "DashboardWorkspace") -> None:
        if self.browser.source == "local":
            await self._read_page(workspace.store)

    async def _read_page(self, runs: "RunStateReader") -> None:
        request, pages, session_filter = self._request, self.browser.pages, self.browser.filter
        if runs is self.dashboard.team.reader:
            session_filter = msgspec.structs.replace(session_filter, folded=False)
            if session_filter.sort in FIGURES:
                return  # the source is being switched, and the list will be in another order
        elif not self.has_file:
            session_filter = msgspec.structs.replace(session_filter, folded=False)
        unfolded = self.browser.unfolded if session_filter.folded else frozenset()
        page = await runs.list(session_filter, limit=pages.limit, after=pages.start.after, before=pages.start.before)
        children = await read_children(runs, page.sessions, unfolded)
        self.post_message(PageRead(page, await runs.count_by_state(session_filter), children, request))

    @work(group="page", exclusive=True, exit_on_error=False)
    async def _load_page(self, pause: float) -> None:
        """Read the page that the pager points at, after a pause. The next request cancels it."""
        if pause:
            await self.dashboard.pause(pause)
        runs = self.dashboard.runs
        if runs is None:
            return
        try:
            await self._read_page(runs)
        except AcodeError as error:
            self.dashboard.report(error)
            self._show_team_error(error)

    def _request_page(self, target: CursorTarget, *, pause: float = 0.0) -> None:
        self._request += 1
        self._cursor_target = target
        self.set_timer(pause + LOADING_DELAY, partial(self._show_loading, self._request))
        self._load_page(pause)

    def _show_loading(self, request: int) -> None:
        if request == self._request and request != self._answered:
            self.browser.loading = True
            self._retitle_if_shown()

    @on(PageRead)
    def _page_read(self, event: PageRead) -> None:
        if event.request == self._request:
            self._show_page(event.page, event.counts, event.children)

    def _show_page(
        self,
        page: "SessionPage",
        counts: "Mapping[SessionState, int] | None",
        children: "Mapping[str, Sequence[SessionSummary]] | None" = None,
    ) -> None:
        is_other_page = not self.browser.loaded or self._answered != self._request
        target = TOP if not self.browser.loaded else self._cursor_target
        self._cursor_target, self._answered = None, self._request
        stamps = {row.id: row.updated_at for row in self.browser.rows}
        unchanged = [row.id for row in page if stamps.get(row.id) == row.updated_at]
        self.browser.set_page(page, counts, children)
        self.browser.hits = {each: self.browser.hits[each] for each in unchanged if each in self.browser.hits}
        self.sessions.show(self.dashboard.now(), is_other_page=is_other_page)
        self._read_hits()
        table = self.sessions.table
        if self.browser.rows and self.focused in (None, self.sessions):
            table.focus()
        if self.browser.rows and target is not None:
            table.move_cursor(row=target.row(table.row_keys))

    def _restart_pages(self, *, pause: float = 0.0) -> None:
        self.browser.pages.restart()
        self._request_page(TOP, pause=pause)

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
            self._show_team_error(error)
        finally:
            self._reading_team = False

    def _show_team_error(self, error: AcodeError) -> None:
        """Keep the team's sessions on screen, and show in the frame that they may be out of date."""
        self.browser.loading = False
        if self.browser.source == "team":
            self.browser.team_error = error.message
        self._retitle_if_shown()

    def action_source(self) -> None:
        workspace, team = self.workspace, self.dashboard.team
        if not self.has_file:
            self.app.notify("these are all runs of the database", markup=False)
        elif workspace is not None:
            is_team = team.is_open or self.browser.connecting
            team.switch(self._switch_to_local if is_team else partial(self._switch_to_team, workspace))

    async def _switch_to_team(self, workspace: "DashboardWorkspace") -> None:
        """Show the team's runs after their first page was read. An error before that changes nothing."""
        self.browser.connecting = True
        self.sessions.retitle()
        session_filter = msgspec.structs.replace(self.browser.filter, folded=False)
        if session_filter.sort in FIGURES:
            session_filter = msgspec.structs.replace(session_filter, sort="updated")

        async def first_page(runs: "RunStateReader") -> "tuple[SessionPage, Mapping[SessionState, int] | None]":
            page = await runs.list(session_filter, limit=self.browser.pages.size)
            return page, await runs.count_by_state(session_filter)

        try:
            page, counts = await self.dashboard.team.open(workspace, first_page)
        except AcodeError as error:
            self.dashboard.report(error)
            if self.browser.source == "team":
                await self._switch_to_local()
            return
        finally:
            self.browser.connecting = False
            self._retitle_if_shown()
        self._set_source("team")
        if session_filter == self.browser.filter:
            self._show_page(page, counts)
        else:
            self._request_page(TOP)

    async def _switch_to_local(self) -> None:
        """Show this workspace's runs again, and close the connections to the team's database."""
        self.browser.connecting = False
        connections = self.dashboard.team.release()
        self._set_source("local")
        self._request_page(TOP)
        await connections.aclose()

    def _set_source(self, source: Source) -> None:
        self.browser.switch_source(source)
        self._request += 1
        self._cursor_target = TOP
        self._team_version = self.dashboard.team.version
        self.dashboard.watch_team()

    def _retitle_if_shown(self) -> None:
        try:
            self.sessions.retitle()
        except NoMatches:
            return  # the dashboard is exiting

    # The places that a search finds

    def _read_hits(self) -> None:
        """Read the places in the runs on screen that were not read yet; the list is shown meanwhile."""
        browser = self.browser
        if browser.finds_places:
            missing = [row.id for row in browser.rows if row.id not in browser.hits]
            if missing:
                self._load_hits(browser.text, missing)

    @work(group="hits", exclusive=True, exit_on_error=False)
    async def _load_hits(self, text: str, session_ids: list[str]) -> None:
        workspace, query = self.workspace, as_typed(text)
        for start in range(0, len(session_ids), HITS_AT_ONCE):
            if workspace is None or text != self.browser.text:
                return
            asked = session_ids[start : start + HITS_AT_ONCE]
            with self.dashboard.reporting():
                found = await workspace.hits_in(query, asked, most=SHOWN + 1)
                self.post_message(HitsRead({each: found.get(each, ()) for each in asked}, text))

    @on(HitsRead)
    def _hits_read(self, event: HitsRead) -> None:
        if event.text == self.browser.text:
            self.browser.hits.update(event.hits)
            self.sessions.show_rows(self.dashboard.now(), is_other_page=True)
