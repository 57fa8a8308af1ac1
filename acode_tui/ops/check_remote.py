"""``db check --remote``: the team's schema against this program's, who may write, the rows against the workspace's.

Rows that wait in the outbox, and rows that others sent since this workspace last pulled, are differences that the next
sync settles: they are reported and are no fault.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acode_tui.domain.errors import AcodeError
from acode_tui.domain.progress import ReportStep
from acode_tui.domain.quantities import counted, number
from acode_tui.domain.redaction import Redact, unchanged
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.ops.recovery.validate import Mismatch, Validation, compare
from acode_tui.storage.ports import Check, FileInspection, LocalCounts, OpenTeam, TeamCounts, TeamInspection

_KINDS = {table.name: kind for kind, table in TABLES.items()}
_MOST_FINDINGS = 5


async def check_team_database(
    files: FileInspection,
    open_team: OpenTeam,
    database: Path,
    *,
    seconds: float,
    redact: Redact[Any] = unchanged,
    on_step: ReportStep | None = None,
) -> tuple[Check, ...]:
    """Every finding; a server that cannot be asked is a finding too. ``on_step`` receives each step as it begins.

    ``redact`` makes the form of a row in which the team gets it.
    """
    try:
        async with open_team() as team:
            return await _check(files, team, database, seconds, redact, on_step or (lambda step: None))
    except AcodeError as error:
        description = error.message + (f" ({error.hint})" if error.hint else "")
        return (Check(name="remote", ok=False, description=description),)


async def _check(
    files: FileInspection,
    team: TeamInspection,
    database: Path,
    seconds: float,
    redact: Redact[Any],
    on_step: ReportStep,
) -> tuple[Check, ...]:
    on_step("the team's tables")
    structure = (await team.check_migrations(), await team.check_tables())
    if not all(each.ok for each in structure):
        return structure
    on_step("the team's rows")
    local = await asyncio.to_thread(files.local_counts, database, seconds=seconds)
    if pruned := await team.pruned_sessions(local.workspace_id):
        local = await asyncio.to_thread(files.local_counts, database, seconds=seconds, without=pruned)
    access = await team.check_access(local.workspace_id)
    team_counts = await team.count_rows(local.workspace_id)
    found = await compare(
        files.row_checksums(database, seconds=seconds, redact=redact),
        team.row_checksums(local.workspace_id),
        also=files.row_checksums(database, seconds=seconds),
        pruned_among=team.pruned_among,
        on_progress=lambda progress: on_step(f"{number(progress.done)} sessions compared"),
    )
    keys = [(_KINDS[each.table], each.id) for each in found.mismatched]
    settled_by_push = await asyncio.to_thread(files.pending_rows, database, keys, seconds=seconds)
    settled_by_pull = await _changed_since(team, keys, local.change_seq)
    aside = await asyncio.to_thread(files.kept_aside, database, seconds=seconds)
    unsettled: set[Mismatch] = set()
    set_aside: set[Mismatch] = set()
    for each, key in zip(found.mismatched, keys, strict=True):
        if key in aside:
            set_aside.add(each)
        elif key in settled_by_push or key in settled_by_pull:
            unsettled.add(each)
    search = judge_search(await team.count_unindexed(local.workspace_id))
    return (
        *structure,
        access,
        judge_counts(local, team_counts),
        judge_rows(found, unsettled, set_aside),
        search,
    )


async def _changed_since(
    team: TeamInspection, keys: Sequence[tuple[EntityType, str]], change_seq: int
) -> set[tuple[EntityType, str]]:
    """Those of the rows that the server got after this workspace last pulled."""
    by_kind: dict[EntityType, list[str]] = {}
    for kind, row_id in keys:
        by_kind.setdefault(kind, []).append(row_id)
    return {
        (kind, row_id) for kind, ids in by_kind.items() for row_id in await team.changed_after(kind, ids, change_seq)
    }


def judge_counts(local: LocalCounts, team: TeamCounts) -> Check:
    """Whether everything that was delivered is there. The server may hold more: other replicas send too.

    ``local`` leaves out the sessions that the server removed because of their age.
    """
    lost = {kind: local.delivered[kind] - team.rows[kind] for kind in TABLES if team.rows[kind] < local.delivered[kind]}
    here, there = sum(local.total.values()), sum(team.rows.values())
    description = (
        f"{number(here)} rows here, {number(sum(local.delivered.values()))} of them delivered; {number(there)} there"
    )
    if lost:
        missing = ", ".join(f"{number(count)} of {TABLES[kind].name}" for kind, count in lost.items())
        description += f"; delivered and not there any more: {missing} (run `acode-tui db sync --full`)"
    elif team.change_seq is not None and team.change_seq > local.change_seq:
        description += "; some of those are new here (run `acode-tui db sync now`)"
    return Check(name="remote counts", ok=not lost, description=description)


def judge_search(unindexed: int) -> Check:
    """Whether a search of the team's runs can find every session of the workspace."""
    description = "every session is in the search index"
    if unindexed:
        description = f"{counted(unindexed, 'session')} not in the search index (run `acode-tui db sync --full`)"
    return Check(name="remote search", ok=not unindexed, description=description)


def judge_rows(found: Validation, unsettled: set[Mismatch], aside: set[Mismatch]) -> Check:
    """Whether the rows are the same on both sides.

    ``unsettled`` are the differences that the next sync settles, ``aside`` those of rows that are not valid there.
    """
    wrong = [each for each in found.mismatched if each not in unsettled and each not in aside]
    description = f"{number(found.matching)} of {number(found.compared)} sessions match"
    if found.pruned:
        description += f"; {counted(found.pruned, 'session')} removed there because of their age"
    if unsettled:
        description += f"; {counted(len(unsettled), 'row')} wait for the next sync"
    if aside:
        description += f"; {counted(len(aside), 'row')} kept aside (see `acode-tui db conflicts`)"
    if wrong:
        shown = "; ".join(f"{each.table} {each.id} {each.finding}" for each in wrong[:_MOST_FINDINGS])
        more = f"; and {number(len(wrong) - _MOST_FINDINGS)} more" if len(wrong) > _MOST_FINDINGS else ""
        description += f"; {shown}{more} (see `acode-tui db validate`)"
    return Check(name="remote rows", ok=not wrong, description=description)
