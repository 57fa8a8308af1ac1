"""Reading back what the replicas of a workspace wrote, in pages that end between two numbers, never within one.

All rows of a number were committed together under the head's lock, so once a number is visible every smaller one is:
a mark that moves to a page's end has missed nothing. A parent changes more often than its children and thereby moves
to a later page, so each page also carries the parents its rows need.
"""

from collections.abc import Iterable, Sequence

from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import TABLES, Table
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import Head, PullPage
from acode_tui.storage.postgres.identifiers import quoted_schema
from acode_tui.storage.postgres.rows import entity_from_row, select_list
from acode_tui.storage.postgres.types import Connection

MAX_PAGE_BYTES = 16 * 1024 * 1024
"""Artifact content in one page, in bytes; a single batch may be larger and still goes in one."""


async def pull_page(
    connection: Connection, schema: str, workspace_id: str, after: int, limit: int, max_bytes: int
) -> PullPage | None:
    """The next page after a number; None if the workspace is not known."""
    name = quoted_schema(schema)
    row = await connection.fetchrow(
        f"SELECT change_seq, incarnation FROM {name}.workspaces WHERE id = $1",  # noqa: S608
        workspace_id,
    )
    if row is None:
        return None
    head = Head(change_seq=row["change_seq"], incarnation=str(row["incarnation"]))
    if head.change_seq <= after:
        return PullPage(rows=(), upto=after, head=head)
    sizes = await connection.fetch(_sizes(name), workspace_id, after, limit + 1)
    upto = page_end([(size["change_seq"], size["size"]) for size in sizes], limit, max_bytes)
    upto = head.change_seq if upto is None else upto
    return PullPage(rows=await _rows(connection, name, workspace_id, after, upto), upto=upto, head=head)


def page_end(rows: Sequence[tuple[int, int]], limit: int, max_bytes: int) -> int | None:
    """The number a page ends with; None if everything fits. ``rows`` are (number, bytes) in order, at most one row
    more than ``limit``. A page has whole numbers only, and at least the first.
    """
    total = 0
    ended: int | None = None
    for position, (number, size) in enumerate(rows):
        if position and number != rows[position - 1][0]:
            ended = rows[position - 1][0]
        total += size
        if position >= limit or total > max_bytes:
            return ended if ended is not None else rows[0][0]
    return None


def _sizes(name: str) -> str:
    parts = []
    for table in TABLES.values():
        size = "size" if table.kind is EntityType.ARTIFACT else "0::bigint AS size"
        parts.append(
            f"(SELECT change_seq, {size} FROM {name}.{table.name} "  # noqa: S608
            "WHERE workspace_id = $1 AND change_seq > $2 ORDER BY change_seq LIMIT $3)"
        )
    return f"{' UNION ALL '.join(parts)} ORDER BY change_seq LIMIT $3"


async def _rows(connection: Connection, name: str, workspace_id: str, after: int, upto: int) -> tuple[Entity, ...]:
    """From the leaves up, so that each table's statement can ask for the parents that the ones below it need."""
    needed: dict[EntityType, set[str]] = {kind: set() for kind in TABLES}
    found: dict[EntityType, list[Entity]] = {}
    for kind, table in reversed(TABLES.items()):
        records = await connection.fetch(
            _select(name, table), workspace_id, after, upto, sorted(needed[kind]), sorted(_sessions(found))
        )
        entities = [entity_from_row(kind, record) for record in records]
        found[kind] = entities
        if table.parent is not None:
            column, parent = table.parent
            needed[parent].update(getattr(entity, column) for entity in entities)
        if kind is not EntityType.SESSION:
            needed[EntityType.SESSION].update(entity.session_id for entity in entities)  # type: ignore[attr-defined]
    return tuple(entity for kind in TABLES for entity in found[kind])


def _sessions(found: dict[EntityType, list[Entity]]) -> Iterable[str]:
    return {entity.session_id for rows in found.values() for entity in rows}  # type: ignore[attr-defined]


def _select(name: str, table: Table) -> str:
    of_session = "id" if table.kind is EntityType.SESSION else "session_id"
    return (
        f"SELECT {select_list(table, content=True)} FROM {name}.{table.name} "  # noqa: S608
        "WHERE (workspace_id = $1 AND change_seq > $2 AND change_seq <= $3) "
        f"OR ({of_session} = ANY($5::uuid[]) AND id = ANY($4::uuid[])) ORDER BY change_seq, id"
    )
