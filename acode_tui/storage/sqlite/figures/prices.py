"""What single sessions cost, kept for the order by cost.

Only a process that shows costs looks prices up, and hands them in here; every process that counts a session applies
those that are stored. Where prices change, all sessions are priced again, some at a time.
"""

import sqlite3
from collections.abc import Collection, Iterable
from contextlib import suppress

from acode_tui.domain.figures import GIVEN, ONE_HOUR
from acode_tui.storage.ports import PriceRow

AT_ONCE = 1_000
"""Sessions that are priced in one transaction: it holds the write lock for some 10 ms."""

_PRICED = f"""
CAST(round(sum(CASE
    WHEN u.context = {GIVEN} OR NOT (u.input OR u.output OR u.cache_read OR u.cache_write) THEN u.cost
    ELSE coalesce((
        SELECT u.cost + u.input * p.input + u.output * p.output + u.cache_read * p.cache_read + u.cache_write
            * CASE WHEN u.context & {ONE_HOUR} THEN p.cache_write_1h ELSE p.cache_write END
        FROM figures_prices AS p WHERE p.model = u.model AND p.start <= u.day AND p.context <= u.context
        ORDER BY p.start DESC, p.context DESC LIMIT 1
    ), 0)
END)) AS INTEGER)
"""  # noqa: S608
COST_OF = f"coalesce((SELECT {_PRICED} FROM figures_usage AS u WHERE u.session = {{session}}), 0)"  # noqa: S608
"""The cost of a session by the stored prices, as an SQL expression; it is that of ``ops.stats.rates.cost_of``."""

_NEXT = "SELECT max(session) FROM (SELECT session FROM figures_sessions WHERE session > ? ORDER BY session LIMIT ?)"
_PRICE = f"""
UPDATE figures_sessions SET priced = n.cost FROM (
    SELECT u.session, {_PRICED} AS cost FROM figures_usage AS u WHERE u.session > ? AND u.session <= ? GROUP BY 1
) AS n
WHERE figures_sessions.session = n.session AND figures_sessions.priced <> n.cost
"""  # noqa: S608


def is_priced(connection: sqlite3.Connection, models: Collection[str], prices: Iterable[PriceRow]) -> bool:
    """Whether every session has its cost by these prices. ``models`` are those that the prices are of."""
    if connection.execute("SELECT 1 FROM figures_pricing").fetchone() is not None:
        return False
    stored = {row for row in connection.execute("SELECT * FROM figures_prices") if row[0] in models}
    return stored == set(prices)


def store_prices(connection: sqlite3.Connection, models: Collection[str], prices: Collection[PriceRow]) -> None:
    """Replace the prices of the models. Where that changes any, all sessions are to be priced again."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        stored = {row for row in connection.execute("SELECT * FROM figures_prices") if row[0] in models}
        if stored != set(prices):
            connection.executemany("DELETE FROM figures_prices WHERE model = ?", [(model,) for model in models])
            connection.executemany("INSERT INTO figures_prices VALUES (?, ?, ?, ?, ?, ?, ?, ?)", prices)
            connection.execute("INSERT OR REPLACE INTO figures_pricing (id, upto) VALUES (1, 0)")
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise


def price_some(connection: sqlite3.Connection) -> bool:
    """Price some of the sessions that are to be priced again; returns whether there were any.

    Several processes may do so at a time: each goes on from where the last transaction ended.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        row = connection.execute("SELECT upto FROM figures_pricing").fetchone()
        end = None if row is None else connection.execute(_NEXT, (row[0], AT_ONCE)).fetchone()[0]
        if end is None:
            connection.execute("DELETE FROM figures_pricing")
        else:
            connection.execute(_PRICE, (row[0], end))
            connection.execute("UPDATE figures_pricing SET upto = ?", (end,))
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise
    return end is not None


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
