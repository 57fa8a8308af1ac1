"""The part of the main screen that answers the keys of the list: pages, search, jump, filter, order, inner runs."""

from functools import partial
from typing import TYPE_CHECKING, get_args

from textual import on, work

from acode_tui.config import Settings
from acode_tui.domain.errors import NotFoundError, ValidationError
from acode_tui.domain.search.facts import facts_of
from acode_tui.domain.states import EntityType, SessionState
from acode_tui.storage.cursors import FIGURES, SortKey, cursor_above
from acode_tui.tui.main.page_reading import BOTTOM, TOP, CursorTarget, PageReadingScreen
from acode_tui.tui.main.sessions_table import SORTS, SessionTable
from acode_tui.tui.messages import InputClosed, JumpRequested, SearchChanged, StatesSelected
from acode_tui.tui.paging import FIRST_PAGE
from acode_tui.tui.run_lines import MAX_DEPTH

if TYPE_CHECKING:
    from acode_tui.domain.entities import Session
    from acode_tui.storage.ports import RunStateReader

SEARCH_PAUSE = 0.12
"""Seconds without a key after which a search runs."""

ORDERS: tuple[SortKey, ...] = get_args(SortKey)
"""In the order in which a key goes through them. The frame names the one that is chosen."""


class BrowsingScreen(PageReadingScreen):
    """The actions of the keys of a SessionBrowser, and what it reports."""

    # Pages

    def action_page(self, direction: int) -> None:
        pages = self.browser.pages
        if pages.forward() if direction > 0 else pages.back():
            self._request_page(TOP)

    def action_first_page(self) -> None:
        if self.browser.pages.start == FIRST_PAGE:
            self.sessions.table.action_top()
        else:
            self.browser.pages.restart()
            self._request_page(TOP)

    def action_last_page(self) -> None:
        if self.browser.pages.to_end(self.browser.sort):
            self._request_page(BOTTOM)
        else:
            self.sessions.table.action_bottom()

    # Places and inner runs

    def action_hit(self, direction: int) -> None:
        """Go to the next or the previous place that the search found, on the next page too."""
        browser = self.browser
        # A page whose places are still being read, or that another search has left here, has not been gone through.
        is_whole = self._answered == self._request and all(row.id in browser.hits for row in browser.rows)
        goes_on = direction > 0 and browser.pages.next_cursor is not None
        if not self.sessions.next_hit(direction) and goes_on and is_whole:
            self.action_page(1)

    def action_unfold(self) -> None:
        """Show the runs that the run under the cursor started."""
        line = self.sessions.line
        if line is not None and self.browser.folds and line.session.child_count and not line.unfolded:
            self.browser.unfolded |= {line.session.id}
            self._request_page(CursorTarget(line.session.id))

    def action_fold(self) -> None:
        """Hide the runs that the run under the cursor started; on such a run, go to the one that started it."""
        line = self.sessions.line
        if line is None:
            return
        if line.unfolded:
            self.browser.unfolded -= {line.session.id}
            self.sessions.show_rows(self.dashboard.now(), is_other_page=True)
        elif line.depth:
            lines = self.browser.lines
            at = self.sessions.table.cursor_row
            parent = next(index for index in range(at, -1, -1) if lines[index].depth < line.depth)
            self.sessions.table.move_cursor(row=parent)

    # Settings

    def apply_settings(self, settings: Settings, before: Settings) -> None:
        """Apply the page size as well, and connect to another server of the team."""
        super().apply_settings(settings, before)
        if settings.tui.page_size != before.tui.page_size:
            self.browser.pages.size = settings.tui.page_size
            self._restart_pages()
        workspace = self.workspace
        is_other_server = settings.persistence.postgres != before.persistence.postgres
        if is_other_server and workspace is not None and self.browser.source == "team":
            self.dashboard.team.switch(partial(self._switch_to_team, workspace))

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
        if self.browser.search(event.text, self.dashboard.now()):
            self.sessions.retitle()
            self.refresh_bindings()
            self._restart_pages(pause=SEARCH_PAUSE if event.text else 0.0)
        self.sessions.show_query_error()

    def find_runs(self, query: str) -> None:
        """Show the runs that a query finds, as if it had been typed."""
        if self.browser.search(query, self.dashboard.now()):
            self.sessions.retitle()
            self.refresh_bindings()
            self._restart_pages()
        self.sessions.show_query_error()

    @on(JumpRequested)
    def _jump_requested(self, event: JumpRequested) -> None:
        self._jump(event.prefix)

    @work(group="page", exclusive=True, exit_on_error=False)
    async def _jump(self, prefix: str) -> None:
        """Show the page of the session whose id begins with ``prefix``; a search or filter that hides it is cleared.

        Where the rows above it cannot be counted cheaply, the page begins with the session.
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
            if self.browser.sort in FIGURES:
                self._sort_by(
                    "updated"
                )  # a run's place in the order of a figure is not known without reading the order
            outermost = await self._unfold_to(runs, session)
            if self.browser.is_filtered:
                self.browser.states = frozenset()
                self.browser.search("", self.dashboard.now())
                self.sessions.close_lines(clear=True)
                self.notify("search and filter were cleared to show it", title="jump", markup=False)
            await self._point_pager_at(runs, outermost if self.browser.folds else session)
            self._request_page(CursorTarget(session.id))

    async def _unfold_to(self, runs: "RunStateReader", session: "Session") -> "Session":
        """Unfold the runs that a session is inside of, and return the outermost one; itself if it is in none."""
        if self.browser.source == "team":
            return session
        for _ in range(MAX_DEPTH):
            parent = facts_of(session).parent_session_id
            try:
                above = await runs.get(parent) if parent is not None else None
            except (NotFoundError, ValidationError):
                above = None  # its transcript was not imported
            if above is None:
                break
            self.browser.unfolded |= {above.id}
            session = above
        return session

    async def _point_pager_at(self, runs: "RunStateReader", session: "Session") -> None:
        """Point the pager at the page that paging from the first page would show the session on."""
        pages, session_filter = self.browser.pages, self.browser.filter
        cursor = cursor_above(session_filter.sort, session)
        above = await runs.count_before(session_filter, cursor)
        if above is None:
            pages.start_at(cursor)
            return
        if above < pages.size:
            pages.restart()
            return
        if offset := above % pages.size:
            cursor = cursor_above(
                session_filter.sort, (await runs.list(session_filter, limit=offset, before=cursor)).sessions[0]
            )
        pages.start_at(cursor, above // pages.size + 1)

    def action_clear(self) -> None:
        if self.sessions.typing:
            self.sessions.close_lines(clear=True)
        elif self.sessions.choosing:
            self.sessions.table.focus()
        elif self.browser.text:
            self.sessions.close_lines(clear=True)
        elif self.browser.states:
            self._set_states(frozenset())

    def action_filter(self) -> None:
        self.sessions.choose_states()

    @on(StatesSelected)
    def _states_selected(self, event: StatesSelected) -> None:
        self._set_states(event.states)

    def _set_states(self, states: frozenset[SessionState]) -> None:
        if states != self.browser.states:
            self.browser.states = states
            self.sessions.retitle()
            self._restart_pages()

    # Order and headings

    @property
    def _has_figures(self) -> bool:
        """Whether runs can be sorted by their figures."""
        return self.browser.source == "local" and self.has_file

    def action_sort(self) -> None:
        orders = [order for order in ORDERS if self._has_figures or order not in FIGURES]
        self._sort_by(orders[(orders.index(self.browser.sort) + 1) % len(orders)])

    @on(SessionTable.TitleClicked)
    def _title_clicked(self, event: SessionTable.TitleClicked) -> None:
        order = SORTS.get(event.column)
        if order is not None and (self._has_figures or order not in FIGURES):
            self._sort_by(order)

    def _sort_by(self, order: SortKey) -> None:
        if order == self.browser.sort:
            return
        self.browser.sort = order
        self.dashboard.change_layout(sort=order)
        self._restart_pages()

    def action_group(self) -> None:
        self.browser.grouped = not self.browser.grouped
        self.dashboard.change_layout(grouped=self.browser.grouped)
        self.sessions.show(self.dashboard.now(), is_other_page=True)
