"""When a workspace is healthy: a finding from measured numbers. Pure; thresholds come from the ``health`` settings."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from acode_tui.config import HealthSettings
from acode_tui.domain.clock import format_time, is_ahead
from acode_tui.domain.errors import AcodeError, DiskFullError, SchemaMismatchError
from acode_tui.domain.quantities import counted, duration, number, size, span
from acode_tui.domain.schema import version_key
from acode_tui.ops.health.report import Finding, HealthStatus
from acode_tui.ops.health.target import TargetStatus
from acode_tui.storage.ports import ConflictCounts, FileProbe, QueueFacts, SchemaStatus

Version = tuple[int, ...]

_UNLOCK = "fuser .agent/workspace.db, and end the process that hangs"
_UPGRADE = "pip install --upgrade acode-tui"
_RECOVER = "acode-tui db check, then acode-tui db restore or acode-tui db recover --from postgres"


def judge_database(probe: FileProbe, limits: HealthSettings) -> Finding:
    """Whether the file answers, is sound, and can be written to."""
    damage, wait = probe.damage, probe.lock_wait
    details = {
        "readMs": round(probe.read_ms, 1),
        "quickCheck": "not finished" if damage is None else list(damage) or "ok",
        "lockWaitMs": None if isinstance(wait, AcodeError) else round(wait * 1000, 1),
    }
    if damage:
        return Finding(
            status=HealthStatus.UNHEALTHY,
            description=f"the file is damaged: {damage[0]}",
            details=details,
            suggestion=_RECOVER,
        )
    if isinstance(wait, DiskFullError):
        return Finding(
            status=HealthStatus.UNHEALTHY,
            description="the disk is full: nothing can be recorded until there is room",
            details=details,
            suggestion=wait.hint,
        )
    if isinstance(wait, AcodeError):
        locked = "lock" in wait.message
        return Finding(
            status=HealthStatus.UNHEALTHY,
            description=f"{'locked: ' if locked else ''}nothing can be recorded ({wait.message})",
            details=details,
            suggestion=_UNLOCK if locked else wait.hint or "acode-tui diagnostics",
        )
    if probe.read_ms > limits.database_slow_ms:
        return Finding(
            status=HealthStatus.DEGRADED,
            description=f"slow: {probe.read_ms:.0f} ms for a read, {limits.database_slow_ms:g} ms is the limit",
            details=details,
            suggestion="acode-tui db vacuum, or put the workspace on a faster disk",
        )
    rest = "sound" if damage is not None else "too large to look through here: acode-tui db check does"
    return Finding(
        status=HealthStatus.HEALTHY, description=f"answers in {probe.read_ms:.1f} ms; {rest}", details=details
    )


def judge_schema(local: SchemaStatus | AcodeError, target: TargetStatus, wanted: str) -> Finding:
    """Both tiers; ``wanted`` is the version that this program needs in PostgreSQL."""
    details = {
        "sqlite": {"version": None, "target": None, "pending": []},
        "postgres": {
            "version": target.schema_version,
            "target": wanted,
            "reason": target.reason or None,
            "distributed": target.distributed,
        },
    }
    if isinstance(local, AcodeError):
        newer = isinstance(local, SchemaMismatchError) and "this program knows" in local.message
        return Finding(
            status=HealthStatus.UNHEALTHY,
            description=local.message,
            details=details,
            suggestion=_UPGRADE if newer else local.hint or "acode-tui diagnostics",
        )
    details["sqlite"] = {"version": local.version, "target": local.target, "pending": list(local.pending)}
    here = f"workspace {local.version or 'empty'}"
    there = target.schema_version
    if there is not None and version_key(there) > version_key(wanted):
        return Finding(
            status=HealthStatus.UNHEALTHY,
            description=f"the team's database has schema {there}; this program knows {wanted} at most",
            details=details,
            suggestion=_UPGRADE,
        )
    if local.pending:
        return Finding(
            status=HealthStatus.DEGRADED,
            description=f"{here}, {len(local.pending)} pending: {', '.join(local.pending)}",
            details=details,
            suggestion="acode-tui db migrate",
        )
    if not target.enabled:
        return Finding(
            status=HealthStatus.HEALTHY, description=f"{here} is current; PostgreSQL is not enabled", details=details
        )
    if not target.answers:
        return Finding(
            status=HealthStatus.DEGRADED,
            description=f"{here} is current; PostgreSQL cannot be asked: {target.reason}",
            details=details,
            suggestion=f"acode-tui db sync status; {target.hint}".removesuffix("; "),
        )
    if there != wanted:
        return Finding(
            status=HealthStatus.DEGRADED,
            description=f"{here} is current; PostgreSQL has {there or 'no tables yet'}, {wanted} is pending",
            details=details,
            suggestion="acode-tui db migrate",
        )
    how = ", whose tables are distributed," if target.distributed else ""
    return Finding(
        status=HealthStatus.HEALTHY, description=f"{here} and PostgreSQL {there}{how} are current", details=details
    )


def judge_queue(facts: QueueFacts, *, enabled: bool, can_drain: bool, now: datetime, limits: HealthSettings) -> Finding:
    """``enabled``: there is a PostgreSQL to send to; without one nothing is late, however much is there.

    ``can_drain``: the server answers and the worker is not switched off, so what is due should go.
    """
    pending = facts.outbox.pending
    since = max(filter(None, (facts.oldest_due_at, facts.last_finished_at)), default=None)
    waited = (now - since).total_seconds() if facts.oldest_due_at is not None and since is not None else 0.0
    details = {
        "pending": pending,
        "retrying": facts.outbox.retrying,
        "oldestPendingAt": facts.outbox.oldest_pending_at,
        "lastFinishedAt": facts.last_finished_at,
        "online": can_drain,
    }
    if not enabled:
        description = "nothing is to be sent: PostgreSQL is not enabled"
        return Finding(status=HealthStatus.HEALTHY, description=description, details=details)
    if can_drain and waited >= limits.queue_stalled_seconds:
        return Finding(
            status=HealthStatus.UNHEALTHY,
            description=f"{number(pending)} pending and none finished for {span(waited)} while online",
            details=details,
            suggestion="acode-tui db sync now, and keep acode-tui --headless running",
        )
    help_ = "acode-tui db sync now" if can_drain else "acode-tui db sync status"
    for limit, status in (
        (limits.queue_unhealthy, HealthStatus.UNHEALTHY),
        (limits.queue_degraded, HealthStatus.DEGRADED),
    ):
        if pending >= limit:
            return Finding(
                status=status,
                description=f"{counted(pending, 'record')} pending; {number(limit)} is the limit",
                details=details,
                suggestion=help_,
            )
    records = counted(pending, "record")
    return Finding(status=HealthStatus.HEALTHY, description=f"{records} pending", details=details)


def judge_dead_letters(count: int, limits: HealthSettings) -> Finding:
    """Records that the server refused for the last time."""
    return _counted(
        count,
        limits.dead_letters_degraded,
        none="no dead letters",
        some=f"{counted(count, 'dead letter')} {'waits' if count == 1 else 'wait'} for a decision",
        suggestion="acode-tui db outbox list --status failed, then retry or discard",
    )


def judge_conflicts(counts: ConflictCounts, limits: HealthSettings) -> Finding:
    """Conflicts that are not reviewed, and rows of the team's database that are kept aside."""
    found = _counted(
        counts.unreviewed,
        limits.conflicts_degraded,
        none=f"none to review, {number(counts.total)} in all",
        some=f"{number(counts.unreviewed)} to review, {number(counts.total)} in all",
        suggestion="acode-tui db conflicts list, then resolve",
    )
    aside = counts.quarantined
    return Finding(
        status=HealthStatus.DEGRADED if aside else found.status,
        description=f"{found.description}; {counted(aside, 'row')} kept aside" if aside else found.description,
        details={"total": counts.total, "unreviewed": counts.unreviewed, "quarantined": aside},
        suggestion=found.suggestion or ("acode-tui db conflicts" if aside else None),
    )


