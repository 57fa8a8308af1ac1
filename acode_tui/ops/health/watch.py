"""The health of one workspace: what is looked at, and how often it is looked at again in a process that asks a lot."""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from time import monotonic

from acode_tui.config import HealthSettings, Settings
from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.errors import AcodeError
from acode_tui.files import existing_folder
from acode_tui.ops.health import rules
from acode_tui.ops.health.report import Finding, HealthReport, Look, examine, unattended
from acode_tui.ops.health.target import TargetLook, look_at_target
from acode_tui.ops.recovery.recover import has_lived
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import SchemaStatus
from acode_tui.storage.sqlite.connection import has_content
from acode_tui.storage.sqlite.errors import require_content
from acode_tui.storage.sqlite.files.inspect import FileVitals, library_version

KEPT_SECONDS = 3.0
"""How long an answer is good for in a running process."""

QUICK_CHECK_KEPT_SECONDS = 600.0
"""Reading the whole file is not for every glance: one that was found sound is looked through again after this time."""

LookAtTarget = Callable[[float], Awaitable[TargetLook]]


class HealthWatch:
    """Answers how the workspace at ``root`` is. Settings are read at each look, so that changed ones count at once.

    ``look_at_target`` is given the seconds that it may take, and never raises.
    """

    def __init__(
        self,
        root: Path,
        settings: Callable[[], Settings],
        look_at_target: LookAtTarget,
        *,
        wall: WallClock = system_clock,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._root = root
        self._settings = settings
        self._look_at_target = look_at_target
        self._wall = wall
        self._clock = clock
        self._last: HealthReport | None = None
        self._last_at = 0.0
        self._sound_at: float | None = None
        self._busy = asyncio.Lock()

    async def report(self, *, fresh: bool = False) -> HealthReport:
        """The state now, or as of a few seconds ago; ``fresh`` looks again in any case. Never raises."""
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
        # One look at the server serves three checks. It ends before they do: a server that hangs is one that is away.
        target = asyncio.ensure_future(self._look_at_target(seconds * 0.6))
        try:
            return await examine(self._looks(target), seconds=seconds)
        finally:
            target.cancel()

    def _looks(self, target: "asyncio.Future[TargetLook]") -> dict[str, Look]:
        async def schema() -> Finding:
            local: SchemaStatus | AcodeError
            try:
                local = await unattended(lambda: self._file.schema())
            except AcodeError as error:
                local = error
            return rules.judge_schema(local, await asyncio.shield(target), packaged("postgres")[-1].version)

        async def queue() -> Finding:
            now = self._wall()
            facts = await unattended(lambda: self._file.queue(now))
            can_drain = (await asyncio.shield(target)).drains and self._settings().persistence.sync.enabled
            return rules.judge_queue(facts, can_drain=can_drain, now=now, limits=self._limits)

        async def dead_letters() -> Finding:
            return rules.judge_dead_letters(await unattended(lambda: self._file.dead_letters()), self._limits)

        async def conflicts() -> Finding:
            return rules.judge_conflicts(await unattended(lambda: self._file.conflicts()), self._limits)

        async def storage() -> Finding:
            usage = await unattended(lambda: shutil.disk_usage(existing_folder(self._database.absolute().parent)))
            return rules.judge_storage(total=usage.total, free=usage.free, limits=self._limits)

        async def library() -> Finding:
            return rules.judge_sqlite(library_version())

        async def clock() -> Finding:
            return rules.judge_clock(await asyncio.shield(target), self._limits)

        return {
            "database": self._pulse,
            "schema": schema,
            "sync_queue": queue,
            "dead_letters": dead_letters,
            "conflicts": conflicts,
            "storage": storage,
            "sqlite_library": library,
            "clock_offset": clock,
        }

    async def _pulse(self) -> Finding:
        known = self._sound_at is not None and self._clock() - self._sound_at < QUICK_CHECK_KEPT_SECONDS
        started = self._clock()
        pulse = await unattended(lambda: self._file.pulse(thorough=not known))
        if pulse.damage:
            self._sound_at = None
        elif pulse.damage is not None and not known:
            self._sound_at = started
        return rules.judge_database(pulse, self._limits)

    @property
    def _limits(self) -> HealthSettings:
        return self._settings().health

    @property
    def _database(self) -> Path:
        return self._settings().persistence.sqlite.resolve(self._root)

    @property
    def _file(self) -> FileVitals:
        """The file, asked for in the thread that looks at it. Raises IntegrityError if its content is gone."""
        if not has_content(self._database):
            require_content(self._database, has_lived=has_lived(self._root, self._settings()))
        # Its answer comes before the check's own time is up, and says more than that it did not come.
        return FileVitals(self._database, seconds=self._limits.check_timeout_seconds * 0.8)


def watch_from_outside(
    root: Path, settings: Settings, *, environ: Mapping[str, str] = os.environ, wall: WallClock = system_clock
) -> HealthWatch:
    """For a program that has not opened the workspace, perhaps because it cannot: nothing is opened or made."""

    async def look(seconds: float) -> TargetLook:
        return await look_at_target(settings.persistence.postgres, environ=environ, seconds=seconds, wall=wall)

    return HealthWatch(root, lambda: settings, look, wall=wall)
