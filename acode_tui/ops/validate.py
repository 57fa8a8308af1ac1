"""Comparing the two tiers row by row: a session matches if the checksums of all its rows do. Reads only."""

from collections.abc import AsyncIterator, Callable
from typing import Literal

import msgspec

from acode_tui.storage.ports import RowChecksumReader, RowChecksums

PAGE = 50
"""Sessions compared at once: bounds memory and the length of a statement's parameters."""

Finding = Literal["differs", "missing in postgres", "missing in sqlite"]
Progress = Callable[[int], None]


class Mismatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A row that the tiers do not agree on."""

    session_id: str
    table: str
    id: str
    finding: Finding


class Validation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Sessions compared, those of them that match whole, and every row that does not."""

    compared: int = 0
    matching: int = 0
    mismatched: tuple[Mismatch, ...] = ()


async def compare(local: RowChecksumReader, team: RowChecksumReader, *, progress: Progress | None = None) -> Validation:
    """Compare every session that either side has. ``progress`` is told how many are done."""
    compared = matching = 0
    mismatched: list[Mismatch] = []
    seen: set[str] = set()
    # What is only there is found by its absence here.
    for side, other_knows in ((local, False), (team, True)):
        async for ids in _pages(side):
            fresh = tuple(each for each in ids if not (other_knows and each in seen))
            seen.update(fresh)
            ours, theirs = await local.of_sessions(fresh), await team.of_sessions(fresh)
            for each in fresh:
                found = differences(each, ours.get(each, {}), theirs.get(each, {}))
                compared += 1
                matching += not found
                mismatched += found
            if progress is not None:
                progress(compared)
    return Validation(compared=compared, matching=matching, mismatched=tuple(mismatched))


def differences(session_id: str, local: RowChecksums, team: RowChecksums) -> list[Mismatch]:
    """The rows of one session that the tiers do not agree on, in a fixed order."""
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


async def _pages(side: RowChecksumReader) -> AsyncIterator[tuple[str, ...]]:
    after = ""
    while ids := await side.session_ids(after=after, limit=PAGE):
        yield ids
        after = ids[-1]
