"""``db check --remote``: the team's schema against this program's, the team's rows against the workspace's.

What waits in the outbox, and what others sent since this workspace last looked, is a difference that the next sync
settles: it is told and not held against anybody.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from acode_tui.config import Misconfigured, Settings, resolve_postgres
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.progress import ReportStep
from acode_tui.domain.quantities import counted, number
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.ops.recovery.validate import Mismatch, Validation, compare
from acode_tui.storage.ports import Check
from acode_tui.storage.postgres.compare import PostgresRowChecksums, TeamCounts, changed_after, count_rows
from acode_tui.storage.postgres.connection import PostgresConnectionFactory, ReadPool
from acode_tui.storage.postgres.schema_check import check_migrations, check_tables
from acode_tui.storage.sqlite.runs.checksums import Onlooker, Reading, SqliteRowChecksums
from acode_tui.storage.sqlite.sync.adopt import pending_among
from acode_tui.storage.sqlite.sync.retention import LocalShares, read_shares

_KINDS = {table.name: kind for kind, table in TABLES.items()}
_MOST_FINDINGS = 5


async def check_team_database(
    database: Path,
    settings: Settings,
    *,
    environ: Mapping[str, str] = os.environ,
    on_step: ReportStep | None = None,
) -> tuple[Check, ...]:
    """Every finding; that the server cannot be asked is one too. ``on_step`` receives what is looked at next."""
    postgres = settings.persistence.postgres
    if not postgres.enabled:
        return (_fault("PostgreSQL is not enabled (run `acode-tui config set persistence.postgres.enabled true`)"),)
    address = resolve_postgres(postgres, environ)
    if isinstance(address, Misconfigured):
        return (_fault(f"{address.reason} ({address.hint})"),)
    connections = PostgresConnectionFactory(
        address,
        connect_timeout=postgres.connect_timeout_seconds,
        command_timeout=postgres.command_timeout_seconds,
    )
    pool = connections.read_pool(size=postgres.pool_size)
    reads = Onlooker(database, seconds=settings.persistence.sqlite.timeout_seconds)
    try:
        return await _ask(pool, reads, postgres.schema, on_step or (lambda step: None))
    except AcodeError as error:
        return (_fault(error.message + (f" ({error.hint})" if error.hint else "")),)
    finally:
        await pool.close()


async def _ask(pool: ReadPool, reads: Reading, schema: str, on_step: ReportStep) -> tuple[Check, ...]:
    on_step("the team's tables")
    structure = (await check_migrations(pool, schema), await check_tables(pool, schema))
    if not all(each.ok for each in structure):
        return structure
    on_step("the team's rows")
    local = await reads.run(read_shares)
    team_counts = await count_rows(pool, schema, local.workspace_id)
    team = PostgresRowChecksums(pool, schema=schema, workspace_id=local.workspace_id)
    found = await compare(
        SqliteRowChecksums(reads),
        team,
        on_progress=lambda progress: on_step(f"{number(progress.done)} sessions compared"),
    )
    unsettled = await _unsettled(pool, reads, schema, found.mismatched, local.change_seq)
    return (*structure, judge_counts(local, team_counts), judge_rows(found, unsettled))


async def _unsettled(
    pool: ReadPool, reads: Reading, schema: str, mismatched: Sequence[Mismatch], change_seq: int
) -> set[Mismatch]:
    """The differences that the next sync settles: rows that wait here, and rows that are news there."""
    keys = [(_KINDS[each.table], each.id) for each in mismatched]
    settled_by_push = await reads.run(lambda connection: pending_among(connection, keys))
    by_kind: dict[EntityType, list[str]] = {}
    for kind, row_id in keys:
        by_kind.setdefault(kind, []).append(row_id)
    settled_by_pull = {
        (kind, row_id)
        for kind, ids in by_kind.items()
        for row_id in await changed_after(pool, schema, kind, ids, change_seq)
    }
    expected = settled_by_push | settled_by_pull
    return {each for each, key in zip(mismatched, keys, strict=True) if key in expected}


def judge_counts(local: LocalShares, team: TeamCounts) -> Check:
    """Whether everything that was delivered is there. More than that may well be: other replicas send too."""
    lost = {kind: local.delivered[kind] - team.rows[kind] for kind in TABLES if team.rows[kind] < local.delivered[kind]}
    here, there = sum(local.total.values()), sum(team.rows.values())
    delivered = number(sum(local.delivered.values()))
    description = f"{number(here)} rows here, {delivered} of them delivered; {number(there)} there"
    if lost:
        missing = ", ".join(f"{number(count)} of {TABLES[kind].name}" for kind, count in lost.items())
        description += f"; delivered and not there any more: {missing} (run `acode-tui db sync --full`)"
    elif team.change_seq is not None and team.change_seq > local.change_seq:
        description += "; some of those are news here (run `acode-tui db sync now`)"
    return Check(name="remote counts", ok=not lost, description=description)


def judge_rows(found: Validation, unsettled: set[Mismatch]) -> Check:
    """Whether the rows say the same on both sides."""
    wrong = [each for each in found.mismatched if each not in unsettled]
    description = f"{number(found.matching)} of {number(found.compared)} sessions match"
    if unsettled:
        description += f"; {counted(len(unsettled), 'row')} wait for the next sync"
    if wrong:
        shown = "; ".join(f"{each.table} {each.id} {each.finding}" for each in wrong[:_MOST_FINDINGS])
        more = f"; and {number(len(wrong) - _MOST_FINDINGS)} more" if len(wrong) > _MOST_FINDINGS else ""
        description += f"; {shown}{more} (see `acode-tui db validate`)"
    return Check(name="remote rows", ok=not wrong, description=description)


def _fault(description: str) -> Check:
    return Check(name="remote", ok=False, description=description)
