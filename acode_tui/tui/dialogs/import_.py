"""Importing transcripts: what is there, the user's consent, the progress, and what came of it."""

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from acode_tui.domain.quantities import counted, number, size, span
from acode_tui.ingest import ImportProgress, ImportReport
from acode_tui.tui.bindings import IMPORT
from acode_tui.tui.dashboard_app import DashboardGetter
from acode_tui.tui.messages import TranscriptsFound
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.style.text import line, styled
from acode_tui.tui.transcript_import import Pace, StoppedError, Survey
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.progress_line import ProgressLine

MAX_ISSUES = 6


class ImportScreen(ModalScreen[bool]):
    """Asks, then reads. Nothing is opened before enter is pressed. Answers whether anything was read."""

    dashboard = DashboardGetter()
    CSS_PATH = style_path("dialogs.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*IMPORT]

    @dataclass
    class Progressed(Message):
        """A group of files was stored."""

        progress: ImportProgress

    @dataclass
    class Ended(Message):
        """The import ended by itself, or was stopped (no report)."""

        report: ImportReport | None

    def __init__(self) -> None:
        super().__init__()
        self._survey: Survey | None = None
        self._importing = False
        self._stopping = False
        self._wrote = False
        self._over = False
        self._pace: Pace | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Import transcripts"
            yield Static("", id="said", markup=False)
            yield ProgressLine(id="bar")
            yield Static("", id="pace", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        self._show_bar(False)
        self._say(styled("Looking around, by name and size alone…", "$foreground-muted"))
        self.run_worker(self._look(), exit_on_error=False)

    async def _look(self) -> None:
        workspace = self.dashboard.workspace
        if workspace is not None:
            with self.dashboard.reporting():
                self.post_message(TranscriptsFound(await self.dashboard.importer.survey(workspace)))

    @on(TranscriptsFound)
    def _found(self, event: TranscriptsFound) -> None:
        survey = self._survey = event.survey
        if not survey.groups:
            self._over = True
            self._say(
                styled("No transcripts were found on this machine.", "bold"),
                Content.assemble(("ingest.roots", "bold"), ("  names other folders to look in", "$foreground-muted")),
                Content.assemble(("acode-tui import PATH", "bold"), ("  reads single files", "$foreground-muted")),
            )
        elif not survey.fresh:
            self._over = True
            count = number(len(survey.files))
            self._say(
                styled("Nothing new.", "bold"), styled(f"All {count} transcripts are imported.", "$foreground-muted")
            )
        else:
            self._say(*_table(survey), Content(""), styled("Nothing has been read so far. Read the new ones?", "bold"))
        self.refresh_bindings()

    def action_begin(self) -> None:
        workspace, survey = self.dashboard.workspace, self._survey
        if self._importing or self._over or workspace is None or survey is None:
            return
        self._importing = True
        self._pace = Pace(self.dashboard.now())
        self._show_bar(True)
        self._say(styled("Reading…", "bold"))

        async def read() -> None:
            report = None
            try:
                report = await self.dashboard.importer.run(workspace, survey, self._progressed)
            except StoppedError:
                pass  # what was stored stays; the screen says so
            finally:
                self.post_message(self.Ended(report))

        if not self.dashboard.start_job("import", read):
            self._importing = False
            self._show_bar(False)
            other = self.dashboard.jobs.blocker("import") or "another job"
            self._say(styled(f"{other} is under way; when it has ended, press enter again.", "bold $text-warning"))
        self.refresh_bindings()

    def _progressed(self, progress: ImportProgress) -> None:
        """Between two groups of files: show how far, and stop here if asked to, or if the dashboard is leaving."""
        self.post_message(self.Progressed(progress))
        if (self._stopping or not self.is_attached) and progress.bytes.done < (progress.bytes.total or 0):
            raise StoppedError

    @on(Progressed)
    def _show_progress(self, event: Progressed) -> None:
        files, read, now = event.progress.files, event.progress.bytes, self.dashboard.now()
        total = read.total or 0
        self._wrote = self._wrote or read.done > 0
        self.dashboard.refresh_screens()
        self.query_one("#bar", ProgressLine).show(read.fraction or 0.0)
        pace = self._pace
        left = pace.left(read.done, total, now) if pace is not None else None
        rate = f"   {size(round(pace.rate(read.done, now)))}/s" if pace is not None and read.done else ""
        eta = f"   {span(left)} left" if left is not None else ""
        self.query_one("#pace", Static).update(
            Content("\n").join(
                [
                    styled(f"{number(files.done)} of {number(files.total or 0)} files", "$foreground"),
                    styled(f"{size(read.done)} of {size(total)}{rate}{eta}", "$foreground-muted"),
                    styled(line(event.progress.current.rsplit("/", 1)[-1], 56), "$foreground-muted"),
                ]
            )
        )

    @on(Ended)
    def _ended(self, event: Ended) -> None:
        self._importing = False
        self._over = True
        self._show_bar(False)
        report = event.report
        if report is None:
            self._say(
                styled("The import has ended before its end.", "bold $text-warning"),
                styled("What was read is stored; the next import goes on from there.", "$foreground-muted"),
            )
        else:
            self._wrote = self._wrote or report.written > 0
            self._say(*_result(report))
        self.refresh_bindings()

    def action_leave(self) -> None:
        if self._importing:
            self._stopping = True
            self._say(styled("Stopping after the files in hand…", "bold $text-warning"))
        else:
            self.dismiss(self._wrote)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "begin":
            ready = self._survey is not None and bool(self._survey.fresh)
            return ready and not self._importing and not self._over
        return True

    def _show_bar(self, shown: bool) -> None:
        self.query_one("#bar").display = shown
        self.query_one("#pace").display = shown

    def _say(self, *lines: Content) -> None:
        said = self.query_one("#said", Static)
        said.update(Content("\n").join(lines))
        # An answer may come before the dialog's first layout, which would then keep the height of the question.
        self.call_after_refresh(said.refresh, layout=True)


def _table(survey: Survey) -> list[Content]:
    head = Content.assemble((f"{'':<14}{'found':>8}{'new':>8}{'to read':>12}", "$foreground-muted"))
    rows = [
        Content.assemble(
            (f"{line(group.name, 14):<14}", "bold"),
            (f"{number(len(group.files)):>8}{number(len(group.fresh)):>8}", "$foreground"),
            (f"{size(group.fresh_bytes):>12}", "$foreground"),
        )
        for group in survey.groups
    ]
    return [head, *rows]


def _result(report: ImportReport) -> list[Content]:
    rows = [styled("Imported." if report.written else "Nothing has changed.", "bold $text-success")]
    counts = (
        ("sessions", report.sessions),
        ("tasks", report.tasks),
        ("steps", report.steps),
        ("tool calls", report.tool_calls),
        ("artifacts", report.artifacts),
    )
    rows += [Content.assemble((f"{number(count):>10} ", "bold"), (name, "$foreground-muted")) for name, count in counts]
    rows.append(styled(f"{number(report.unchanged):>10} files unchanged", "$foreground-muted"))
    if report.errors:
        rows += [Content(""), styled(f"{counted(len(report.errors), 'thing')} could not be read:", "$text-warning")]
        for issue in report.errors[:MAX_ISSUES]:
            where = issue.file.rsplit("/", 1)[-1] + (f":{issue.line}" if issue.line else "")
            rows.append(styled(line(f"{where}  {issue.message}", 58), "$foreground-muted"))
    return rows
