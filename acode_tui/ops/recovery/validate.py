"""Comparing the two tiers row by row: a session matches if the checksums of all its rows do. Reads only.

Memory does not grow with the number of sessions: both sides are read in the order of their ids.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from time import perf_counter
from typing import Literal

import msgspec

from acode_tui.domain.progress import ReportProgress, progress_after
from acode_tui.storage.ports import RowChecksumReader, RowChecksums

PAGE = 50
"""Sessions compared at once: bounds memory and the length of a statement's parameters."""

MOST_LISTED = 10_000
"""The most rows that are listed; the others are counted. Against a database that was reset every row differs."""

Finding = Literal["differs", "missing in postgres", "missing in sqlite"]

FindPruned = Callable[[Sequence[str]], Awaitable[set[str]]]


class Mismatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A row that differs between the tiers."""

    session_id: str
    table: str
    id: str
    finding: Finding


class Validation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Sessions compared and matching; of the rows that differ the first ones, and their number.

    ``pruned`` sessions are here alone, for the server removed them because of their age; they are no difference.
    """

    compared: int = 0
    matching: int = 0
    pruned: int = 0
    mismatched: tuple[Mismatch, ...] = ()
    mismatched_rows: int = 0


async def compare(
    local: RowChecksumReader,
    team: RowChecksumReader,
    *,
    also: RowChecksumReader | None = None,
    pruned_among: FindPruned | None = None,
    on_progress: ReportProgress | None = None,
) -> Validation:
    """Compare every session that either side has. Progress is in sessions, of a total that is not known.

    A row also matches if it is the same as ``also`` has it: with ``local`` the rows as they are sent now, that is the
    rows as they are here, for the team may have got them before anything was hidden. ``pruned_among`` returns those of
    the sessions that the team's database removed because of their age.
    """
    started = perf_counter()
    compared = matching = count = pruned = 0
    mismatched: list[Mismatch] = []
    async for ids in session_id_pages(local, team):
        found = await compare_sessions(local, team, ids)
        if found and also is not None:
            sessions = sorted({each.session_id for each in found})
            still = {(each.table, each.id) for each in await compare_sessions(also, team, sessions)}
            found = [each for each in found if (each.table, each.id) in still]
        gone = await pruned_among(sorted({each.session_id for each in found})) if found and pruned_among else set()
        found = [each for each in found if each.session_id not in gone]
        pruned += len(gone)
        compared += len(ids)
        matching += len(ids) - len(gone) - len({each.session_id for each in found})
        count += len(found)
        mismatched += found[: MOST_LISTED - len(mismatched)]
        if on_progress is not None:
            on_progress(progress_after(perf_counter() - started, compared, None, "sessions"))
    return Validation(
        compared=compared, matching=matching, pruned=pruned, mismatched=tuple(mismatched), mismatched_rows=count
    )


async def compare_sessions(local: RowChecksumReader, team: RowChecksumReader, ids: Sequence[str]) -> list[Mismatch]:
    """The rows of these sessions that differ between the tiers, in a fixed order."""
    wanted = tuple(ids)
    ours, theirs = await asyncio.gather(local.of_sessions(wanted), team.of_sessions(wanted))
    return [found for each in wanted for found in differences(each, ours.get(each, {}), theirs.get(each, {}))]


def differences(session_id: str, local: RowChecksums, team: RowChecksums) -> list[Mismatch]:
    """The rows of one session that differ between the tiers, in a fixed order."""
    if local == team:
        return []
    found = []
    for table, row_id in sorted(local.keys() | team.keys()):
        ours, theirs = local.get((table, row_id)), team.get((table, row_id))
        if ours == theirs:
            continue
        finding: Finding = "differs"
        if theirs is None:
            finding = "missing in postgres"
        elif ours is None:
            finding = "missing in sqlite"
        found.append(Mismatch(session_id=session_id, table=table, id=row_id, finding=finding))
    return found


async def session_id_pages(local: RowChecksumReader, team: RowChecksumReader) -> AsyncIterator[tuple[str, ...]]:
    """The union of both sides' session ids, page by page. Both sides list theirs in text order."""
    after = ""
    while True:
        sides = [await side.session_ids(after=after, limit=PAGE) for side in (local, team)]
        # After a full page that side may have more ids, which are not read yet.
        upto = min((ids[-1] for ids in sides if len(ids) == PAGE), default=None)
        together = sorted({each for ids in sides for each in ids if upto is None or each <= upto})
        if not together:
            return
        yield tuple(together)
        after = together[-1]
