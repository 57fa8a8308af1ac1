"""The apply protocol where Citus distributes the tables by session: the same steps, with other statements.

Citus plans each statement by itself. An insert that selects from arrays is computed on the coordinator and sent to
every node; rows of ``VALUES`` go to the shards of their sessions, so what is written of one session is one task. A
statement cannot compare rows of the tables with arrays either, so that is done here.

The number of statements grows with the logarithm of the number of rows, because their texts have to stay few: each has
a power of two of rows, or three halves of one.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import asyncpg

from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import ApplyRow
from acode_tui.storage.postgres.apply_batch import Delivery, SentRecord
from acode_tui.storage.postgres.apply_sql import (
    ON_KNOWN_KEY,
    TEXTS,
    ApplyStatements,
    digest_of,
    document_of,
    on_conflict_rewrite,
    on_conflict_update,
)
from acode_tui.storage.postgres.batch_lexemes import Lexemes, search_arrays
from acode_tui.storage.postgres.identifiers import Connection
from acode_tui.storage.postgres.prepared_batch import ledger_arrays, sorted_by_id, write_arrays
from acode_tui.storage.postgres.rows import PG_TYPES, stored_columns

_MOST_ROWS = 256
"""Rows of a statement: 256 tool calls have 4,096 parameters, and PostgreSQL takes 65,535."""
_MOST_COPIES = 16
"""A statement costs the cluster as much CPU as about as many rows."""
_LEDGER = {"session_id": "uuid", "idempotency_key": "text", "payload_sha256": "bytea", "workspace_id": "uuid"}
_COMPUTED: dict[str, Callable[[str], str]] = {"document": document_of, "key_digest": digest_of}
"""Columns that are computed of what is given for them."""
_SEARCH = {"session_id": "uuid", "part": "integer", "document": "text", "workspace_id": "uuid"}


class DistributedDelivery(Delivery):
    """The state of one delivery to tables that are distributed."""

    writes_at_once = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._known_words: dict[str, set[str]] = {}

    async def write(self, batch: Sequence[ApplyRow], lexemes: Lexemes, incarnation: str, known_seq: int) -> int:
        """Head, ledger, first writes and search index, a few statements each. Returns the batch's ``change_seq``."""
        change_seq = await self._require_head(
            await self._connection.fetchval(self._sql.head, self._workspace_id, incarnation, known_seq)
        )
        pruned = await self._find_pruned_and_words(batch, list(lexemes))
        batch = [row for row in batch if row.session_id not in pruned]
        lexemes = {session_id: words for session_id, words in lexemes.items() if session_id not in pruned}
        ledger = ledger_arrays(batch, self._rules)
        types = {**_LEDGER, "change_seq": "bigint", "key_digest": "text"}
        added = await self._insert("sync_inbox", types, [*self._with_head(ledger, change_seq), ledger[1]], ON_KNOWN_KEY)
        self._new_keys = {row["idempotency_key"] for row in added}
        await self._find_edited([row for row in batch if row.base > 0])
        for kind in TABLES:
            rows = sorted_by_id(row for row in batch if row.kind is kind and row.idempotency_key in self._new_keys)
            if rows:
                versions = [row.base + 1 for row in rows]
                owners, numbers = [self._workspace_id] * len(rows), [change_seq] * len(rows)
                written = await self._write_rows(
                    kind, rows, versions, owners, numbers, on_conflict_update(TABLES[kind])
                )
                self._note_written(kind, written)
        await self._add_lexemes(lexemes, change_seq)
        return change_seq

    async def _rewrite_rows(
        self,
        kind: EntityType,
        rows: Sequence[ApplyRow],
        versions: Sequence[int],
        owners: Sequence[str],
        numbers: Sequence[int],
    ) -> Sequence[asyncpg.Record]:
        first = [self._latest_stamp] if TABLES[kind].mutable else []
        conflict = on_conflict_rewrite(TABLES[kind], 1)
        return await self._write_rows(kind, rows, versions, owners, numbers, conflict, first)

    async def _write_rows(
        self,
        kind: EntityType,
        rows: Sequence[ApplyRow],
        versions: Sequence[int],
        owners: Sequence[str],
        numbers: Sequence[int],
        conflict: str,
        first: Sequence[Any] = (),
    ) -> list[asyncpg.Record]:
        table = TABLES[kind]
        types = {column.name: PG_TYPES[column.kind] for column in stored_columns(table)}
        if table.mutable:
            types["sync_version"] = "bigint"
        columns = dict(zip(types, write_arrays(kind, rows, versions), strict=True))
        # A session's row has a workspace of its own; that of the others is added.
        types |= {"workspace_id": "uuid", "change_seq": "bigint"}
        columns |= {"workspace_id": owners, "change_seq": numbers}
        return await self._insert(table.name, types, list(columns.values()), conflict, first)

    async def _find_edited(self, updates: Sequence[ApplyRow]) -> None:
        """Note the sessions of rows whose new version lacks some text of the one that is there."""
        there = await self._read_remote(updates)
        for row in updates:
            old = there.get((row.kind, row.entity.id))
            if old is not None and (old.entity is None or _lacks_text(row.entity, old.entity, row.kind)):
                self._edited.add(row.session_id)

    async def _find_pruned_and_words(self, batch: Sequence[ApplyRow], session_ids: Sequence[str]) -> set[str]:
        """Find the batch's pruned sessions, and what the index has of the others, in one round trip."""
        if not session_ids:
            return await self._find_pruned(batch)
        sessions = sorted({row.session_id for row in batch})
        self._known_words = {session_id: set() for session_id in session_ids}
        pruned = set()
        for row in await self._connection.fetch(self._sql.pruned_and_lexemes, sessions, session_ids):
            if row["lexemes"] is None:
                pruned.add(str(row["session_id"]))
            else:
                self._known_words[str(row["session_id"])].update(row["lexemes"])
        return pruned

    async def _write_lexemes(self, lexemes: Lexemes, change_seq: int, first_part: int) -> None:
        # What was read counts once: afterwards the index has the words of this batch too.
        known, self._known_words = self._known_words, {}
        unread = [session_id for session_id in lexemes if session_id not in known]
        for row in await self._connection.fetch(self._sql.lexemes, unread) if unread else ():
            known.setdefault(str(row["session_id"]), set()).update(row["lexemes"])
        for session_id, words in lexemes.items():
            for word in known.get(session_id, ()):
                words.pop(word, None)
        arrays = search_arrays(lexemes, first_part=first_part)
        types = {**_SEARCH, "change_seq": "bigint"}
        await self._insert("session_search", types, self._with_head(arrays, change_seq), "")

    def _with_head(self, arrays: Sequence[Sequence[Any]], change_seq: int) -> list[Sequence[Any]]:
        rows = len(arrays[0])
        return [*arrays, [self._workspace_id] * rows, [change_seq] * rows]

    async def _insert(
        self,
        table: str,
        types: dict[str, str],
        columns: Sequence[Sequence[Any]],
        conflict: str,
        first: Sequence[Any] = (),
    ) -> list[asyncpg.Record]:
        """Insert rows, given as columns. ``first`` are the values of the parameters that ``conflict`` names."""
        returned: list[asyncpg.Record] = []
        rows = list(zip(*columns, strict=True))
        for start, size in _groups(len(rows), may_repeat="DO NOTHING" in conflict):
            statement = _values(f"{self._sql.schema}.{table}", tuple(types.items()), size, len(first))
            group = rows[start : start + size]
            group += group[-1:] * (size - len(group))
            values = [value for row in group for value in row]
            returned += await self._connection.fetch(f"{statement} {conflict}", *first, *values)
        return returned


