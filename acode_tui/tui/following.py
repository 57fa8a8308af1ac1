"""Follows the transcripts of the workspace's folder while the dashboard is open, once the user has agreed.

It runs in a task of its own, which no screen ends. Files are listed, watched and read in threads. One process follows a
workspace; the others wait until that one ends.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from acode_tui.domain.display import clean
from acode_tui.domain.errors import ConfigError
from acode_tui.domain.quantities import counted
from acode_tui.home import home
from acode_tui.tui.actions import Actions
from acode_tui.tui.follow_state import FollowState

if TYPE_CHECKING:
    from acode_tui.ingest import ImportProgress, ImportReport
    from acode_tui.ingest.follow import Follower
    from acode_tui.tui.ports import DashboardWorkspace
    from acode_tui.tui.transcript_import import Importer, Survey

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 30.0
"""An import that failed is tried again after a time that doubles from the first to the second."""

Work = Callable[["DashboardWorkspace"], Awaitable[None]]


class FollowConsent(NamedTuple):
    """Reads and keeps the user's answer for this workspace, None while there is none. Both may raise AcodeError."""

    read: Callable[[], bool | None]
    write: Callable[[bool], None]


class FollowHost(Protocol):
    """The part of the app that following uses."""

    @property
    def workspace(self) -> "DashboardWorkspace | None": ...

    @property
    def importer(self) -> "Importer": ...

    @property
    def actions(self) -> Actions: ...

    def follower(self, workspace: "DashboardWorkspace") -> "Follower":
        """What imports the transcripts of this folder as they are written."""
        ...

    def report(self, error: BaseException) -> None:
        """Show an error as a toast and log it."""
        ...

    def follow_changed(self) -> None:
        """Show the state of following."""
        ...

    async def before_import(self, session_ids: Sequence[str]) -> None:
        """Note what these sessions are before the new lines of their transcripts are read."""
        ...

    async def after_import(self, report: "ImportReport", *, everything: bool) -> None:
        """Show what was imported: of changed transcripts, or of a pass over everything."""
        ...


