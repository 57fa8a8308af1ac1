"""The arrays and lexemes that the statements of a delivery get. They are made of the batch alone, so they can be made
while the connection is busy with the batch before it.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import ApplyRow, ConflictRules
from acode_tui.storage.postgres.batch_lexemes import Lexemes, lexemes_by_session
from acode_tui.storage.postgres.rows import column_values, stored_columns


class PreparedBatch(NamedTuple):
    """What a delivery makes of a batch: lexemes, and the arrays of the statement for ``kinds``."""

    kinds: tuple[EntityType, ...]
    arrays: list[Any]
    lexemes: Lexemes


async def prepare(batch: Sequence[ApplyRow], rules: ConflictRules) -> PreparedBatch:
    """All of a delivery that can be done while the connection is busy with the batch before it."""
    lexemes = await lexemes_by_session([row.entity for row in batch])
    return PreparedBatch(*batch_arrays(batch, rules, only_present=False), lexemes)


def batch_arrays(
    batch: Sequence[ApplyRow], rules: ConflictRules, *, only_present: bool
) -> tuple[tuple[EntityType, ...], list[Any]]:
    """The ledger's arrays and those of each table."""
    arrays: list[Any] = ledger_arrays(batch, rules)
    by_kind: dict[EntityType, list[ApplyRow]] = {kind: [] for kind in TABLES}
    for row in batch:
        by_kind[row.entity.kind].append(row)
    # A connection of the sync lives for a few batches, so it prepares one statement, with every table in it.
    kinds = tuple(kind for kind in TABLES if by_kind[kind] or not only_present)
    for kind in kinds:
        rows = sorted_by_id(by_kind[kind])
        # Where no row has a value, an empty array says so: unnest fills up with NULL.
        arrays += [
            () if values[:1] == [None] and values.count(None) == len(values) else values
            for values in write_arrays(kind, rows, [row.base + 1 for row in rows])
        ]
        arrays.append([row.idempotency_key for row in rows])
    return kinds, arrays


def ledger_arrays(batch: Sequence[ApplyRow], rules: ConflictRules) -> list[list[Any]]:
    """Session ids, keys and digests, in the order of the ledger's key."""
    ordered = sorted(batch, key=attrgetter("session_id", "idempotency_key"))
    return [
        [row.session_id for row in ordered],
        [row.idempotency_key for row in ordered],
        [row.digest or rules.content_digest(row.entity) for row in ordered],
    ]


def sorted_by_id(rows: Iterable[ApplyRow]) -> list[ApplyRow]:
    """Rows sorted by id, so that two batches that share rows wait for each other instead of deadlocking."""
    return sorted(rows, key=attrgetter("entity.id"))


def write_arrays(kind: EntityType, rows: Sequence[ApplyRow], versions: Sequence[int]) -> list[Sequence[Any]]:
    """One array for each stored column, and the new versions of mutable rows."""
    table = TABLES[kind]
    entities = [row.entity for row in rows]
    arrays: list[Sequence[Any]] = [column_values(column, entities) for column in stored_columns(table)]
    if table.mutable:
        arrays.append(versions)
    return arrays