def judge_storage(*, total: int, free: int, limits: HealthSettings) -> Finding:
    """Bytes of the file system that the workspace is on; ``free`` is what this user may still use."""
    percent = 100 * free / total if total else 0.0
    details = {"totalBytes": total, "freeBytes": free, "freePercent": round(percent, 1)}
    description = f"{percent:.1f} % free, {size(free)}"
    status = HealthStatus.HEALTHY
    if percent < limits.storage_unhealthy_percent:
        status = HealthStatus.UNHEALTHY
    elif percent <= limits.storage_degraded_percent or free < limits.storage_degraded_bytes:
        status = HealthStatus.DEGRADED
    healthy = status is HealthStatus.HEALTHY
    return Finding(
        status=status,
        description=description,
        details=details,
        suggestion=None if healthy else "acode-tui db backup prune, acode-tui db vacuum, or free space on that disk",
    )


def judge_sqlite(version: Version) -> Finding:
    """The library: the schema needs 3.37; the WAL-reset bug may damage a file that two processes write."""
    shown = ".".join(map(str, version))
    details = {"version": shown}
    if version < (3, 37, 0):
        return Finding(
            status=HealthStatus.UNHEALTHY,
            description=f"SQLite {shown} cannot hold the tables; 3.37 or newer is needed",
            details=details,
            suggestion="use a Python built against a newer SQLite, such as `uv python install` brings",
        )
    if has_wal_reset_bug(version):
        return Finding(
            status=HealthStatus.DEGRADED,
            description=f"SQLite {shown} has the WAL-reset bug, which in rare cases damages a file",
            details=details,
            suggestion="use a Python built against SQLite 3.51.3 or newer, and acode-tui db backup until then",
        )
    return Finding(
        status=HealthStatus.HEALTHY, description=f"SQLite {shown}, no known bug that damages", details=details
    )


