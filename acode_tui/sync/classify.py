"""What a fault means for the sync: a pure table from SQLSTATE or kind to a verdict.

The distinction that matters is between the target and the record. A target that cannot be reached or used pauses the
worker and costs no record an attempt; a record that the server examined and refused costs an attempt, and waits alone.
"""

from collections.abc import Callable
from enum import StrEnum

from acode_tui.storage.delivery_protocol import Fault, FaultKind
from acode_tui.sync.ports import SyncState


class Verdict(StrEnum):
    """What to do next."""

    RETRY_NOW = "retry_now"
    """A collision with another transaction: the same batch again, at once, no attempt counted."""
    OFFLINE = "offline"
    """The target is out of reach or cannot take anything: probe with backoff, no attempt counted."""
    AUTH_FAILED = "auth_failed"
    """A person has to act: not tried again before the configuration changes or a sync is asked for."""
    UNTRUSTED = "untrusted"
    """No TLS connection that can be trusted: shown as AUTH_FAILED, but probed, for a captive portal or this machine's
    wrong clock cause it as well as a wrong certificate."""
    SCHEMA_MISMATCH = "schema_mismatch"
    READ_ONLY = "read_only"
    REMOTE_BEHIND = "remote_behind"
    TOO_SLOW = "too_slow"
    """The server's time limit, or an operator, ended the batch: smaller ones may go through."""
    RECORD = "record"
    """The record was refused for a reason that may heal: an attempt is counted and backed off."""
    RECORD_DEAD = "record_dead"
    """PostgreSQL can never hold this value: a dead letter at once."""


_BY_KIND: dict[FaultKind, Verdict] = {
    FaultKind.ROW_SECURITY: Verdict.RECORD,
    FaultKind.FOREIGN_WORKSPACE: Verdict.AUTH_FAILED,
    FaultKind.UNKNOWN_HOST: Verdict.OFFLINE,
    FaultKind.REFUSED: Verdict.OFFLINE,
    FaultKind.UNREACHABLE: Verdict.OFFLINE,
    FaultKind.TIMEOUT: Verdict.OFFLINE,
    FaultKind.CONNECTION_LOST: Verdict.OFFLINE,
    FaultKind.TLS: Verdict.UNTRUSTED,
    FaultKind.PASSWORD_MISSING: Verdict.AUTH_FAILED,
    FaultKind.PASSWORD_COMMAND: Verdict.AUTH_FAILED,
    FaultKind.ENCODING: Verdict.RECORD_DEAD,
    FaultKind.SCHEMA: Verdict.SCHEMA_MISMATCH,
    FaultKind.SERVER_TOO_OLD: Verdict.SCHEMA_MISMATCH,
    FaultKind.REMOTE_BEHIND: Verdict.REMOTE_BEHIND,
    FaultKind.EXHAUSTED: Verdict.REMOTE_BEHIND,
    FaultKind.CONTENDED: Verdict.RETRY_NOW,
    FaultKind.OUTDATED: Verdict.RETRY_NOW,
    FaultKind.PRUNED: Verdict.RECORD_DEAD,
}

_BY_SQLSTATE: dict[str, Verdict] = {
    "25006": Verdict.READ_ONLY,
    "26000": Verdict.RETRY_NOW,  # a pooler lost the prepared statement
    "40001": Verdict.RETRY_NOW,
    "40P01": Verdict.RETRY_NOW,
    "55P03": Verdict.RETRY_NOW,
    "40002": Verdict.RECORD,
    "42501": Verdict.AUTH_FAILED,
    "57014": Verdict.TOO_SLOW,
}

_BY_CLASS: dict[str, Verdict] = {
    "08": Verdict.OFFLINE,
    "0A": Verdict.SCHEMA_MISMATCH,
    "22": Verdict.RECORD_DEAD,
    "25": Verdict.OFFLINE,
    "28": Verdict.AUTH_FAILED,
    "3D": Verdict.OFFLINE,
    "3F": Verdict.SCHEMA_MISMATCH,
    "40": Verdict.RETRY_NOW,
    "42": Verdict.SCHEMA_MISMATCH,
    "53": Verdict.OFFLINE,
    "54": Verdict.RECORD_DEAD,
    "55": Verdict.OFFLINE,
    "57": Verdict.OFFLINE,
    "58": Verdict.OFFLINE,
    "72": Verdict.OFFLINE,
    "F0": Verdict.OFFLINE,
}
"""By the first two characters. Every other class (23 constraints, 44 check options, P0 triggers, 09, 21, 27, 38, XX,
future ones) is a refusal of the record: it costs an attempt, so that one row never stops the rest for good. Before a
batch was looked at it is the target's: poolers use XX000 and P0001 for whatever they cannot do at a login."""

