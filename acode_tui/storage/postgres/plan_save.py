"""Saving a run's graph in PostgreSQL: which of its rows are new or differ, planned from the rows that are stored.

The rules are those of the workspace file: an unchanged graph writes nothing, nothing is deleted, and a session's
``updated_at`` is never behind that of a row that is written below it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from acode_tui.domain.clock import stamp_after
from acode_tui.domain.codec import same_content
from acode_tui.domain.entities import Artifact, Entity, Session, SessionGraph, SessionTask
from acode_tui.domain.errors import NotFoundError
from acode_tui.domain.redaction import Redact
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.postgres.identifiers import Connection
from acode_tui.storage.postgres.planned_writes import PlannedWrites
from acode_tui.storage.postgres.rows import entity_from_row, has_known_names, select_list
from acode_tui.storage.run_writes import is_without_transcript, stamp_to_save, superseded
from acode_tui.storage.transcript_ports import SaveResult

Stored = dict[str, Entity]
"""The stored rows of a run by id: those that the graph has, and all its tasks."""


def plain_rows(graph: SessionGraph, workspace_id: str) -> dict[EntityType, list[Any]]:
    """The graph's rows by kind, without their children and with this workspace's id."""
    rows: dict[EntityType, list[Any]] = {kind: [] for kind in TABLES}
    for entity in graph.entities():
        table = TABLES[entity.kind]
        values = {name: getattr(entity, name) for name in table.column_names}
        if entity.kind is EntityType.SESSION:
            values["workspace_id"] = workspace_id
        rows[entity.kind].append(table.entity(**values))
    return rows


async def read_stored(connection: Connection, schema: str, rows: dict[EntityType, list[Any]]) -> Stored:
    """The stored rows of a run. ``connection`` reads one snapshot."""
    session_id = rows[EntityType.SESSION][0].id
    stored: Stored = {}
    for kind, given in rows.items():
        table = TABLES[kind]
        where, arguments = f"{table.session_column} = $1", [session_id]
        if kind not in (EntityType.SESSION, EntityType.SESSION_TASK):
            where, arguments = f"{where} AND id = ANY($2::uuid[])", [session_id, [row.id for row in given]]
        found = await connection.fetch(
            f"SELECT {select_list(table)} FROM {schema}.{table.name} WHERE {where}",  # noqa: S608
            *arguments,
        )
        for row in found:
            if has_known_names(kind, row):
                stored[str(row["id"])] = entity_from_row(kind, row)
        if kind is EntityType.SESSION and not stored:
            break
    return stored


def plan_save(
    planned: PlannedWrites, rows: dict[EntityType, list[Any]], stored: Stored, redact: Redact[Any]
) -> SaveResult:
    """Plan the writes of a run, the session last. Raises NotFoundError for an artifact without content."""
    return _Save(planned, rows, stored, redact).plan()


class _Save:
    def __init__(
        self, planned: PlannedWrites, rows: dict[EntityType, list[Any]], stored: Stored, redact: Redact[Any]
    ) -> None:
        self._planned = planned
        self._rows = rows
        self._stored = stored
        self._redact = redact
        self._ticked: datetime | None = None
        self._inserted = dict.fromkeys(TABLES, 0)
        self._updated = dict.fromkeys(TABLES, 0)
        self._unchanged = 0

    def plan(self) -> SaveResult:
        (session,) = self._rows[EntityType.SESSION]
        known = self._stored.get(session.id)
        if isinstance(known, Session):
            self._planned.require_own(known)
        latest: datetime | None = None
        writes: list[Callable[[], None]] = []
        for kind in reversed(TABLES):
            plan = self._compare if TABLES[kind].mutable else self._append
            earliest = latest if kind is EntityType.SESSION else None
            stamps = [plan(kind, row, earliest, writes) for row in self._rows[kind]]
            if kind is EntityType.SESSION_TASK and _replaces_prompts(session, known):
                stamps += self._supersede_others(self._rows[kind], writes)
            if kind not in (EntityType.SESSION, EntityType.SESSION_EVENT):
                latest = max([stamp for stamp in (latest, *stamps) if stamp is not None], default=None)
        for write in writes:
            write()
        return SaveResult(
            inserted={kind: count for kind, count in self._inserted.items() if count},
            updated={kind: count for kind, count in self._updated.items() if count},
            unchanged=self._unchanged,
        )

    def _after(self, stamp: datetime) -> datetime:
        """A stamp of this moment, which is one for the whole save, that follows another one."""
        if self._ticked is None:
            self._ticked = self._planned.tick()
        return stamp_after(stamp, self._ticked)

    def _compare(
        self, kind: EntityType, row: Any, earliest: datetime | None, writes: list[Callable[[], None]]
    ) -> datetime | None:
        """Plan one mutable row; the answer is its stamp, None where it is not written."""
        stored: Any = self._stored.get(row.id)
        stamp: datetime = row.updated_at if earliest is None else max(row.updated_at, earliest)
        if stored is None:
            self._inserted[kind] += 1
            return self._write(replace(row, updated_at=stamp, sync_version=0), 0, writes)
        same = same_content(self._redact(row), stored)
        written = stamp_to_save(stamp, stored.updated_at, same=same, after=self._after)
        if written is None:
            self._unchanged += 1
            return None
        self._updated[kind] += 1
        changed = replace(stored if same else row, updated_at=written, sync_version=stored.sync_version)
        return self._write(changed, stored.sync_version, writes)

    def _append(
        self, kind: EntityType, row: Any, earliest: datetime | None, writes: list[Callable[[], None]]
    ) -> datetime | None:
        """Plan an event or artifact that is not stored yet."""
        if row.id in self._stored:
            self._unchanged += 1
            return None
        if isinstance(row, Artifact) and row.content is None:
            raise NotFoundError(
                f"artifact {row.id} has no content to store", hint="load it with get_artifact_content first"
            )
        self._inserted[kind] += 1
        return self._write(row, 0, writes)

    def _supersede_others(self, given: Sequence[Any], writes: list[Callable[[], None]]) -> list[datetime | None]:
        kept = {row.id for row in given}
        stamps: list[datetime | None] = []
        for task in self._stored.values():
            if not isinstance(task, SessionTask) or task.id in kept:
                continue
            marked = superseded(task, behind=len(given), after=self._after)
            if marked is not None:
                self._updated[EntityType.SESSION_TASK] += 1
                stamps.append(self._write(marked, task.sync_version, writes))
        return stamps

    def _write(self, row: Any, base: int, writes: list[Callable[[], None]]) -> datetime:
        writes.append(lambda: self._planned.put(row, base=base))
        stamp: datetime = row.updated_at
        return stamp


def _replaces_prompts(session: Session, known: Entity | None) -> bool:
    """Whether the stored session is made of prompts alone, and this run is read from its transcript."""
    return (
        isinstance(known, Session)
        and is_without_transcript(known.metadata)
        and not is_without_transcript(session.metadata)
    )
