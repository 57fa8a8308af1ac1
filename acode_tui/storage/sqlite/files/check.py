"""The checks of a workspace file: one function each, over one snapshot. Nothing is changed."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from acode_tui.domain.codec import digest
from acode_tui.domain.errors import AcodeError, IntegrityError, TransactionError
from acode_tui.domain.progress import CheckCancelled, ReportStep
from acode_tui.domain.quantities import counted, number, size
from acode_tui.domain.schema import TABLES, Table
from acode_tui.domain.states import EntityType
from acode_tui.storage.migrations.runner import newest, packaged
from acode_tui.storage.ports import Check
from acode_tui.storage.sqlite.contents import unpack
from acode_tui.storage.sqlite.errors import require_content
from acode_tui.storage.sqlite.files.derived_checks import check_figures, check_search_index
from acode_tui.storage.sqlite.files.expected_schema import Difference, differences, is_of_this_build, listed
from acode_tui.storage.sqlite.files.open_unchanged import read_unchanged
from acode_tui.storage.sqlite.migrate import plan_by_history, read_applied
from acode_tui.storage.sqlite.own_schema import read_schema, schema_of
from acode_tui.storage.sqlite.search.tables import is_derived
from acode_tui.storage.sqlite.sync import quarantine

Question = Callable[[sqlite3.Connection], Check]

MOST_FINDINGS = 5
HASHED_ANYWAY = 256 * 1024 * 1024
"""Up to so many bytes of artifacts are always compared with their hashes: that takes half a second."""


def questions(*, deep: bool) -> dict[str, Question]:
    """The checks by name, in their order."""

    def hashes(connection: sqlite3.Connection) -> Check:
        return _artifact_hashes(connection, most_bytes=None if deep else HASHED_ANYWAY)

    def search(connection: sqlite3.Connection) -> Check:
        return check_search_index(connection, deep=deep)

    def figures(connection: sqlite3.Connection) -> Check:
        return check_figures(connection, deep=deep)

    return {
        "integrity": _integrity,
        "foreign keys": _foreign_keys,
        "migrations": _migrations,
        "tables": _tables,
        "indexes": _indexes,
        "triggers": _triggers,
        "outbox": _outbox_records,
        "traces": _traces,
        "counters": _totals,
        "artifact hashes": hashes,
        "search": search,
        "figures": figures,
        "quarantine": _quarantine,
    }


def run_checks(
    path: Path,
    *,
    deep: bool,
    seconds: float,
    check_cancelled: CheckCancelled,
    on_step: ReportStep | None = None,
    expect_content: bool = False,
) -> tuple[Check, ...]:
    """Every finding. A file that cannot be read at all gets only the first check.

    ``on_step`` receives each check's name before it runs, and ``seconds`` is how long to wait for locks. With
    ``expect_content`` an empty file is damage. Raises AcodeError where there is no file, or it cannot be opened for
    another reason than damage.
    """
    found: list[Check] = []
    for name, question in questions(deep=deep).items():
        check_cancelled()
        if on_step is not None:
            on_step(name)
        try:
            require_content(path, expected=expect_content)
            found.append(read_unchanged(path, question, seconds=seconds, check_cancelled=check_cancelled))
        except IntegrityError as error:
            found.append(Check(name=name, ok=False, description=error.message))
            if name == "integrity":
                return tuple(found)
        except TransactionError as error:
            check_cancelled()  # that may be why it ended
            found.append(Check(name=name, ok=False, description=error.message))
    check_cancelled()
    return tuple(found)


def _integrity(connection: sqlite3.Connection) -> Check:
    found = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({MOST_FINDINGS})")]
    ok = found == ["ok"]
    return Check(name="integrity", ok=ok, description="every page is sound" if ok else "; ".join(found))


def _foreign_keys(connection: sqlite3.Connection) -> Check:
    found = connection.execute("PRAGMA foreign_key_check").fetchmany(MOST_FINDINGS)
    description = "every child has its parent"
    if found:
        description = "; ".join(f"{table} row {row} has no {parent}" for table, row, parent, _ in found)
    return Check(name="foreign keys", ok=not found, description=description)


def _migrations(connection: sqlite3.Connection) -> Check:
    known = packaged("sqlite")
    try:
        planned = plan_by_history(connection, known)
    except AcodeError as error:
        description = f"{error.message} ({error.hint})" if error.hint else error.message
        return Check(name="migrations", ok=False, description=description)
    description = f"{planned.from_version or 'none'}, each as it was released"
    if planned.pending:
        description += f"; pending: {', '.join(planned.pending)} (run `acode-tui db migrate`)"
    return Check(name="migrations", ok=True, description=description)


def _tables(connection: sqlite3.Connection) -> Check:
    return _objects(connection, "table")


def _indexes(connection: sqlite3.Connection) -> Check:
    return _objects(connection, "index")


def _triggers(connection: sqlite3.Connection) -> Check:
    return _objects(connection, "trigger")


def _objects(connection: sqlite3.Connection, kind: str) -> Check:
    name = {"table": "tables", "index": "indexes", "trigger": "triggers"}[kind]
    known = packaged("sqlite")
    applied = read_applied(connection)
    at = newest(applied)
    if at is None:
        return Check(name=name, ok=True, description="none yet: no migration was applied")
    if not is_of_this_build(applied, known):
        # A newer program may have changed or dropped them, another build may have made others.
        return Check(name=name, ok=True, description=f"not compared: schema {at} is not this program's")
    # Those of the search index are derived: its own check has a word for what is wrong with it.
    every, present = schema_of(known, at), read_schema(connection)
    expected = {key: sql for key, sql in every.items() if key[0] == kind and not is_derived(key[1])}
    kinds = ("trigger", "view") if kind == "trigger" else (kind,)
    added = [Difference(*key, "not acode-tui's") for key in sorted(present) if key not in every and key[0] in kinds]
    found = (*differences(present, expected), *added)
    description = f"all {len(expected)} are there as they should be"
    return Check(name=name, ok=not found, description=listed(found) if found else description)


def _present_tables(connection: sqlite3.Connection) -> set[str]:
    """The tables that exist. A missing one belongs to a pending migration, or the check ``tables`` reports it."""
    return {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _entities(connection: sqlite3.Connection) -> dict[EntityType, Table]:
    there = _present_tables(connection)
    return {kind: table for kind, table in TABLES.items() if {table.name, "outbox", "sessions"} <= there}


def _outbox_records(connection: sqlite3.Connection) -> Check:
    missing = 0
    for kind, table in _entities(connection).items():
        missing += connection.execute(
            f"""
            SELECT count(*) FROM outbox AS o WHERE o.processed_at IS NULL AND o.entity_type = ?
            AND NOT EXISTS (SELECT 1 FROM {table.name} AS t WHERE t.id = o.entity_id)
            """,  # noqa: S608 - from TABLES
            (kind.value,),
        ).fetchone()[0]
    description = f"{number(missing)} pending records have no row" if missing else "every pending record has its row"
    return Check(name="outbox", ok=not missing, description=description)


# A record's key begins with its row's kind and id: the rest of the range of the unique index is that row's records.
_RECORD_OF = "idempotency_key >= '{kind}:' || t.id || ':' AND idempotency_key < '{kind}:' || t.id || ':~'"
# A mutable row says by its version that the ledger knows it; until then its newest write waits in the outbox, folded
# into one record where there is nowhere to send to, or was discarded by a user.
_UNTRACED = """
FROM {table} AS t WHERE t.sync_version = 0 AND NOT EXISTS (
    SELECT 1 FROM outbox WHERE {record} AND (processed_at IS NULL OR outcome = 'discarded'))
