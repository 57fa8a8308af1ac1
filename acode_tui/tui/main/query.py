"""The part of the main screen that helps to write a query: completion, saved queries, and why no run fits."""

from typing import TYPE_CHECKING

from textual import on, work

from acode_tui.domain.errors import AcodeError
from acode_tui.domain.search.completion import STORED_FIELDS, proposals, typed_at_end
from acode_tui.tui.main.browsing import BrowsingScreen
from acode_tui.tui.messages import (
    FieldValuesRead,
    NoMatchExplained,
    RemoveQueryRequested,
    SaveQueryRequested,
    SearchChanged,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from acode_tui.domain.entities import SessionSummary
    from acode_tui.domain.states import SessionState
    from acode_tui.storage.ports import SessionPage


class QueryScreen(BrowsingScreen):
    """What helps to write a query, on top of what answers the keys of the list."""

    def __init__(self) -> None:
        super().__init__()
        self._field_values: dict[str, tuple[str, ...]] = {}
        """The values of fields, as they were read since the search line was opened."""

    # Completion

    async def action_search(self) -> None:
        self._field_values.clear()
        await super().action_search()
        self.propose()

    @on(SearchChanged)
    def _complete(self) -> None:
        self.propose()

    def propose(self) -> None:
        """Show what the text of the line may become."""
        line = self.sessions.query_line
        if line is None:
            return
        typed = typed_at_end(line.value)
        field = typed.field if typed is not None else ""
        reading = field in STORED_FIELDS and field not in self._field_values
        if reading:
            self._read_field_values(field)
        from acode_tui.tui.main.query_line import choices

        saved = dict(self.dashboard.personal.value.queries)
        found = proposals(line.value, self._field_values.get(field, ()))
        line.propose(choices(found, saved, line.value), reading=reading)
        self.sessions.show_query_error()

    @work(group="values", exclusive=True, exit_on_error=False)
    async def _read_field_values(self, field: str) -> None:
        workspace = self.workspace
        if workspace is not None:
            with self.dashboard.reporting():
                self.post_message(FieldValuesRead(field, await workspace.field_values(field)))

    @on(FieldValuesRead)
    def _field_values_read(self, event: FieldValuesRead) -> None:
        self._field_values[event.field] = event.values
        self.propose()

    # Saved queries

    @on(SaveQueryRequested)
    def _ask_for_name(self, event: SaveQueryRequested) -> None:
        from acode_tui.tui.dialogs.save_query import SaveQueryDialog

        personal = self.dashboard.personal

        def named(name: str | None) -> None:
            if name is None:
                return
            saved = personal.save_query(name, event.query)
            text = f"/ lists “{name}”" if saved else "there are too many; ctrl+r removes one"
            self.notify(text, title="query saved" if saved else "not saved", markup=False)
            self.propose()

        self.app.push_screen(SaveQueryDialog(event.query, personal.value.queries), named)

    @on(RemoveQueryRequested)
    def _ask_to_remove(self, event: RemoveQueryRequested) -> None:
        from acode_tui.tui.dialogs.confirm import ConfirmDialog

        personal = self.dashboard.personal

        def answered(yes: bool | None) -> None:
            if yes:
                personal.remove_query(event.name)
            self.propose()

        question = f"{event.name}\n\n{personal.value.queries.get(event.name, '')}"
        self.app.push_screen(ConfirmDialog("Remove this saved query?", question, yes="remove"), answered)

    # Why no run fits

    def _show_page(
        self,
        page: "SessionPage",
        counts: "Mapping[SessionState, int] | None",
        children: "Mapping[str, Sequence[SessionSummary]] | None" = None,
    ) -> None:
        super()._show_page(page, counts, children)
        if not self.browser.rows and self.browser.is_filtered:
            self._explain_no_match()

    @work(group="why", exclusive=True, exit_on_error=False)
    async def _explain_no_match(self) -> None:
        from acode_tui.ops.no_match import explain_no_match

        runs, given = self.dashboard.runs, self.browser.filter
        if runs is None:
            return
        try:
            self.post_message(NoMatchExplained(given, await explain_no_match(runs, given)))
        except AcodeError:
            return  # the page itself was read; its next read shows the error

    @on(NoMatchExplained)
    def _no_match_explained(self, event: NoMatchExplained) -> None:
        if event.filter == self.browser.filter:
            self.sessions.explain(event.sentences)
