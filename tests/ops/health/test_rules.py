"""Which numbers are healthy: every threshold is tested on both sides."""

from datetime import timedelta

import pytest

from acode_tui.config import HealthSettings
from acode_tui.domain.errors import (
    AcodeError,
    DatabaseConnectionError,
    DiskFullError,
    SchemaMismatchError,
    TransactionError,
)
from acode_tui.ops.health import rules
from acode_tui.ops.health.report import Finding, HealthStatus, worst
from acode_tui.ops.health.target import TargetStatus
from acode_tui.storage.ports import ConflictCounts, FileProbe, OutboxStats, QueueFacts, SchemaStatus
from tests.clocks import NOON

LIMITS = HealthSettings()
HEALTHY, DEGRADED, UNHEALTHY = HealthStatus


def shown(found: Finding) -> HealthStatus:
    """The status of a finding. Checks that it has a suggestion exactly if it is not healthy."""
    assert (found.suggestion is None) == (found.status is HEALTHY)
    assert found.description
    return found.status


@pytest.mark.parametrize(
    ("read_ms", "damage", "lock_wait", "expected"),
    [
        (50.0, (), 0.0, HEALTHY),
        (50.1, (), 0.0, DEGRADED),
        (1.0, None, 0.0, HEALTHY),
        (1.0, ("row 3 missing from index",), 0.0, UNHEALTHY),
        (1.0, (), TransactionError("another process held the write lock"), UNHEALTHY),
        (1.0, (), DiskFullError("the disk is full"), UNHEALTHY),
        (1.0, (), DatabaseConnectionError("the file system is read-only", hint=""), UNHEALTHY),
    ],
)
def test_a_slow_database_is_degraded_and_a_damaged_or_locked_one_unhealthy(
    read_ms: float, damage: tuple[str, ...] | None, lock_wait: float | AcodeError, expected: HealthStatus
) -> None:
    assert (
        shown(rules.judge_database(FileProbe(read_ms=read_ms, damage=damage, lock_wait=lock_wait), LIMITS)) is expected
    )


def local(version: str = "1.2.0", *pending: str) -> SchemaStatus:
    return SchemaStatus(tier="sqlite", version=version, target="1.2.0", pending=pending)


OFF = TargetStatus(enabled=False)
AWAY = TargetStatus(enabled=True, reason="no route", hint="check the address")


def there(version: str | None, *, clock_offset: float = 0.0) -> TargetStatus:
    return TargetStatus(enabled=True, answers=True, drains=True, schema_version=version, clock_offset=clock_offset)


@pytest.mark.parametrize(
    ("file", "target", "expected"),
    [
        (local(), OFF, HEALTHY),
        (local("1.1.0", "1.2.0"), OFF, DEGRADED),
        (local(), there("1.2.0"), HEALTHY),
        (local(), there("1.1.0"), DEGRADED),
        (local(), there(None), DEGRADED),
        (local(), AWAY, DEGRADED),
        (local(), there("1.10.0"), UNHEALTHY),
        (local("1.1.0", "1.2.0"), there("2.0"), UNHEALTHY),
        (SchemaMismatchError("the database has schema 9.0"), there("1.2.0"), UNHEALTHY),
    ],
)
def test_a_pending_or_unreachable_schema_is_degraded_and_a_newer_one_unhealthy(
    file: SchemaStatus | SchemaMismatchError, target: TargetStatus, expected: HealthStatus
) -> None:
    assert shown(rules.judge_schema(file, target, "1.2.0")) is expected


def queue(pending: int = 0, due: float | None = None, finished: float | None = None) -> QueueFacts:
    """``due`` and ``finished`` in seconds before noon."""
    return QueueFacts(
        outbox=OutboxStats(pending=pending),
        oldest_due_at=None if due is None else NOON - timedelta(seconds=due),
        last_finished_at=None if finished is None else NOON - timedelta(seconds=finished),
    )


