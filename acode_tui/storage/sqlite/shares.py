"""What of a workspace the team's database should have: what was delivered, and how far it followed."""

import sqlite3

import msgspec

from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite import meta
from acode_tui.storage.sqlite.mark import read_mark

_DELIVERED = "SELECT count(*) FROM {table} WHERE sync_version > 0"
# Events and artifacts have no version: they are delivered once none of their records waits, if their session is.
_DELIVERED_FOLLOWERS = """
SELECT count(*) FROM {table} AS t JOIN sessions AS s ON s.id = t.session_id WHERE s.sync_version > 0 AND NOT EXISTS (
    SELECT 1 FROM outbox WHERE processed_at IS NULL
    AND idempotency_key >= '{kind}:' || t.id || ':' AND idempotency_key < '{kind}:' || t.id || ':~')
"""


class LocalShares(msgspec.Struct, frozen=True, kw_only=True):
    """Rows by kind, those of them that were delivered, and the last number of the central order that was seen here."""

    workspace_id: str
    total: dict[EntityType, int]
    delivered: dict[EntityType, int]
    change_seq: int


def read_shares(connection: sqlite3.Connection) -> LocalShares:
    """As of now."""
    total, delivered = {}, {}
    for kind, table in TABLES.items():
        total[kind] = int(connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0])  # noqa: S608
        form = _DELIVERED if table.mutable else _DELIVERED_FOLLOWERS
        delivered[kind] = int(connection.execute(form.format(table=table.name, kind=kind.value)).fetchone()[0])
    mark = read_mark(connection)
    return LocalShares(
        workspace_id=meta.read(connection, meta.WORKSPACE_ID) or "",
        total=total,
        delivered=delivered,
        change_seq=0 if mark is None else mark.change_seq,
    )
