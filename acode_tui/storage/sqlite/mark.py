"""How far this replica has followed the central order, and in which life of the central database."""

import sqlite3

import msgspec

from acode_tui.storage.sqlite import meta

_KEY = "sync_mark"


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """The last central number whose rows are here, and the incarnation that gave it out."""

    change_seq: int
    incarnation: str


def read_mark(connection: sqlite3.Connection) -> Mark | None:
    """The mark; None before the first sync."""
    stored = meta.read(connection, _KEY)
    return None if stored is None else msgspec.json.decode(stored, type=Mark)


def store_mark(connection: sqlite3.Connection, mark: Mark) -> None:
    """Move the mark, in the transaction that wrote the rows up to it."""
    meta.store(connection, _KEY, msgspec.json.encode(mark).decode())