class Following:
    """The following of one dashboard: ``state`` is what is shown of it."""

    def __init__(self, host: FollowHost, state: FollowState, consent: FollowConsent | None) -> None:
        """Without ``consent`` nothing is asked and nothing is followed."""
        self.state = state
        self._host = host
        self._consent = consent
        self._task: asyncio.Task[None] | None = None
        self._reported: set[str] = set()
        """The causes of failures that were shown: each is shown once."""

    @property
    def is_possible(self) -> bool:
        """Whether the user may decide to follow here."""
        return self._consent is not None

    @property
    def is_wanted(self) -> bool:
        """Whether the user has agreed."""
        return self.state.phase not in ("off", "asking")

    def begin(self) -> None:
        """Follow or ask, as was decided before. Called when the workspace is open."""
        if self._consent is not None:
            self._start(partial(self._as_decided, self._consent))

    def answer(self, agreed: bool | None) -> None:
        """Answer the question; None leaves it for the next start."""
        if self.state.phase != "asking":
            return
        if agreed is None:
            self._show(FollowState())
        else:
            self.decide(agreed)

    def decide(self, agreed: bool) -> None:
        """Follow from now on, or no more. The decision is kept."""
        if self._consent is not None:
            self._start(partial(self._keep, self._consent, agreed))

    def restart(self) -> None:
        """Follow other folders, if any are followed: the settings have changed."""
        if self.is_wanted:
            self._start(self._follow)

    async def end(self) -> None:
        """Stop; what is being stored is stored first."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _start(self, work: Work) -> None:
        workspace = self._host.workspace
        if workspace is not None:
            self._task = asyncio.create_task(self._run(self._task, workspace, work), name="follow")

    async def _run(self, before: asyncio.Task[None] | None, workspace: "DashboardWorkspace", work: Work) -> None:
        if before is not None:
            before.cancel()
            await asyncio.gather(before, return_exceptions=True)
        try:
            await work(workspace)
        except Exception as error:  # noqa: BLE001 - shown and logged; it does not end the dashboard
            self._show(FollowState())
            self._host.report(error)

    async def _as_decided(self, consent: FollowConsent, workspace: "DashboardWorkspace") -> None:
        agreed = await asyncio.to_thread(consent.read)
        if agreed:
            await self._follow(workspace)
        elif agreed is None:
            await _load_formats()
            survey = await self._host.importer.survey(workspace)
            if survey.files:
                self._show(FollowState("asking", found=len(survey.files), places=_places(survey)))

    async def _keep(self, consent: FollowConsent, agreed: bool, workspace: "DashboardWorkspace") -> None:
        self._show(FollowState())
        try:
            await asyncio.to_thread(consent.write, agreed)
        except ConfigError as error:
            self._host.report(error)  # it holds for this start
        if agreed:
            await self._follow(workspace)

    async def _follow(self, workspace: "DashboardWorkspace") -> None:
        await _load_formats()
        follow = await asyncio.to_thread(import_module, "acode_tui.ingest.follow")
        lease = follow.FollowLease(workspace.agent_dir)
        try:
            await follow.leased(lease, self._held)
            self._show(FollowState("on"))
            follower = self._host.follower(workspace)
            async with aclosing(follower.changes(self._unwatched)) as changes:
                async for changed in changes:
                    await self._import(follower, changed)
        finally:
            lease.release()

    async def _import(self, follower: "Follower", changed: set[Path] | None) -> None:
        """Import what has changed, or everything for None, and again until it succeeds."""
        wait = FIRST_RETRY_SECONDS
        while True:
            try:
                if changed is None:
                    report = await follower.import_all(self._progressed)
                else:
                    report = await follower.import_changed(changed, self._host.before_import)
                break
            except Exception as error:  # noqa: BLE001 - shown once, and tried again
                self._failed(error)
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_RETRY_SECONDS)
            changed = None
        if self.state.phase != "on" or self.state.problem:
            self._show(FollowState("on"))
        self._tell_unreadable(report)
        await self._host.after_import(report, everything=changed is None)

    def _progressed(self, progress: "ImportProgress") -> None:
        if progress.bytes.total:
            self._show(FollowState("importing", done=progress.files.done, total=progress.files.total or 0))

    def _held(self, holder: int | None) -> None:
        self._show(FollowState("waiting", holder=holder))

    def _unwatched(self, error: OSError) -> None:
        why = f"the system watches no more folders ({error.strerror or error}); they are looked at every few seconds"
        self._notify_once(why)

    def _failed(self, error: BaseException) -> None:
        self._show(FollowState("on", problem=clean(str(error), max_chars=200)))
        if str(error) not in self._reported:
            self._reported.add(str(error))
            self._host.report(error)

    def _tell_unreadable(self, report: "ImportReport") -> None:
        whole = [issue for issue in report.errors if issue.line is None]
        new = [issue for issue in whole if f"{issue.file}: {issue.message}" not in self._reported]
        if new:
            self._reported.update(f"{issue.file}: {issue.message}" for issue in new)
            first = f"{new[0].file.rsplit('/', 1)[-1]}: {new[0].message}"
            rest = f"\nand {counted(len(new) - 1, 'other file')}" if len(new) > 1 else ""
            self._host.actions.notify("cannot be read", first + rest, warn=True)

    def _notify_once(self, text: str) -> None:
        if text not in self._reported:
            self._reported.add(text)
            self._host.actions.notify("follow", text, warn=True)

    def _show(self, state: FollowState) -> None:
        if state != self.state:
            for name in FollowState.__struct_fields__:
                setattr(self.state, name, getattr(state, name))
            self._host.follow_changed()


async def _load_formats() -> None:
    """Load the formats of transcripts in a thread: the dashboard starts without them, and draws frames meanwhile."""
    await asyncio.to_thread(import_module, "acode_tui.tui.transcript_import")


def _places(survey: "Survey") -> tuple[str, ...]:
    """The agents' own folders in which the transcripts are, such as ``~/.claude``, as short as they can be said."""
    own = home()
    found: dict[str, None] = {}
    for file in survey.files:
        try:
            parts = file.path.relative_to(own).parts
        except ValueError:
            found[str(file.path.parent)] = None
            continue
        depth = 1 if parts[0].startswith(".") and parts[0] not in (".local", ".config") else 3
        found["/".join(("~", *parts[: min(depth, len(parts) - 1)]))] = None
    return tuple(found)
