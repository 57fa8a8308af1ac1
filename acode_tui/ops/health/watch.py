"""The health of one workspace: which checks run, and how long their answers are kept in a process that asks often."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic
from typing import TypeVar

from acode_tui.config import HealthSettings, Settings
from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.errors import AcodeError
from acode_tui.files import existing_folder
from acode_tui.ops.health import rules
from acode_tui.ops.health.report import Finding, HealthReport, RunCheck, examine, run_in_daemon_thread
from acode_tui.ops.health.target import TargetStatus
from acode_tui.ops.held_workspace import held_workspace
from acode_tui.storage.ports import BackupStore, DatabaseFiles, Depth, SchemaStatus

KEPT_SECONDS = 3.0
"""How long a running process keeps a report."""

QUICK_CHECK_KEPT_SECONDS = 600.0
"""A file that was found sound is read whole again only after this time."""

T = TypeVar("T")

InspectTarget = Callable[[float], Awaitable[TargetStatus]]


class HealthWatch:
    """Reports the health of the workspace at ``root``. Settings are read for each report, so changes count at once.

    ``inspect_target`` is given the seconds that it may take, and never raises. ``postgres_version`` is the schema
    version that this program needs in PostgreSQL.
    """

    def __init__(
        self,
        files: DatabaseFiles,
        backups: BackupStore,
        root: Path,
        settings: Callable[[], Settings],
        inspect_target: InspectTarget,
        *,
        postgres_version: str,
        wall: WallClock = system_clock,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._files = files
        self._backups = backups
        self._root = root
        self._settings = settings
        self._inspect_target = inspect_target
        self._postgres_version = postgres_version
        self._wall = wall
        self._clock = clock
        self._last: HealthReport | None = None
        self._last_at = 0.0
        self._sound_at: float | None = None
        self._busy = asyncio.Lock()

    async def report(self, *, fresh: bool = False) -> HealthReport:
        """The health now, or a few seconds ago; ``fresh`` runs the checks in any case. Never raises."""
        asked = self._clock()
        async with self._busy:
            good = asked if fresh else asked - KEPT_SECONDS
            if self._last is None or self._last_at < good:
                started = self._clock()
                self._last = await self._examine()
                self._last_at = started
            return self._last

    async def _examine(self) -> HealthReport:
        seconds = self._limits.check_timeout_seconds
        # One question to the server serves three checks. It ends before they do: a server that hangs counts as away.
        target = asyncio.ensure_future(self._inspect_target(seconds * 0.6))
        try:
            return await examine(self._checks(target), seconds=seconds)
        finally:
            target.cancel()

    def _checks(self, target: "asyncio.Future[TargetStatus]") -> dict[str, RunCheck]:
        async def schema() -> Finding:
            local: SchemaStatus | AcodeError
            try:
                local = await self._ask(lambda file, seconds: self._files.schema(file, seconds=seconds))
            except AcodeError as error:
                local = error
            return rules.judge_schema(local, await asyncio.shield(target), self._postgres_version)

        async def queue() -> Finding:
            now = self._wall()
            facts = await self._ask(lambda file, seconds: self._files.queue(file, now, seconds=seconds))
            server = await asyncio.shield(target)
            can_drain = server.drains and self._settings().persistence.sync.enabled
            return rules.judge_queue(facts, enabled=server.enabled, can_drain=can_drain, now=now, limits=self._limits)

        async def dead_letters() -> Finding:
            count = await self._ask(lambda file, seconds: self._files.dead_letters(file, seconds=seconds))
            return rules.judge_dead_letters(count, self._limits)

        async def conflicts() -> Finding:
            counts = await self._ask(lambda file, seconds: self._files.conflicts(file, seconds=seconds))
            return rules.judge_conflicts(counts, self._limits)

        async def storage() -> Finding:
            usage = await run_in_daemon_thread(
                lambda: shutil.disk_usage(existing_folder(self._database.absolute().parent))
            )
            return rules.judge_storage(total=usage.total, free=usage.free, limits=self._limits)

        async def library() -> Finding:
            return rules.judge_sqlite(self._files.library_version())

        async def clock() -> Finding:
            return rules.judge_clock(await asyncio.shield(target), self._limits)

        async def stamps() -> Finding:
            last = await self._ask(lambda file, seconds: self._files.last_stamp(file, seconds=seconds))
            return rules.judge_stamps(last, await asyncio.shield(target), self._wall())

        async def trust() -> Finding:
            return rules.judge_trust(self._settings().withheld)

        checks: dict[str, RunCheck] = {
            "database": self._probe,
            "schema": schema,
            "sync_queue": queue,
            "dead_letters": dead_letters,
            "conflicts": conflicts,
            "storage": storage,
            "sqlite_library": library,
            "clock_offset": clock,
            "workspace_clock": stamps,
        }
        if self._settings().withheld:
            checks["trust"] = trust
        return checks

    async def _probe(self) -> Finding:
        known = self._sound_at is not None and self._clock() - self._sound_at < QUICK_CHECK_KEPT_SECONDS
        started = self._clock()
        probe = await self._ask(lambda file, seconds: self._files.probe(file, thorough=not known, seconds=seconds))
        if probe.damage:
            self._sound_at = None
        elif probe.damage is not None and not known:
            self._sound_at = started
        return rules.judge_database(probe, self._limits)

    @property
    def _limits(self) -> HealthSettings:
        return self._settings().health

    @property
    def _database(self) -> Path:
        return self._settings().persistence.sqlite.resolve(self._root)

    async def _ask(self, question: Callable[[Path, float], T]) -> T:
        """The result of ``question(database, seconds)`` from a thread. Raises IntegrityError if the content is gone."""
        # Its error comes before the check's own time limit, and says more than a timeout would.
        seconds = self._limits.check_timeout_seconds * 0.8

        def ask() -> T:
            database = self._database
            if self._files.inspect(database, Depth.HEADER).reason:
                expected = held_workspace(self._backups, self._root, self._settings())
                self._files.require_content(database, expected=expected)
            return question(database, seconds)

        return await run_in_daemon_thread(ask)