@pytest.mark.parametrize(
    ("facts", "online", "expected"),
    [
        (queue(4_999, due=1), True, HEALTHY),
        (queue(5_000, due=1), True, DEGRADED),
        (queue(9_999, due=1), False, DEGRADED),
        (queue(10_000), False, UNHEALTHY),
        (queue(1, due=599), True, HEALTHY),
        (queue(1, due=600), True, UNHEALTHY),
        (queue(1, due=600), False, HEALTHY),
        (queue(1, due=86_400, finished=599), True, HEALTHY),
        (queue(1, due=86_400, finished=600), True, UNHEALTHY),
        (queue(1, due=1, finished=86_400), True, HEALTHY),
        (queue(1, finished=86_400), True, HEALTHY),
    ],
)
def test_a_queue_is_judged_by_its_length_and_by_whether_it_moves_while_online(
    facts: QueueFacts, online: bool, expected: HealthStatus
) -> None:
    found = rules.judge_queue(facts, enabled=True, can_drain=online, now=NOON, limits=LIMITS)
    assert shown(found) is expected


def test_a_queue_without_a_postgres_to_send_to_is_never_late() -> None:
    facts = queue(1_000_000, due=86_400 * 365)
    found = rules.judge_queue(facts, enabled=False, can_drain=False, now=NOON, limits=LIMITS)
    assert found.status is HEALTHY
    assert found.suggestion is None
    assert "pending" not in found.description


def test_dead_letters_and_unreviewed_conflicts_degrade() -> None:
    assert shown(rules.judge_dead_letters(0, LIMITS)) is HEALTHY
    assert shown(rules.judge_dead_letters(1, LIMITS)) is DEGRADED
    assert rules.judge_dead_letters(1, LIMITS).description == "1 dead letter waits for a decision"
    assert rules.judge_dead_letters(2, LIMITS).description == "2 dead letters wait for a decision"
    assert shown(rules.judge_conflicts(ConflictCounts(total=3), LIMITS)) is HEALTHY
    assert shown(rules.judge_conflicts(ConflictCounts(total=3, unreviewed=1), LIMITS)) is DEGRADED


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        (150_100_000_000, HEALTHY),
        (150_000_000_000, DEGRADED),
        (50_000_000_000, DEGRADED),
        (49_900_000_000, UNHEALTHY),
        (0, UNHEALTHY),
    ],
)
def test_storage_is_judged_by_the_share_that_is_free(free: int, expected: HealthStatus) -> None:
    assert shown(rules.judge_storage(total=1_000_000_000_000, free=free, limits=LIMITS)) is expected


def test_little_room_degrades_however_large_its_share() -> None:
    assert rules.judge_storage(total=271_000_000_000, free=82_283_000_000, limits=LIMITS).description == (
        "30.4 % free, 82.3 GB"
    )
    assert shown(rules.judge_storage(total=200_000_000, free=99_999_999, limits=LIMITS)) is DEGRADED
    assert shown(rules.judge_storage(total=200_000_000, free=100_000_000, limits=LIMITS)) is HEALTHY


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((3, 36, 0), UNHEALTHY),
        ((3, 37, 0), DEGRADED),
        ((3, 44, 5), DEGRADED),
        ((3, 44, 6), HEALTHY),
        ((3, 45, 0), DEGRADED),
        ((3, 50, 6), DEGRADED),
        ((3, 50, 7), HEALTHY),
        ((3, 51, 2), DEGRADED),
        ((3, 51, 3), HEALTHY),
        ((3, 52, 0), HEALTHY),
    ],
)
def test_a_library_that_may_damage_files_is_degraded(version: tuple[int, ...], expected: HealthStatus) -> None:
    assert shown(rules.judge_sqlite(version)) is expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (OFF, HEALTHY),
        (AWAY, HEALTHY),
        (there("1.2.0", clock_offset=1.99), HEALTHY),
        (there("1.2.0", clock_offset=2.0), DEGRADED),
        (there("1.2.0", clock_offset=-2.0), DEGRADED),
    ],
)
def test_clocks_that_differ_degrade(target: TargetStatus, expected: HealthStatus) -> None:
    assert shown(rules.judge_clock(target, LIMITS)) is expected


def test_the_worst_status_wins() -> None:
    assert worst([]) is HEALTHY
    assert worst([DEGRADED, HEALTHY]) is DEGRADED
    assert worst([DEGRADED, UNHEALTHY, HEALTHY]) is UNHEALTHY