"""
# Events and artifacts have no version; they follow their session, which was sent before them.
_UNTRACED_FOLLOWER = """
FROM {table} AS t JOIN sessions AS s ON s.id = t.session_id
WHERE s.sync_version = 0 AND NOT EXISTS (SELECT 1 FROM outbox WHERE {record})
"""


def _traces(connection: sqlite3.Connection) -> Check:
    wrong: list[str] = []
    delivered = waiting = 0
    for kind, table in _entities(connection).items():
        form = _UNTRACED if table.mutable else _UNTRACED_FOLLOWER
        lost = form.format(table=table.name, record=_RECORD_OF.format(kind=kind.value))
        count = connection.execute(f"SELECT count(*) {lost}").fetchone()[0]
        if count:
            example = connection.execute(f"SELECT t.id {lost} LIMIT 1").fetchone()[0]
            wrong.append(f"{number(count)} of {table.name}, such as {example}")
        if table.mutable:
            delivered += connection.execute(
                f"SELECT count(*) FROM {table.name} WHERE sync_version > 0"  # noqa: S608 - from TABLES
            ).fetchone()[0]
        waiting += connection.execute(
            "SELECT count(DISTINCT entity_id) FROM outbox WHERE processed_at IS NULL AND entity_type = ?", (kind.value,)
        ).fetchone()[0]
    if wrong:
        description = (
            f"never delivered and not in the outbox: {'; '.join(wrong)} (run `acode-tui db sync --historical`)"
        )
        return Check(name="traces", ok=False, description=description)
    return Check(
        name="traces",
        ok=True,
        description=(
            f"nothing was left out: {number(delivered)} rows are delivered, {number(waiting)} wait in the outbox"
        ),
    )


def _totals(connection: sqlite3.Connection) -> Check:
    if not {"sessions", "session_totals"} <= _present_tables(connection):
        return Check(name="counters", ok=True, description="none yet")
    stored = dict(connection.execute("SELECT state, sessions FROM session_totals WHERE sessions <> 0"))
    counted = dict(connection.execute("SELECT state, count(*) FROM sessions GROUP BY state"))
    ok = stored == counted
    description = "the session counters are right" if ok else "the session counters differ from the sessions"
    return Check(name="counters", ok=ok, description=description)


def _artifact_hashes(connection: sqlite3.Connection, *, most_bytes: int | None) -> Check:
    if "artifacts" not in _present_tables(connection):
        return Check(name="artifact hashes", ok=True, description="no artifacts yet")
    total, content_bytes = connection.execute("SELECT count(*), total(size) FROM artifacts").fetchone()
    if most_bytes is not None and content_bytes > most_bytes:
        description = f"not compared: {number(total)} artifacts, {size(int(content_bytes))}; --deep compares them"
        return Check(name="artifact hashes", ok=True, description=description)
    wrong = [
        artifact_id
        for artifact_id, stored, stated, content_hash in connection.execute(
            "SELECT id, content, size, content_hash FROM artifacts"
        )
        if not _is_sound(stored, stated, content_hash)
    ]
    description = f"all {number(total)} artifacts fit their hashes"
    if wrong:
        first = ", ".join(wrong[:MOST_FINDINGS])
        description = f"{number(len(wrong))} of {number(total)} differ from their hashes: {first}"
    return Check(name="artifact hashes", ok=not wrong, description=description)


def _is_sound(stored: bytes, size: int, content_hash: str) -> bool:
    try:
        content = unpack(stored, size)
    except IntegrityError:
        return False
    return len(content) == size and digest(content) == content_hash


def _quarantine(connection: sqlite3.Connection) -> Check:
    """Rows of the team's database that are kept aside: no damage of this file, and worth a look."""
    total = quarantine.count(connection)
    description = "no row of the team's database is kept aside"
    if total:
        first = "; ".join(
            f"{each.entity_type} {each.entity_id}: {each.reason}"
            for each in quarantine.read(connection, limit=MOST_FINDINGS)
        )
        rows = counted(total, "row")
        description = f"{rows} of the team's database kept aside (see `acode-tui db conflicts`): {first}"
    return Check(name="quarantine", ok=True, description=description)
