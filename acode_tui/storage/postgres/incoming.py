"""Reading rows as input: what a row may do to the program that reads it is decided before it is loaded.

The server is asked for sizes first, and gives no value beyond the limits. A stamp outside of what a program can hold
(``infinity``, BC, years beyond 9999) comes as the last possible day, which no valid row has.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from acode_tui.domain.entities import Entity
from acode_tui.domain.errors import IntegrityError, ValidationError
from acode_tui.domain.incoming import MAX_VALUE_BYTES, IncomingRules, StampAheadError
from acode_tui.domain.quantities import size
from acode_tui.domain.schema import TABLES, Column, Table
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import RejectedRow
from acode_tui.storage.postgres.rows import KNOWN_NAMES, entity_from_row, select_column

EXCERPT_CHARS = 200
"""Characters of a rejected row's text that are kept for people."""

_SHOWN = ("task_description", "title", "name", "tool_name", "reason")


def incoming_list(table: Table, rules: IncomingRules, *, content: bool = False) -> str:
    """The columns of a row as input, for SELECT; ``content`` with an artifact's content."""
    columns = [column for column in table.columns if content or column.kind != "bytes"]
    chosen = [_bounded(column, rules) for column in columns]
    beyond = " ".join(
        f"WHEN {_is_beyond(column, rules)} THEN '{column.name}'" for column in columns if _limit(column, rules)
    )
    session = "id" if table.kind is EntityType.SESSION else "session_id"
    chosen += [
        f'CASE {beyond} END AS "beyond"',
        f'{session} AS "lane"',
        "change_seq",
        'now() AS "server_time"',
    ]
    return ", ".join(chosen)


def read_incoming(kind: EntityType, row: Mapping[str, Any], rules: IncomingRules) -> Entity | RejectedRow:
    """The entity of a row that was selected by ``incoming_list``, or why it is not valid."""
    try:
        if (beyond := row["beyond"]) is not None:
            raise ValidationError(beyond, f"is larger than the {_limit_text(kind, beyond, rules)} that are allowed")
        entity = _decode(kind, row)
        rules.check(entity, server_time=row["server_time"])
    except StampAheadError as error:
        return msgspec.structs.replace(_rejected(kind, row, error.message), retry_at=error.valid_from)
    except ValidationError as error:
        return _rejected(kind, row, error.message)
    return entity


def read_bounded(kind: EntityType, row: Mapping[str, Any]) -> Entity | None:
    """The entity of a row that was selected by ``incoming_list``, whatever its stamps; None where there is none."""
    try:
        return None if row["beyond"] is not None else _decode(kind, row)
    except ValidationError:
        return None


def _decode(kind: EntityType, row: Mapping[str, Any]) -> Entity:
    """The entity. Raises ValidationError where a value is not what its column holds."""
    for name, known in KNOWN_NAMES[kind]:
        if row[name] not in known:
            raise ValidationError(name, "is none that this program knows")
    try:
        return entity_from_row(kind, row)
    except IntegrityError as error:
        name, _, reason = error.message.partition(": ")
        raise ValidationError(name, reason) from None


def _rejected(kind: EntityType, row: Mapping[str, Any], reason: str) -> RejectedRow:
    text = next((row[name] for name in _SHOWN if name in row.keys() and row[name]), "")  # noqa: SIM118 - a Record
    return RejectedRow(
        kind=kind,
        id=str(row["id"]),
        session_id=str(row["lane"]),
        change_seq=row["change_seq"],
        reason=reason,
        excerpt=text[:EXCERPT_CHARS],
    )


def _limit(column: Column, rules: IncomingRules) -> int | None:
    """The most bytes of a column's value; None where its type is its bound."""
    if column.kind == "bytes":
        return rules.limits.max_artifact_bytes
    return MAX_VALUE_BYTES if column.kind in ("text", "enum", "json") else None


def _limit_text(kind: EntityType, name: str, rules: IncomingRules) -> str:
    column = next(column for column in TABLES[kind].columns if column.name == name)
    limit = _limit(column, rules)
    assert limit is not None
    return size(limit)


def _is_beyond(column: Column, rules: IncomingRules) -> str:
    """The condition that a value is beyond its limit. The length of text and bytes is asked without loading them.

    A jsonb value has no length but that of its text, and is stored compressed: the stored size is asked first.
    """
    name, limit = f'"{column.name}"', _limit(column, rules)
    if column.kind == "json":
        return f"(pg_column_size({name}) > {limit} OR octet_length({name}::text) > {limit})"
    return f"octet_length({name}) > {limit}"


def _bounded(column: Column, rules: IncomingRules) -> str:
    if _limit(column, rules) is None:
        return select_column(column)
    return f'CASE WHEN NOT {_is_beyond(column, rules)} THEN "{column.name}" END AS "{column.name}"'