def has_wal_reset_bug(version: Version) -> bool:
    """3.7.0 to 3.51.2, except the two branches that the fix was backported to."""
    fixed = ((3, 44, 6), (3, 50, 7))
    if any(version[:2] == branch[:2] and version >= branch for branch in fixed):
        return False
    return (3, 7, 0) <= version < (3, 51, 3)


def judge_trust(withheld: Sequence[str]) -> Finding:
    """Settings of the workspace's file that do not count before this user has approved the file: not a fault."""
    count = counted(len(withheld), "setting")
    verb = "does" if len(withheld) == 1 else "do"
    return Finding(
        status=HealthStatus.HEALTHY,
        description=f"{count} of .agent/config.toml {verb} not count: the file is not trusted",
        details={"withheld": list(withheld)},
        suggestion="acode-tui trust --show, then acode-tui trust",
    )


def judge_direct_database(target: TargetStatus, wanted: str) -> Finding:
    """Whether the database that runs are recorded in, without a file, answers, has this schema and takes writes."""
    details = {"latencyMs": target.latency_ms and round(target.latency_ms, 1), "schemaVersion": target.schema_version}
    if not target.answers or target.reason:
        return Finding(
            status=HealthStatus.UNHEALTHY,
            description=target.reason,
            details=details,
            suggestion=target.hint or "acode-tui diagnostics",
        )
    if target.schema_version != wanted:
        return Finding(
            status=HealthStatus.UNHEALTHY,
            description=f"{target.address} has schema {target.schema_version or 'none'}, this program needs {wanted}",
            details=details,
            suggestion="acode-tui db migrate, or the SQL of acode-tui db schema --dialect postgres",
        )
    return Finding(
        status=HealthStatus.HEALTHY,
        description=f"{target.address} answers and takes writes, schema {wanted}",
        details=details,
    )


def judge_clock(target: TargetStatus, limits: HealthSettings) -> Finding:
    """The offset between the two clocks: the later edit wins a conflict, so they should agree."""
    offset = target.clock_offset
    details = {"offsetSeconds": None if offset is None else round(offset, 3)}
    if offset is None:
        reason = "PostgreSQL is not enabled" if not target.enabled else "not known: PostgreSQL could not be asked"
        return Finding(status=HealthStatus.HEALTHY, description=reason, details=details)
    if abs(offset) < limits.clock_offset_seconds:
        return Finding(
            status=HealthStatus.HEALTHY, description=f"{duration(abs(offset))} apart from PostgreSQL", details=details
        )
    side = "behind" if offset > 0 else "ahead of"
    return Finding(
        status=HealthStatus.DEGRADED,
        description=f"this machine's clock is {duration(abs(offset))} {side} PostgreSQL's",
        details=details,
        suggestion="timedatectl set-ntp true, on the machine whose clock is wrong",
    )


def _counted(count: int, limit: int, *, none: str, some: str, suggestion: str) -> Finding:
    details = {"count": count}
    if count >= limit:
        return Finding(status=HealthStatus.DEGRADED, description=some, details=details, suggestion=suggestion)
    return Finding(status=HealthStatus.HEALTHY, description=some if count else none, details=details)


def judge_stamps(last: datetime | None, target: TargetStatus, now: datetime) -> Finding:
    """Whether the workspace's clock, which never goes back, follows a clock that was wrong once.

    Its stamps would win every conflict, and other machines keep rows with them aside.
    """
    server = now + timedelta(seconds=target.clock_offset or 0.0)
    if last is None or not is_ahead(last, now, server):
        return Finding(status=HealthStatus.HEALTHY, description="new stamps follow the clock")
    ahead = last - max(now, server)
    return Finding(
        status=HealthStatus.DEGRADED,
        description=f"new stamps are {span(ahead)} ahead: this machine's clock was wrong once",
        details={"aheadSeconds": round(ahead.total_seconds()), "lastStamp": format_time(last)},
        suggestion="acode-tui db check --repair-clock",
    )
