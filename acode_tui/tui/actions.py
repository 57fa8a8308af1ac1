"""What the dashboard does to a workspace: each action is a job. Nothing here draws or waits for a screen."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from textual.notifications import SeverityLevel

from acode_tui.domain.display import clean
from acode_tui.domain.entities import Artifact
from acode_tui.domain.quantities import number, size
from acode_tui.storage.ports import TierMigrations
from acode_tui.sync.ports import SyncState, SyncStatus
from acode_tui.tui.jobs import JobRun, Jobs
from acode_tui.tui.team import TeamRuns

if TYPE_CHECKING:
    from acode_tui.ops.export.export import ExportProgress
    from acode_tui.storage.ports import RunStateReader
    from acode_tui.tui.ports import DashboardWorkspace, ExportForm

Work = TypeVar("Work")

JOB_OF_ACTION: dict[str, str] = {
    "sync_now": "sync",
    "pause": "pause",
    "migrate": "migrate",
    "backup": "backup",
    "import": "import",
    "export": "export",
}
"""The job that each action of a key starts, by the action's name."""


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
    """Starts the jobs of the dashboard over its workspace."""

    def __init__(self, dashboard: ActionHost) -> None:
        self._dashboard = dashboard

    def check(self, action: str) -> bool | None:
        """The answer for ``check_action``: None, which dims the key, while a running job excludes the action's job."""
        if action == "export" and self._dashboard.team.is_open:
            return False  # a run is exported from the workspace that recorded it
        job = JOB_OF_ACTION.get(action)
        return None if job is not None and self._dashboard.jobs.blocker(job) is not None else True

    def start(self, job: str, work: "Callable[[DashboardWorkspace, JobRun], Awaitable[Any]]") -> JobRun | None:
        """Start a job over the workspace; None, and a toast that says why, if it may not start now."""
        dashboard = self._dashboard
        workspace = dashboard.workspace
        if workspace is None:
            self.notify(job, "the workspace is still being opened", warn=True)
            return None
        if (other := dashboard.jobs.blocker(job)) is not None:
            self.notify(job, f"{other} is running; try again when it has ended", warn=True)
            return None
        return dashboard.jobs.start(job, lambda run: work(workspace, run))

    def notify(self, title: str, text: str, *, warn: bool = False) -> None:
        """Show a toast. Its text is not read as markup."""
        severity: SeverityLevel = "warning" if warn else "information"
        self._dashboard.notify(clean(text, keep_newlines=True), title=title, severity=severity, markup=False)

    def sync_now(self) -> None:
        """Send the outbox to PostgreSQL now."""

        async def drain(workspace: "DashboardWorkspace", run: JobRun) -> None:
            report = await workspace.sync.sync_now()
            text = f"{number(report.synced)} sent, {number(report.remaining)} remain"
            if report.conflicts:
                text += f", {number(report.conflicts)} conflicts resolved"
            self.notify("sync", text, warn=bool(report.failed))

        self.start("sync", drain)

    def pause_or_resume(self, sync: SyncStatus) -> None:
        """Pause the sync worker, or resume it if it is paused. A toast says so where sync is off."""
        paused = sync.state is SyncState.PAUSED
        if sync.switched_off_by is not None:
            command = f"acode-tui config set {sync.switched_off_by} true"
            # Without PostgreSQL the hint says what enables it; the command would not where the file is not trusted.
            advice = sync.hint if sync.target is None and sync.hint else f"`{command}` turns it on"
            self.notify("pause", f"sync is off: there is no worker to pause\n{advice}", warn=True)
            return

        async def change(workspace: "DashboardWorkspace", run: JobRun) -> None:
            await (workspace.sync.resume() if paused else workspace.sync.pause())
            self.notify("sync", "the worker is running again" if paused else "the worker is paused")

        self.start("pause", change)

    def migrate(self) -> JobRun | None:
        """Back the workspace file up if the settings say so, then migrate both tiers. A failed backup ends the job."""

        async def migrate(workspace: "DashboardWorkspace", run: JobRun) -> object:
            if workspace.settings.migrations.backup_before_migrate:
                run.begin_step("taking the backup…")
                await workspace.backup(progress=run.report_progress)
            run.begin_step("migrating…")
            tiers = await workspace.migrate()
            self._notify_end(run, migration_summary(tiers))
            return tiers

        return self.start("migrate", migrate)

    def back_up(self) -> JobRun | None:
        """Back the workspace file up."""

        async def back_up(workspace: "DashboardWorkspace", run: JobRun) -> object:
            backup = await workspace.backup(progress=run.report_progress)
            self._notify_end(run, f"{backup.name}\n{size(backup.size_bytes)} copied")
            return backup

        return self.start("backup", back_up)

    def save(self, artifact: Artifact, path: Path) -> JobRun | None:
        """Write an artifact's bytes to a new file. The job's result is its absolute path."""

        async def write(workspace: "DashboardWorkspace", run: JobRun) -> object:
            content = await (self._dashboard.runs or workspace.store).get_artifact_content(artifact.id)
            await self._dashboard.in_thread(_write, path, content)
            self._notify_end(run, str(path.absolute()))
            return path.absolute()

        return self.start("save", write)

    def export(self, session_id: str, form: "ExportForm", path: Path | None) -> JobRun | None:
        """Export a session to ``path``, or to a name of its own if that is None."""

        async def write(workspace: "DashboardWorkspace", run: JobRun) -> object:
            def on_progress(progress: "ExportProgress") -> None:
                run.report_progress(progress.rows)

            report = await workspace.export_session(session_id, form, path, progress=on_progress)
            self._notify_end(run, report.path)
            return report

        return self.start("export", write)

    def _notify_end(self, run: JobRun, text: str) -> None:
        """Show a toast about the end of a job, unless a dialog shows it."""
        if not run.has_dialog:
            self.notify(run.name, text)


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
