"""Pages of a workspace's rows in the order of ``change_seq``, for replicas and for a recovery."""

from collections.abc import Iterable, Sequence

from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import TABLES, Table
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import Head, PullPage
from acode_tui.storage.postgres.identifiers import Connection, quoted_schema
from acode_tui.storage.postgres.rows import entity_from_row, select_list

MAX_PAGE_BYTES = 16 * 1024 * 1024
"""Bytes of artifact content in one page. The rows of one ``change_seq`` are never split and may exceed it."""


async def read_head(connection: Connection, schema: str, workspace_id: str) -> Head | None:
    """The workspace's head; None if the server does not know the workspace."""
    row = await connection.fetchrow(
        f"SELECT change_seq, incarnation FROM {quoted_schema(schema)}.workspaces WHERE id = $1",  # noqa: S608
        workspace_id,
    )
    return row and Head(change_seq=row["change_seq"], incarnation=str(row["incarnation"]))


async def pull_page(
    connection: Connection, schema: str, workspace_id: str, after: int, limit: int, max_bytes: int
) -> PullPage | None:
    """The rows with the next values of ``change_seq`` greater than ``after``; None if the workspace is not known.

    About ``limit`` rows and ``max_bytes`` of artifact content.
    """
    name = quoted_schema(schema)
    head = await read_head(connection, schema, workspace_id)
    if head is None:
        return None
    if head.change_seq <= after:
        return PullPage(rows=(), upto=after, head=head)
    sizes = await connection.fetch(_select_sizes(name), workspace_id, after, limit + 1)
    upto = page_end([(size["change_seq"], size["size"]) for size in sizes], limit, max_bytes)
    upto = head.change_seq if upto is None else upto
    return PullPage(rows=await _read_rows(connection, name, workspace_id, after, upto), upto=upto, head=head)


def page_end(rows: Sequence[tuple[int, int]], limit: int, max_bytes: int) -> int | None:
    """The last ``change_seq`` of a page; None if all rows fit.

    ``rows`` are (change_seq, bytes) in order, at most one row more than ``limit``. A page contains all rows of each of
    its values of ``change_seq``, and at least those of the first.
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


def _select_sizes(name: str) -> str:
    parts = []
    for table in TABLES.values():
        size = "size" if table.kind is EntityType.ARTIFACT else "0::bigint AS size"
        parts.append(
            f"(SELECT change_seq, {size} FROM {name}.{table.name} "  # noqa: S608
            "WHERE workspace_id = $1 AND change_seq > $2 ORDER BY change_seq LIMIT $3)"
        )
    return f"{' UNION ALL '.join(parts)} ORDER BY change_seq LIMIT $3"


async def _read_rows(connection: Connection, name: str, workspace_id: str, after: int, upto: int) -> tuple[Entity, ...]:
    """Rows and the parents they need. Reads children first, so each statement also selects the parents of those."""
    needed: dict[EntityType, set[str]] = {kind: set() for kind in TABLES}
    found: dict[EntityType, list[Entity]] = {}
    for kind, table in reversed(TABLES.items()):
        records = await connection.fetch(
            _select_rows(name, table), workspace_id, after, upto, sorted(needed[kind]), sorted(_session_ids(found))
        )
        entities = [entity_from_row(kind, record) for record in records]
        found[kind] = entities
        for column, parent in table.parents:
            # An artifact names every row above it, and not all of them need have one.
            needed[parent].update(above for entity in entities if (above := getattr(entity, column)) is not None)
        if kind is not EntityType.SESSION:
            needed[EntityType.SESSION].update(entity.session_id for entity in entities)  # type: ignore[attr-defined]
    return tuple(entity for kind in TABLES for entity in found[kind])


def _session_ids(found: dict[EntityType, list[Entity]]) -> Iterable[str]:
    return {entity.session_id for rows in found.values() for entity in rows}  # type: ignore[attr-defined]


def _select_rows(name: str, table: Table) -> str:
    return (
        f"SELECT {select_list(table, content=True)} FROM {name}.{table.name} "  # noqa: S608
        "WHERE (workspace_id = $1 AND change_seq > $2 AND change_seq <= $3) "
        f"OR ({table.session_column} = ANY($5::uuid[]) AND id = ANY($4::uuid[])) ORDER BY change_seq, id"
    )