_STATES: dict[Verdict, SyncState] = {
    Verdict.OFFLINE: SyncState.OFFLINE,
    Verdict.AUTH_FAILED: SyncState.AUTH_FAILED,
    Verdict.UNTRUSTED: SyncState.AUTH_FAILED,
    Verdict.SCHEMA_MISMATCH: SyncState.SCHEMA_MISMATCH,
    Verdict.READ_ONLY: SyncState.READ_ONLY,
    Verdict.REMOTE_BEHIND: SyncState.REMOTE_BEHIND,
}


def classify(fault: Fault) -> Verdict:
    """The verdict on one fault. Never the record's where no record was looked at."""
    if fault.kind is not FaultKind.SERVER:
        verdict = _BY_KIND[fault.kind]
    else:
        sqlstate = fault.sqlstate or ""
        verdict = _BY_SQLSTATE.get(sqlstate) or _BY_CLASS.get(sqlstate[:2], Verdict.RECORD)
    is_batch = is_record(verdict) or verdict is Verdict.TOO_SLOW
    return Verdict.OFFLINE if fault.before_batch and is_batch else verdict


def is_record(verdict: Verdict) -> bool:
    """Whether the record was refused, so that a batch is worth bisecting and an attempt is counted."""
    return verdict in (Verdict.RECORD, Verdict.RECORD_DEAD)


def is_full(fault: Fault) -> bool:
    """Whether the server works but has no free connection: a later try may get one."""
    return fault.sqlstate == "53300"


def heals_itself(verdict: Verdict) -> bool:
    """Whether the target may work again without a person acting, so that it is worth probing.

    A read-only server is usually a standby about to be promoted, and a schema is usually about to be migrated.
    """
    return verdict in (
        Verdict.RETRY_NOW,
        Verdict.OFFLINE,
        Verdict.UNTRUSTED,
        Verdict.READ_ONLY,
        Verdict.SCHEMA_MISMATCH,
    )


def state_of(verdict: Verdict) -> SyncState | None:
    """The worker's state after a verdict on the target; None where the target works."""
    return _STATES.get(verdict)


Random = Callable[[], float]

MAX_JITTER = 0.3
PROBE_FLOOR_SECONDS = 5.0
"""Longest first wait before an unreachable target is tried again, in seconds."""


def record_delay(
    failures: int,
    *,
    initial_seconds: float = 5.0,
    max_seconds: float = 3600.0,
    jitter: float = 0.0,
    random: Random | None = None,
) -> float:
    """Seconds to wait after a record's nth refusal: min(initial * 2^(n-1), max), up to ``jitter`` of it on top.

    ``failures`` counts from 1. The jitter (0 to 0.3) is added last, so that records at the limit spread as well.
    Without ``random`` there is none. Raises ValueError outside these ranges.
    """
    if failures < 1:
        raise ValueError("failures counts from 1")
    if not 0 <= jitter <= MAX_JITTER:
        raise ValueError(f"jitter is a share from 0 to {MAX_JITTER}")
    # 2.0**1024 overflows; the limit is reached long before.
    delay = min(initial_seconds * 2.0 ** min(failures - 1, 1000), max_seconds)
    if random is None:
        return delay
    return delay * (1 + jitter * random())


def probe_delay(
    failures: int, *, interval_seconds: float, random: Random, floor_seconds: float = PROBE_FLOOR_SECONDS
) -> float:
    """Seconds until a target is tried again after ``failures`` (from 1) failed tries in a row.

    Full jitter over a ceiling that doubles from the floor to the sync interval; never under a tenth of the ceiling, so
    a run of small draws does not hammer.
    """
    if failures < 1:
        raise ValueError("failures counts from 1")
    ceiling = min(floor_seconds * 2.0 ** min(failures - 1, 1000), max(interval_seconds, 0.1))
    return ceiling * max(0.1, random())
