"""What the dashboard does to a workspace, as jobs: nothing here draws, and nothing here waits on the screen."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from textual.notifications import SeverityLevel

from acode_tui.domain.display import clean
from acode_tui.domain.entities import Artifact
from acode_tui.domain.quantities import number, size
from acode_tui.storage.ports import TierMigrations
from acode_tui.sync.ports import SyncState
from acode_tui.tui.jobs import JobRun, Jobs
from acode_tui.tui.team import TeamRuns

if TYPE_CHECKING:
    from acode_tui.ops.export.export import ExportProgress
    from acode_tui.storage.ports import RunStateReader
    from acode_tui.tui.ports import DashboardWorkspace, ExportForm

Work = TypeVar("Work")

JOBS: dict[str, str] = {
    "sync_now": "sync",
    "pause": "pause",
    "migrate": "migrate",
    "backup": "backup",
    "import": "import",
    "export": "export",
}
"""The job that an action of a key leads to."""


class ActionHost(Protocol):
    """The part of the app that actions use."""

    @property
    def workspace(self) -> "DashboardWorkspace | None":
        """The workspace while it is open."""
        ...

    @property
    def runs(self) -> "RunStateReader | None":
        """The source of the runs that are shown: the team's where they are open, else the workspace's own."""
        ...

    @property
    def team(self) -> TeamRuns: ...

    @property
    def jobs(self) -> Jobs: ...

    async def in_thread(self, work: Callable[..., Work], *arguments: Any) -> Work:
        """Run a slow function off the event loop."""
        ...

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """Show a toast."""
        ...


class Actions:
    """The actions of a dashboard's keys, over its workspace."""

    def __init__(self, dashboard: ActionHost) -> None:
        self._dashboard = dashboard

    def may(self, action: str) -> bool | None:
        """For ``check_action``: None, which dims the key, while another job holds the action's own off."""
        if action == "export" and self._dashboard.team.is_open:
            return False  # the team's runs are exported where they were recorded
        job = JOBS.get(action)
        return None if job is not None and self._dashboard.jobs.blocker(job) is not None else True

    def begin(self, job: str, work: "Callable[[DashboardWorkspace, JobRun], Awaitable[Any]]") -> JobRun | None:
        """Start a job over the workspace, or say what holds it off."""
        dashboard = self._dashboard
        workspace = dashboard.workspace
        if workspace is None:
            self.say(job, "the workspace is still being opened", warn=True)
            return None
        if (other := dashboard.jobs.blocker(job)) is not None:
            self.say(job, f"{other} is under way; when it has ended, try again", warn=True)
            return None
        return dashboard.jobs.start(job, lambda run: work(workspace, run))

    def say(self, title: str, text: str, *, warn: bool = False) -> None:
        """A toast. What it says is never read as markup."""
        severity: SeverityLevel = "warning" if warn else "information"
        self._dashboard.notify(clean(text, keep_newlines=True), title=title, severity=severity, markup=False)

    def sync_now(self) -> None:
        """Drain the outbox in the background."""

        async def drain(workspace: "DashboardWorkspace", run: JobRun) -> None:
            report = await workspace.sync.sync_now()
            said = f"{number(report.synced)} sent, {number(report.remaining)} remain"
            if report.conflicts:
                said += f", {number(report.conflicts)} conflicts settled"
            self.say("sync", said, warn=bool(report.failed))

        self.begin("sync", drain)

    def pause_or_resume(self, state: SyncState) -> None:
        """Pause the worker, or let it go on; where there is none say so."""
        paused = state is SyncState.PAUSED
        if state is SyncState.DISABLED:
            told = "sync is off: there is no worker to pause\n`acode-tui config set persistence.postgres.enabled true`"
            self.say("pause", f"{told} turns it on", warn=True)
            return

        async def turn(workspace: "DashboardWorkspace", run: JobRun) -> None:
            await (workspace.sync.resume() if paused else workspace.sync.pause())
            self.say("sync", "the worker goes on" if paused else "the worker rests")

        self.begin("pause", turn)

    def migrate(self) -> JobRun | None:
        """Copy the workspace file, then run what both schemas need; a copy that fails is the end of it."""

        async def bring_up_to_date(workspace: "DashboardWorkspace", run: JobRun) -> object:
            if workspace.settings.migrations.backup_before_migrate:
                run.begin_step("taking the backup…")
                await workspace.backup(progress=run.report_progress)
            run.begin_step("migrating…")
            done = await workspace.migrate()
            self._tell(run, migration_summary(done))
            return done

        return self.begin("migrate", bring_up_to_date)

    def back_up(self) -> JobRun | None:
        """Copy the workspace file."""

        async def copy(workspace: "DashboardWorkspace", run: JobRun) -> object:
            made = await workspace.backup(progress=run.report_progress)
            self._tell(run, f"{made.name}\n{size(made.size_bytes)} copied")
            return made

        return self.begin("backup", copy)

    def save(self, artifact: Artifact, path: Path) -> JobRun | None:
        """Write an artifact's bytes to a file that is not there yet. Answers the path."""

        async def write(workspace: "DashboardWorkspace", run: JobRun) -> object:
            content = await (self._dashboard.runs or workspace.store).get_artifact_content(artifact.id)
            await self._dashboard.in_thread(_write, path, content)
            self._tell(run, str(path.absolute()))
            return path.absolute()

        return self.begin("save", write)

    def export(self, session_id: str, form: "ExportForm", path: Path | None) -> JobRun | None:
        """Write one session to a file, as a report or as JSON."""

        async def write(workspace: "DashboardWorkspace", run: JobRun) -> object:
            def on_progress(progress: "ExportProgress") -> None:
                run.report_progress(progress.rows)

            report = await workspace.export_session(session_id, form, path, progress=on_progress)
            self._tell(run, report.path)
            return report

        return self.begin("export", write)

    def _tell(self, run: JobRun, text: str) -> None:
        """Tell the end of a job, unless a dialog is there that does."""
        if not run.watched:
            self.say(run.name, text)


def migration_summary(tiers: Sequence[TierMigrations]) -> str:
    """What a migration did to each tier, one line a tier. The workspace file's migrations ran when it was opened."""
    lines = []
    for tier in tiers:
        done = ", ".join(migration.version for migration in tier.applied) if tier.tier == "postgres" else ""
        lines.append(f"{tier.tier}: {done} applied" if done else f"{tier.tier}: up to date at {tier.to_version}")
    return clean("\n".join(lines), keep_newlines=True)


def _write(path: Path, content: bytes) -> None:
    from acode_tui.files import replacing

    with replacing(path, overwrite=False) as file:
        file.write(content)