async def held_otherwise_distributed(
    connection: Connection, statements: ApplyStatements, records: Sequence[SentRecord]
) -> list[int]:
    """``held_otherwise`` with a statement for each table that occurs."""
    sessions = sorted({session_id for _, session_id, *_ in records})
    pruned = {str(row["session_id"]) for row in await connection.fetch(statements.pruned, sessions)}
    cutoff = await connection.fetchval(statements.latest_cutoff)
    stamps: dict[str, datetime] = {}
    if cutoff is not None:
        for kind in TABLES:
            ids = [id_ for kind_, _, id_, stamp, _ in records if kind_ == kind.value and stamp < cutoff]
            if ids:
                found = await connection.fetch(statements.stamps[kind], sessions, ids)
                stamps.update((str(row["id"]), row["updated_at"]) for row in found)
    return [
        place
        for place, (_, session_id, id_, stamp, _) in enumerate(records)
        if session_id in pruned or (cutoff is not None and stamp < cutoff and id_ in stamps and stamps[id_] >= stamp)
    ]


def _groups(rows: int, *, may_repeat: bool) -> Iterator[tuple[int, int]]:
    """Start and size of each group of rows; a size is a power of two.

    ``may_repeat``: where a second copy of a row changes nothing, the last group may be larger than what is left, and
    some copies of its last row cost less than another statement. Otherwise three times a power of two is a size too.
    """
    start = 0
    while start < rows:
        left = rows - start
        size = min(1 << (left.bit_length() - 1), _MOST_ROWS)
        if may_repeat and size < left and 2 * size <= min(left + _MOST_COPIES, _MOST_ROWS):
            size *= 2
        elif not may_repeat and size in (2, 4, 8) and left >= size + size // 2:
            size += size // 2
        yield start, size
        start += size


@lru_cache(maxsize=256)
def _values(table: str, types: tuple[tuple[str, str], ...], rows: int, before: int) -> str:
    """An insert of so many rows; the numbers of their parameters begin after ``before``."""
    names = ", ".join(f'"{name}"' for name, _ in types)
    number = before
    made = []
    for _ in range(rows):
        values = []
        for name, type_ in types:
            number += 1
            value = f"${number}::{type_}"
            values.append(_COMPUTED[name](value) if name in _COMPUTED else value)
        made.append(f"({', '.join(values)})")
    return f"INSERT INTO {table} AS t ({names}) VALUES {', '.join(made)}"  # noqa: S608


def _lacks_text(new: Entity, old: Entity, kind: EntityType) -> bool:
    """Whether a row's new version lacks a text of the old one. Metadata grows while a run goes on."""
    for name in TEXTS.get(kind, ()):
        before, after = getattr(old, name), getattr(new, name)
        if before is None or before == after:
            continue
        if name != "metadata" or not _strings_in(before) <= _strings_in(after):
            return True
    return False


def _strings_in(value: Any) -> set[str]:
    """Every string in a JSON value, keys included."""
    if isinstance(value, str):
        return {value}
    if isinstance(value, dict):
        return set(value).union(*(_strings_in(each) for each in value.values()))
    return set().union(*(_strings_in(each) for each in value)) if isinstance(value, list) else set()
