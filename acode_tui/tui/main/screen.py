"""The main screen: the overview of the workspace, the session browser, and the keys that open every other screen."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content

from acode_tui.domain.display import session_name
from acode_tui.domain.quantities import number, size
from acode_tui.tui.bindings import FOLLOW, MAIN
from acode_tui.tui.main.costs import CostsScreen
from acode_tui.tui.main.follow_question import FollowQuestion
from acode_tui.tui.main.header import HeaderLine
from acode_tui.tui.main.hit_rows import found_text, of_key, place_of
from acode_tui.tui.main.overview import read_overview, read_without_commit
from acode_tui.tui.main.pane import Pane
from acode_tui.tui.main.panes import ConflictsPane, OutboxPane, RetriesPane, SchemaPane, is_off
from acode_tui.tui.main.sessions_browser import SessionBrowser
from acode_tui.tui.messages import OverviewRead, PaneOpened, TranscriptsFound
from acode_tui.tui.terminal import capture_mouse
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.notice import keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from acode_tui.domain.entities import SessionSummary
    from acode_tui.domain.states import SessionState
    from acode_tui.storage.ports import SessionPage
    from acode_tui.tui.ports import DashboardWorkspace
    from acode_tui.tui.transcript_import import Survey


class MainScreen(CostsScreen):
    """The header, the four panes, the session browser and the footer."""

    AUTO_FOCUS = ""
    IDLE_EVERY = 2
    BINDINGS: ClassVar[list[BindingType]] = [*FOLLOW, *MAIN]

    def __init__(self) -> None:
        super().__init__()
        self._surveyed = False
        self._opened_early: SessionBrowser.Opened | None = None
        """The run that was opened before the workspace was: it is shown as soon as it can be read."""
        self._panes_open = True

    def compose(self) -> ComposeResult:
        state = self.dashboard.state
        yield HeaderLine(self.dashboard.root, self.dashboard.zone, state)
        chosen = state.layout.panes_open
        self._panes_open = self.dashboard.settings.persistence.postgres.enabled if chosen is None else chosen
        folded = not self._panes_open
        with Horizontal(id="panes", classes="-folded" if folded else ""):
            for pane in (SchemaPane, OutboxPane, RetriesPane, ConflictsPane):
                yield pane(state, folded=folded)
        yield FollowQuestion(state.follow)
        yield SessionBrowser(state, self.dashboard.zone)
        yield KeyBar()

    def on_mount(self) -> None:
        self.set_interval(1.0, self._redraw_times)
        self.dashboard.theme_changed_signal.subscribe(self, lambda _: self.query_one(SessionBrowser).table.restyle())
        self._redraw_times()

    # The overview

    async def read(self, workspace: "DashboardWorkspace") -> None:
        await super().read(workspace)
        self.post_message(OverviewRead(await read_overview(workspace)))

    async def read_idle(self, workspace: "DashboardWorkspace") -> None:
        known = self.dashboard.state.overview
        if known is not None:
            self.post_message(OverviewRead(await read_without_commit(workspace, known)))

    @on(OverviewRead)
    def _overview_read(self, event: OverviewRead) -> None:
        self.dashboard.state.set_overview(event.overview, self.dashboard.now())
        self._draw_overview()

    def _draw_overview(self) -> None:
        now = self.dashboard.now()
        self.query_one(HeaderLine).show(now)
        self._fold_panes(now)
        for pane in self.query(Pane):
            pane.show(now)
        self.query_one(KeyBar).follow()

    def _fold_panes(self, now: datetime) -> None:
        """Open the panes, or fold them to one line, as the layout or what they have to say decides."""
        chosen = self.dashboard.state.layout.panes_open
        self._panes_open = self._panes_matter(now) if chosen is None else chosen
        self.query_one("#panes").set_class(not self._panes_open, "-folded")
        for pane in self.query(Pane):
            pane.fold(not self._panes_open)

    def _panes_matter(self, now: datetime) -> bool:
        """Whether there is a PostgreSQL, or one of the panes is not well."""
        overview = self.dashboard.state.overview
        if overview is None:
            return self.dashboard.settings.persistence.postgres.enabled
        return not is_off(overview) or any(pane.status(overview, now).look != "quiet" for pane in self.query(Pane))

    @property
    def timely_keys(self) -> frozenset[str]:
        """The keys to what needs the user's attention, and the way out of a search."""
        overview, browser = self.dashboard.state.overview, self.browser
        keys = {"import"} if browser.loaded and not browser.rows and not browser.is_filtered else set()
        if self.dashboard.state.follow.phase == "asking":
            keys |= {"follow_yes", "follow_no"}
        if browser.is_filtered or (self.is_mounted and (self.sessions.typing or self.sessions.choosing)):
            keys.add("back")
        keys |= {"mark", "compare"} if browser.marked else set()
        keys |= {"trust"} if self.dashboard.state.withheld else set()
        if overview is not None:
            keys |= {"retries"} if overview.outbox.failed else set()
            keys |= {"conflicts"} if overview.conflicts.unreviewed else set()
            keys |= {"migrate"} if overview.schema.pending else set()
        return frozenset(keys)

    def store_errors_changed(self) -> None:
        self._draw_overview()
        self.sessions.show(self.dashboard.now())

    def _show_page(
        self,
        page: "SessionPage",
        counts: "Mapping[SessionState, int] | None",
        children: "Mapping[str, Sequence[SessionSummary]] | None" = None,
    ) -> None:
        super()._show_page(page, counts, children)
        self.query_one(KeyBar).follow()
        nothing = not self.browser.rows and not self.browser.is_filtered
        if nothing and self.browser.source == "local" and not self._surveyed:
            self._surveyed = True
            self._find_transcripts()

    def _redraw_times(self) -> None:
        """Redraw what depends on the present time, once a second. Nothing is read."""
        if not self.is_current:
            return
        self._draw_overview()
        now = self.dashboard.now()
        newest = max((session.updated_at for session in self.browser.rows), default=now)
        # Ages above a minute change once a minute: a redraw every ten seconds is enough.
        if now - newest < timedelta(minutes=1) or now.second % 10 == 0:
            self.sessions.show_rows(now)

    # Transcripts on this machine

    @work(group="survey", exit_on_error=False)
    async def _find_transcripts(self) -> None:
        workspace = self.workspace
        if workspace is not None:
            with self.dashboard.reporting():
                self.post_message(TranscriptsFound(await self.dashboard.importer.survey(workspace)))

    @on(TranscriptsFound)
    def _transcripts_found(self, event: TranscriptsFound) -> None:
        headline, lines = _offer(event.survey)
        self.sessions.offer(headline, *lines)

    # Following transcripts

    def show_following(self) -> None:
        """Show whether transcripts are followed, and the question whether they are."""
        self.query_one(FollowQuestion).show()
        self.query_one(HeaderLine).show(self.dashboard.now())
        self.refresh_bindings()

    def action_answer_follow(self, agreed: bool | None) -> None:
        self.dashboard.following.answer(agreed)
        if agreed is False:
            self.notify("w follows them later", title="not followed", markup=False)

    def action_follow_runs(self) -> None:
        following = self.dashboard.following
        agreed = not following.is_wanted
        following.decide(agreed)
        text = "the transcripts of this folder are imported as they are written" if agreed else "no longer followed"
        self.notify(text, title="follow", markup=False)

    # Other screens. What needs the workspace does nothing before it is open.

    def action_retries(self) -> None:
        if self.workspace is not None:
            from acode_tui.tui.records.retries import RetriesScreen

            self.app.push_screen(RetriesScreen())

    def action_conflicts(self) -> None:
        if self.workspace is not None:
            from acode_tui.tui.records.conflicts import ConflictsScreen

            self.app.push_screen(ConflictsScreen())

    def action_log(self) -> None:
        from acode_tui.tui.tools.log import LogScreen

        self.app.push_screen(LogScreen(self.dashboard.root / ".agent" / "logs" / "acode-tui.log"))

    def action_figures(self) -> None:
        if self.workspace is not None:
            from acode_tui.tui.tools.figures import FiguresScreen

            self.app.push_screen(FiguresScreen(self.browser.filter.text or ""), self._figures_left)

    def _figures_left(self, query: str | None) -> None:
        """Show the runs behind a row of the figures, where the user asked for them."""
        if query is not None:
            self.find_runs(query)

    def action_health(self) -> None:
        if self.workspace is not None:
            from acode_tui.tui.tools.health import HealthScreen

            self.app.push_screen(HealthScreen())

    def action_settings(self) -> None:
        if self.workspace is not None:
            from acode_tui.tui.tools.settings import SettingsScreen

            self.app.push_screen(SettingsScreen())

    def action_migrate(self) -> None:
        if self.workspace is not None:
            from acode_tui.tui.dialogs.migrate import MigrateDialog

            self.app.push_screen(MigrateDialog())

    def action_backup(self) -> None:
        if self.workspace is not None:
            from acode_tui.tui.dialogs.backup import BackupDialog

            self.app.push_screen(BackupDialog())

    def action_import(self) -> None:
        if self.workspace is not None:
            from acode_tui.tui.dialogs.import_ import ImportDialog

            self.app.push_screen(ImportDialog(), self._imported)

    def _imported(self, wrote: bool | None) -> None:
        if wrote:
            self.refresh_now()

    # Keys

    def refresh_now(self) -> None:
        super().refresh_now()
        if self.workspace is not None and self._opened_early is not None:
            early, self._opened_early = self._opened_early, None
            self._session_opened(early)

    @on(SessionBrowser.Opened)
    def _session_opened(self, event: SessionBrowser.Opened) -> None:
        if self.workspace is None:
            self._opened_early = event
        else:
            from acode_tui.tui.run.run_view import SessionWalk
            from acode_tui.tui.run.screen import SessionScreen

            pages, shown = self.browser.pages, [line.session.id for line in self.browser.lines]
            walk = SessionWalk(self.browser.filter, pages.size, shown, pages.next_cursor, pages.previous_cursor)
            place = place_of(event.hit) if event.hit is not None else ()
            needle = found_text(event.hit) if event.hit is not None else ""
            self.app.push_screen(SessionScreen(event.session_id, walk, place=place, needle=needle), self._session_left)

    def _session_left(self, session_id: str | None) -> None:
        """Put the cursor on the session that was shown last, if it is on this page."""
        table = self.sessions.table
        under, _ = of_key(table.cursor_key or "")
        if session_id is not None and session_id != under and session_id in table.row_keys:
            table.move_cursor(row=table.row_keys.index(session_id))

    @on(PaneOpened)
    async def _pane_opened(self, event: PaneOpened) -> None:
        await self.run_action(event.action)

    def action_files(self) -> None:
        """Show the files that the listed runs changed."""
        if self.workspace is not None:
            from acode_tui.tui.run.files_screen import FilesScreen

            text = self.browser.text.strip()
            title = f"runs that fit {text}" if text else "all runs" if not self.browser.is_filtered else "listed runs"
            self.app.push_screen(FilesScreen(title, replace(self.browser.filter, folded=False)))

    def action_mark(self) -> None:
        """Mark the run under the cursor to compare it, or take the mark away."""
        line = self.sessions.line
        if line is not None:
            self.browser.mark(line.session.id)
            self.sessions.show_rows(self.dashboard.now())
            self.sessions.retitle()
            self.query_one(KeyBar).follow()

    def action_compare(self) -> None:
        """Show the marked runs side by side; of one mark, that run and the one under the cursor."""
        marked, line = self.browser.marked, self.sessions.line
        if len(marked) == 1 and line is not None and line.session.id != marked[0]:
            marked = (*marked, line.session.id)
        if len(marked) < 2:
            self.notify("space marks a run; mark two of them", title="compare", markup=False)
        elif self.workspace is not None:
            from acode_tui.tui.run.comparison_screen import ComparisonScreen

            self.app.push_screen(ComparisonScreen(*marked))

    def action_copy_id(self) -> None:
        self.dashboard.copy(of_key(self.sessions.table.cursor_key or "")[0], "session id")

    def action_export(self) -> None:
        line = self.sessions.line
        if line is not None and self.workspace is not None:
            from acode_tui.tui.dialogs.save import ExportSessionDialog

            self.app.push_screen(ExportSessionDialog(line.session.id, session_name(line.session)))

    def action_sync_now(self) -> None:
        self.dashboard.actions.sync_now()

    def action_pause(self) -> None:
        overview = self.dashboard.state.overview
        if overview is not None:
            self.dashboard.actions.pause_or_resume(overview.sync)

    def action_panes(self) -> None:
        opened, now = not self._panes_open, self.dashboard.now()
        # What they would do by themselves needs no choice: they then go on opening and folding by themselves.
        self.dashboard.change_layout(panes_open=None if opened == self._panes_matter(now) else opened)
        self._draw_overview()
        if opened and self.has_class("-tiny"):
            self.notify("the panes need a terminal of at least 16 rows", title="panes", markup=False)

    def on_resize(self) -> None:
        self.call_after_refresh(self._keep_focus)
        self.call_after_refresh(self.read_costs)

    def _keep_focus(self) -> None:
        """Focus the list if the focused pane is hidden, or if nothing has the focus."""
        hidden = isinstance(self.focused, Pane) and not self.query_one("#panes").display
        if hidden or (self.focused is None and self.browser.rows):
            self.set_focus(self.sessions.table if self.browser.rows else None)

    def action_trust(self) -> None:
        self.dashboard.ask_for_trust()

    def action_mouse(self) -> None:
        captured = capture_mouse(self.app, not self.dashboard.state.layout.mouse)
        self.dashboard.change_layout(mouse=captured)
        text = "the dashboard has the mouse" if captured else "the terminal has the mouse: it selects text"
        self.notify(text, title="mouse", markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "hit":
            return self.browser.finds_places
        if action == "trust":
            return bool(self.dashboard.state.withheld)
        if action == "follow_runs":
            return self.dashboard.following.is_possible
        if action == "answer_follow":
            asked = self.dashboard.state.follow.phase == "asking"
            # Escape leaves a search first.
            return asked and (parameters != (None,) or not (self.browser.is_filtered or self.sessions.typing))
        return self.dashboard.actions.check(action)


def _offer(survey: "Survey") -> tuple[str, list[str | Content]]:
    """What the browser of an empty workspace shows about the transcripts on this machine."""
    from acode_tui.tui.dialogs.import_ import elsewhere_lines

    headline = "No runs recorded here yet"
    if not survey.groups:
        return headline, [
            "No transcripts of runs in this folder were found either.",
            *elsewhere_lines(survey),
            "Record a run from Python with acode_tui.open_workspace().",
            Content.assemble(("acode-tui import PATH", "bold"), ("  reads files from elsewhere", "$foreground-muted")),
            Content.assemble(
                ("acode-tui demo       ", "bold"), ("  shows made-up agents at work", "$foreground-muted")
            ),
        ]
    rows = [
        Content.assemble(
            (f"{group.name:<14}", "bold"),
            (f"{number(len(group.files)):>7} transcript{' ' if len(group.files) == 1 else 's'}", "$foreground"),
            (f"{size(group.bytes):>12}", "$foreground-muted"),
        )
        for group in survey.groups
    ]
    return headline, [
        "Of runs in this folder there are on this machine:",
        "",
        *rows,
        "",
        keys(("i", "imports them into this workspace")),
        *elsewhere_lines(survey),
        "Only the folder of each was read so far; the rest waits for your consent.",
    ]
