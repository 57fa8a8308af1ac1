"""The import dialog: the transcripts on this machine, the user's consent, the progress, and the result."""

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message

from acode_tui.domain.quantities import counted, number, size, span
from acode_tui.ingest import ImportProgress, ImportReport
from acode_tui.tui.bindings import IMPORT
from acode_tui.tui.dialogs.progress import ProgressDialog
from acode_tui.tui.messages import TranscriptsFound
from acode_tui.tui.style.text import line, styled
from acode_tui.tui.transcript_import import StoppedError, Survey

MAX_ISSUES = 6
"""The most unreadable files and lines that the result names."""


class ImportDialog(ProgressDialog[bool]):
    """Imports transcripts. Before enter is pressed only their first lines are read, for the folder.

    Its result is whether anything was stored.
    Unlike other jobs the import ends with its dialog: between two groups of files, with what was read stored.
    """

    TITLE: ClassVar[str] = "Import transcripts"
    BINDINGS: ClassVar[list[BindingType]] = [*IMPORT]

    @dataclass
    class Progressed(Message):
        """A group of files was stored."""

        progress: ImportProgress

    @dataclass
    class Ended(Message):
        """The import ended; without a report it was stopped, or it failed."""

        report: ImportReport | None

    def __init__(self) -> None:
        super().__init__()
        self._survey: Survey | None = None
        self._importing = False
        self._stopping = False
        self._stored = False
        self._finished = False
        """Whether there is nothing to import, or the import has ended."""

    def on_mount(self) -> None:
        self.show_text(styled("Looking for transcripts of runs in this folder…", "$foreground-muted"))
        self.run_worker(self._find_transcripts(), exit_on_error=False)

    async def _find_transcripts(self) -> None:
        workspace = self.dashboard.workspace
        if workspace is not None:
            with self.dashboard.reporting():
                self.post_message(TranscriptsFound(await self.dashboard.importer.survey(workspace)))

    @on(TranscriptsFound)
    def _transcripts_found(self, event: TranscriptsFound) -> None:
        survey = self._survey = event.survey
        if not survey.groups:
            self._finished = True
            self.show_text(
                styled("No transcripts of runs in this folder were found.", "bold"),
                *elsewhere_lines(survey),
                Content.assemble(("ingest.roots", "bold"), ("  names other folders to look in", "$foreground-muted")),
                Content.assemble(("acode-tui import PATH", "bold"), ("  reads single files", "$foreground-muted")),
            )
        elif not survey.fresh:
            self._finished = True
            count = number(len(survey.files))
            self.show_text(
                styled("Nothing new.", "bold"),
                styled(f"All {count} transcripts are imported.", "$foreground-muted"),
                *elsewhere_lines(survey),
            )
        else:
            self.show_text(
                *_survey_table(survey),
                Content(""),
                *_ending_lines(survey),
                *elsewhere_lines(survey),
                styled("Only folders were read so far. Read the new ones?", "bold"),
            )
        self.refresh_bindings()

    def action_begin(self) -> None:
        workspace, survey = self.dashboard.workspace, self._survey
        if self._importing or self._finished or workspace is None or survey is None:
            return
        self._importing = True
        self.show_text(styled("Reading…", "bold"))

        async def read() -> None:
            report = None
            try:
                report = await self.dashboard.importer.run(workspace, survey, self._on_progress)
            except StoppedError:
                pass  # what was stored stays, and the dialog says so
            finally:
                self.post_message(self.Ended(report))

        if not self.dashboard.start_job("import", read):
            self._importing = False
            other = self.dashboard.jobs.blocker("import") or "another job"
            self.show_text(styled(f"{other} is under way; when it has ended, press enter again.", "bold $text-warning"))
        self.refresh_bindings()

    def _on_progress(self, progress: ImportProgress) -> None:
        """Show the progress after a group of files; stop if the user asked to, or if the dialog is closed."""
        self.post_message(self.Progressed(progress))
        if (self._stopping or not self.is_attached) and progress.bytes.done < (progress.bytes.total or 0):
            raise StoppedError

    @on(Progressed)
    def _progressed(self, event: Progressed) -> None:
        files, read = event.progress.files, event.progress.bytes
        self._stored = self._stored or read.done > 0
        self.dashboard.refresh_screens()
        rate = f"   {size(read.rate)}/s" if read.done else ""
        left = f"   {span(read.seconds_left)} left" if read.seconds_left is not None else ""
        self.show_progress(
            read.fraction or 0.0,
            styled(f"{number(files.done)} of {number(files.total or 0)} files", "$foreground"),
            styled(f"{size(read.done)} of {size(read.total or 0)}{rate}{left}", "$foreground-muted"),
            styled(line(event.progress.current.rsplit("/", 1)[-1], 56), "$foreground-muted"),
        )

    @on(Ended)
    def _ended(self, event: Ended) -> None:
        self._importing = False
        self._finished = True
        self.hide_progress()
        report = event.report
        if report is None:
            self.show_text(
                styled("The import was stopped before its end.", "bold $text-warning"),
                styled("What was read is stored; the next import continues from there.", "$foreground-muted"),
            )
        else:
            self._stored = self._stored or report.written > 0
            self.show_text(*_result_lines(report))
        self.refresh_bindings()

    def action_leave(self) -> None:
        if self._importing:
            self._stopping = True
            self.show_text(styled("Stopping after the files in progress…", "bold $text-warning"))
        else:
            self.dismiss(self._stored)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "begin":
            ready = self._survey is not None and bool(self._survey.fresh)
            return ready and not self._importing and not self._finished
        return True


def elsewhere_lines(survey: Survey) -> list[Content]:
    """How many transcripts are of runs in other folders, and what imports them."""
    if not survey.elsewhere:
        return []
    others = counted(sum(survey.elsewhere.values()), "transcript")
    return [
        styled(f"{others} of {counted(len(survey.elsewhere), 'other folder')} not listed:", "$foreground-muted"),
        Content.assemble(("acode-tui import --everywhere", "bold"), ("  takes them too", "$foreground-muted")),
    ]


def _ending_lines(survey: Survey) -> list[Content]:
    """How many of the transcripts their agent deletes soon."""
    if not survey.ending:
        return []
    are = "ends" if survey.ending == 1 else "end"
    return [styled(f"{number(survey.ending)} of these {are} within a week; what is imported stays.", "$text-warning")]


def _survey_table(survey: Survey) -> list[Content]:
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


def _result_lines(report: ImportReport) -> list[Content]:
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
