"""Pages of a workspace's rows in the order of ``change_seq``, for replicas and for a recovery."""

from collections.abc import Iterable, Sequence

from acode_tui.domain.entities import Entity
from acode_tui.domain.incoming import IncomingRules
from acode_tui.domain.schema import TABLES, Table
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import Head, PullPage, RejectedRow, RowKey
from acode_tui.storage.postgres.identifiers import Connection, quoted_schema
from acode_tui.storage.postgres.incoming import incoming_list, read_incoming

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
    connection: Connection,
    schema: str,
    workspace_id: str,
    after: int,
    limit: int,
    max_bytes: int,
    *,
    rules: IncomingRules,
) -> PullPage | None:
    """The rows with the next values of ``change_seq`` greater than ``after``; None if the workspace is not known.

    About ``limit`` rows and ``max_bytes`` of values that are loaded. Rows that break the ``rules`` are rejected.
    """
    name = quoted_schema(schema)
    head = await read_head(connection, schema, workspace_id)
    if head is None:
        return None
    if head.change_seq <= after:
        return PullPage(rows=(), upto=after, head=head)
    sizes = await connection.fetch(_select_sizes(name, rules), workspace_id, after, limit + 1, head.change_seq)
    upto = page_end([(size["change_seq"], size["size"]) for size in sizes], limit, max_bytes)
    upto = head.change_seq if upto is None else upto
    rows, rejected = await _read_rows(connection, name, workspace_id, after, upto, rules)
    return PullPage(rows=rows, rejected=rejected, upto=upto, head=head)


async def read_again(
    connection: Connection, schema: str, keys: Sequence[RowKey], *, rules: IncomingRules
) -> tuple[list[Entity], list[RejectedRow]]:
    """Rows by key, parents first, those that are still not valid apart. A row that is gone is in neither."""
    name = quoted_schema(schema)
    entities: list[Entity] = []
    rejected: list[RejectedRow] = []
    for kind, table in TABLES.items():
        wanted = [key for key in keys if key.kind is kind]
        if not wanted:
            continue
        records = await connection.fetch(
            f"SELECT {incoming_list(table, rules, content=True)} FROM {name}.{table.name} "  # noqa: S608
            f"WHERE {table.session_column} = ANY($1::uuid[]) AND id = ANY($2::uuid[]) ORDER BY id",
            sorted({key.session_id for key in wanted}),
            sorted({key.id for key in wanted}),
        )
        for record in records:
            found = read_incoming(kind, record, rules)
            if isinstance(found, RejectedRow):
                rejected.append(found)
            else:
                entities.append(found)
    return entities, rejected


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


def _select_sizes(name: str, rules: IncomingRules) -> str:
    """How many bytes each row loads, in the order of ``change_seq``; not the size that an artifact states."""
    parts = []
    for table in TABLES.values():
        size = "0::bigint"
        if table.kind is EntityType.ARTIFACT:
            most = rules.limits.max_artifact_bytes
            size = f"CASE WHEN octet_length(content) <= {most} THEN octet_length(content)::bigint ELSE 0 END"
        elif texts := [column for column in table.columns if column.kind in ("text", "json")]:
            size = " + ".join(f"""coalesce(pg_column_size("{column.name}"), 0)::bigint""" for column in texts)
        parts.append(
            f"(SELECT change_seq, {size} AS size FROM {name}.{table.name} "  # noqa: S608
            "WHERE workspace_id = $1 AND change_seq > $2 AND change_seq <= $4 ORDER BY change_seq LIMIT $3)"
        )
    return f"{' UNION ALL '.join(parts)} ORDER BY change_seq LIMIT $3"


async def _read_rows(
    connection: Connection, name: str, workspace_id: str, after: int, upto: int, rules: IncomingRules
) -> tuple[tuple[Entity, ...], tuple[RejectedRow, ...]]:
    """Rows and the parents they need, and the rejected ones.

    Reads children first, so each statement also selects the parents of those.
    """
    needed: dict[EntityType, set[str]] = {kind: set() for kind in TABLES}
    found: dict[EntityType, list[Entity]] = {}
    rejected: list[RejectedRow] = []
    for kind, table in reversed(TABLES.items()):
        records = await connection.fetch(
            _select_rows(name, table, rules),
            workspace_id,
            after,
            upto,
            sorted(needed[kind]),
            sorted(_session_ids(found)),
        )
        entities = found[kind] = []
        for record in records:
            each = read_incoming(kind, record, rules)
            if isinstance(each, RejectedRow):
                rejected.append(each)
            else:
                entities.append(each)
        for column, parent in table.parents:
            # An artifact names every row above it, and not all of them need have one.
            needed[parent].update(above for entity in entities if (above := getattr(entity, column)) is not None)
        if kind is not EntityType.SESSION:
            needed[EntityType.SESSION].update(entity.session_id for entity in entities)  # type: ignore[attr-defined]
    return tuple(entity for kind in TABLES for entity in found[kind]), tuple(rejected)


def _session_ids(found: dict[EntityType, list[Entity]]) -> Iterable[str]:
    return {entity.session_id for rows in found.values() for entity in rows}  # type: ignore[attr-defined]


def _select_rows(name: str, table: Table, rules: IncomingRules) -> str:
    return (
        f"SELECT {incoming_list(table, rules, content=True)} FROM {name}.{table.name} "  # noqa: S608
        "WHERE (workspace_id = $1 AND change_seq > $2 AND change_seq <= $3) "
        f"OR ({table.session_column} = ANY($5::uuid[]) AND id = ANY($4::uuid[])) ORDER BY change_seq, id"
    )
