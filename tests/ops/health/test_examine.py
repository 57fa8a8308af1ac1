"""Health checks run concurrently; none raises, waits without limit, or runs more often than necessary."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from acode_tui.config import Settings
from acode_tui.config.settings import HealthSettings
from acode_tui.domain.errors import IntegrityError, TransactionError
from acode_tui.ops.health.report import Finding, HealthStatus, examine
from acode_tui.ops.health.target import TargetStatus
from acode_tui.ops.health.watch import KEPT_SECONDS, QUICK_CHECK_KEPT_SECONDS, HealthWatch
from acode_tui.storage.ports import FileProbe
from acode_tui.storage.sqlite.files.database_files import SqliteDatabaseFiles
from acode_tui.workspace import open_workspace
from acode_tui.workspace.maintenance import backup_store
from tests.clocks import GUARD_SECONDS
from tests.conftest import PLAIN_SETTINGS

UNHURRIED = Settings(health=HealthSettings(database_slow_ms=60_000, check_timeout_seconds=GUARD_SECONDS))
FINE = Finding(status=HealthStatus.HEALTHY, description="fine")


async def test_a_check_that_takes_too_long_is_unhealthy_and_holds_up_no_other() -> None:
    async def hang() -> Finding:
        await asyncio.Event().wait()
        return FINE

    async def quick() -> Finding:
        return FINE

    report = await examine({"hangs": hang, "quick": quick}, seconds=0.01)
    hangs, other = report.checks
    assert hangs.status is report.status is HealthStatus.UNHEALTHY
    assert "no answer within 0.01 s" in hangs.description
    assert other.status is HealthStatus.HEALTHY
    assert other.duration_ms < hangs.duration_ms


async def test_checks_run_side_by_side() -> None:
    met = asyncio.Barrier(3)

    async def meet() -> Finding:
        await met.wait()
        return FINE

    report = await examine({"a": meet, "b": meet, "c": meet}, seconds=30)
    assert report.status is HealthStatus.HEALTHY


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (IntegrityError("the file is damaged", hint="restore a backup"), "the file is damaged"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (RuntimeError("s3cret"), "RuntimeError"),
        (RecursionError(), "RecursionError"),
    ],
)
async def test_a_check_never_raises(error: Exception, words: str) -> None:
    async def fail() -> Finding:
        raise error

    (check,) = (await examine({"fails": fail}, seconds=30)).checks
    assert check.status is HealthStatus.UNHEALTHY
    assert words in check.description
    assert check.suggestion
    assert "s3cret" not in check.description


class Counted:
    """A health watch on a test clock, and the number of times its checks ran."""

    def __init__(self, root: Path, settings: Settings = UNHURRIED) -> None:
        self.now = 1_000.0
        self.probes = 0
        self.target_seconds = 0.0
        self.files = SqliteDatabaseFiles()
        self.watch = HealthWatch(
            self.files, backup_store(), root, lambda: settings, self._look, postgres_version="1", clock=lambda: self.now
        )

    async def _look(self, seconds: float) -> TargetStatus:
        self.probes += 1
        self.target_seconds = seconds
        return TargetStatus(enabled=False)


async def test_a_report_is_kept_for_a_few_seconds(tmp_path: Path) -> None:
    counted = Counted(tmp_path)
    first = await counted.watch.report()
    counted.now += KEPT_SECONDS - 0.1
    assert await counted.watch.report() is first
    assert counted.probes == 1
    assert await counted.watch.report(fresh=True) is not first
    counted.now += KEPT_SECONDS + 0.1
    await counted.watch.report()
    assert counted.probes == 3


async def test_concurrent_callers_share_one_report(tmp_path: Path) -> None:
    counted = Counted(tmp_path)
    reports = await asyncio.gather(*(counted.watch.report() for _ in range(5)))
    assert counted.probes == 1
    assert len({id(report) for report in reports}) == 1


async def test_a_sound_file_is_not_read_whole_for_every_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_workspace(tmp_path, settings=PLAIN_SETTINGS):
        pass
    thorough: list[bool] = []
    real = SqliteDatabaseFiles.probe

    def probe(self: SqliteDatabaseFiles, database: Path, **how: Any) -> FileProbe:
        thorough.append(how["thorough"])
        return real(self, database, **how)

    monkeypatch.setattr(SqliteDatabaseFiles, "probe", probe)
    counted = Counted(tmp_path)
    for seconds in (0.0, KEPT_SECONDS + 1, QUICK_CHECK_KEPT_SECONDS):
        counted.now += seconds
        assert (await counted.watch.report()).checks[0].status is HealthStatus.HEALTHY
    assert thorough == [True, False, True]


async def test_the_file_and_the_target_answer_before_the_check_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their answer says what is wrong; that a check took too long does not."""
    async with open_workspace(tmp_path, settings=PLAIN_SETTINGS):
        pass
    file_seconds: list[float] = []

    def probe(self: SqliteDatabaseFiles, database: Path, *, thorough: bool, seconds: float) -> FileProbe:
        file_seconds.append(seconds)
        return FileProbe(read_ms=1, damage=(), lock_wait=TransactionError("locked"))

    monkeypatch.setattr(SqliteDatabaseFiles, "probe", probe)
    counted = Counted(tmp_path)
    assert "locked" in (await counted.watch.report()).checks[0].description
    assert 0 < file_seconds[0] < GUARD_SECONDS
    assert 0 < counted.target_seconds < GUARD_SECONDS


async def test_changed_thresholds_count_at_once(tmp_path: Path) -> None:
    async with open_workspace(tmp_path, settings=PLAIN_SETTINGS):
        pass
    impossible = Settings(health=HealthSettings(storage_unhealthy_percent=100, storage_degraded_percent=100))
    checks = {each.name: each for each in (await Counted(tmp_path, impossible).watch.report()).checks}
    assert checks["storage"].status is HealthStatus.UNHEALTHY
