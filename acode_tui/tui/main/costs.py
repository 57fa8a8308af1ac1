"""The part of the main screen that reads what the listed runs cost, where the list has room to show it."""

from typing import TYPE_CHECKING

from textual import on, work

from acode_tui.tui.main.query import QueryScreen
from acode_tui.tui.messages import CostsRead

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from acode_tui.domain.entities import SessionSummary
    from acode_tui.domain.states import SessionState
    from acode_tui.storage.ports import SessionPage


class CostsScreen(QueryScreen):
    """The costs of the page, on top of what helps to write a query. They come after the list, which does not wait."""

    def _show_page(
        self,
        page: "SessionPage",
        counts: "Mapping[SessionState, int] | None",
        children: "Mapping[str, Sequence[SessionSummary]] | None" = None,
    ) -> None:
        super()._show_page(page, counts, children)
        self.read_costs()

    def read_costs(self) -> None:
        """Read the costs of the runs on the page, if the list has a column for them."""
        if any(column.key == "cost" for column in self.sessions.table.columns) and self.browser.rows:
            self._load_costs([line.session.id for line in self.browser.lines])

    @work(group="costs", exclusive=True, exit_on_error=False)
    async def _load_costs(self, session_ids: list[str]) -> None:
        workspace = self.workspace
        if workspace is not None:
            with self.dashboard.reporting():
                self.post_message(CostsRead(await workspace.costs(session_ids)))

    @on(CostsRead)
    def _costs_read(self, event: CostsRead) -> None:
        if dict(event.costs) != self.browser.costs:
            self.browser.costs = dict(event.costs)
            self.sessions.show_rows(self.dashboard.now())
