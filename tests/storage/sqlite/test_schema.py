"""The tables are the contract's: columns, nullability, keys, triggers, strictness, indexes."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite.connection import TimedConnection
from tests.storage.sqlite.parts import Parts, foreign, open_parts, rows
from tests.storage.sqlite.runs.runs import make_run

CONTRACT = {
    "sessions": "id task_description state created_at updated_at metadata? user_id? workspace_id sync_version",
    "session_events": "id session_id from_state to_state reason timestamp created_at updated_at",
    "session_tasks": "id session_id title description? state order created_at updated_at metadata? sync_version",
    "steps": "id session_id task_id name description? state order created_at updated_at metadata? sync_version",
    "tool_calls": "id session_id step_id tool_name parameters state order created_at updated_at completed_at? "
    "result? error_message? sync_version",
    "artifacts": "id session_id task_id step_id? tool_call_id? type name content content_hash content_type size "
    "created_at updated_at",
    "outbox": "id idempotency_key session_id entity_type entity_id operation payload created_at updated_at "
    "processed_at? outcome? attempts next_attempt_at? failed_at? last_error?",
    "sync_conflicts": "id session_id entity_type entity_id local_payload remote_payload local_updated_at "
    "remote_updated_at winner detected_at reviewed_at?",
    "schema_migrations": "version description checksum applied_at duration_ms",
}
PARENTS = {
    "session_events": {("session_id", "sessions")},
    "session_tasks": {("session_id", "sessions")},
    "steps": {("session_id", "sessions"), ("task_id", "session_tasks")},
    "tool_calls": {("session_id", "sessions"), ("step_id", "steps")},
    "artifacts": {
        ("session_id", "sessions"),
        ("task_id", "session_tasks"),
        ("step_id", "steps"),
        ("tool_call_id", "tool_calls"),
    },
}
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.fixture
async def filled(database: Path) -> Path:
    """A file with one run in it."""
    async with open_parts(database) as parts:
        await parts.store.save(make_run(1))
    return database


@pytest.fixture
def connection(filled: Path) -> Iterator[sqlite3.Connection]:
    with foreign(filled) as opened:
        yield opened


@pytest.mark.ac("AC-015")
@pytest.mark.ac("AC-016")
@pytest.mark.ac("AC-017")
@pytest.mark.ac("AC-018")
@pytest.mark.ac("AC-019")
@pytest.mark.ac("AC-020")
@pytest.mark.ac("AC-021")
@pytest.mark.parametrize("table", CONTRACT)
def test_columns_and_nullability_are_the_contracts(connection: sqlite3.Connection, table: str) -> None:
    found = {row[1]: not row[3] and not row[5] for row in connection.execute(f"PRAGMA table_info({table})")}
    wanted = {name.rstrip("?"): name.endswith("?") for name in CONTRACT[table].split()}
    assert found == wanted


@pytest.mark.ac("AC-015")
def test_every_entity_is_keyed_by_its_text_id(connection: sqlite3.Connection) -> None:
    for table in TABLES.values():
        keys = [(row[1], row[2]) for row in connection.execute(f"PRAGMA table_info({table.name})") if row[5]]
        assert keys == [("id", "TEXT")], table.name


@pytest.mark.ac("AC-015")
def test_a_sync_version_starts_at_0(connection: sqlite3.Connection) -> None:
    for table in TABLES.values():
        defaults = {row[1]: row[4] for row in connection.execute(f"PRAGMA table_info({table.name})")}
        assert defaults.get("sync_version") == ("0" if table.mutable else None)


@pytest.mark.ac("AC-016")
@pytest.mark.ac("AC-018")
@pytest.mark.ac("AC-019")
@pytest.mark.ac("AC-020")
def test_every_child_refers_to_its_parents(connection: sqlite3.Connection) -> None:
    for table in CONTRACT:
        keys = {(row[3], row[2]) for row in connection.execute(f"PRAGMA foreign_key_list({table})")}
        assert keys == PARENTS.get(table, set())


@pytest.mark.ac("AC-003")
def test_every_table_is_strict(connection: sqlite3.Connection) -> None:
    loose = {
        row[1]
        for row in connection.execute("PRAGMA table_list")
        if row[0] == "main" and row[2] == "table" and not row[5] and not row[1].startswith("sqlite_")
    }
    assert loose == set()
    derived = [row for row in connection.execute("PRAGMA table_list") if row[1].startswith("search_index")]
    assert {row[2] for row in derived} == {"virtual", "shadow"}


@pytest.mark.ac("AC-003")
@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("UPDATE session_tasks SET sync_version = ?", "many"),
        ('UPDATE session_tasks SET "order" = ?', "first"),
        ("UPDATE outbox SET attempts = ?", "twice"),
        ("INSERT INTO artifacts SELECT 'x', session_id, task_id, step_id, tool_call_id, type, name, content_hash, "
         "content_type, size, created_at, updated_at, ? FROM artifacts LIMIT 1", "text is no blob"),
        ("UPDATE sessions SET task_description = ?", b"bytes are no text"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(connection: sqlite3.Connection, sql: str, value: object) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="cannot store"):
        connection.execute(sql, (value,))


@pytest.mark.ac("AC-016")
@pytest.mark.ac("AC-020")
@pytest.mark.parametrize("table", ["session_events", "artifacts"])
@pytest.mark.parametrize(
    "sql", ["UPDATE {} SET id = id", "DELETE FROM {}", "INSERT OR REPLACE INTO {0} SELECT * FROM {0}"]
)
def test_events_and_artifacts_are_neither_changed_nor_deleted(
    connection: sqlite3.Connection, table: str, sql: str
) -> None:
    # As a program that knows nothing of this one has it: delete triggers do not fire for what REPLACE deletes.
    connection.execute("PRAGMA recursive_triggers = OFF")
    before = connection.execute(f"SELECT * FROM {table}").fetchall()
    with pytest.raises(sqlite3.IntegrityError, match=r"append-only|immutable"):
        connection.execute(sql.format(table))
    assert connection.execute(f"SELECT * FROM {table}").fetchall() == before


@pytest.mark.ac("AC-021")
@pytest.mark.parametrize(
    ("table", "parent"), [(table, column) for table, keys in PARENTS.items() for column, _ in sorted(keys)]
)
async def test_orphans_are_refused_on_the_stores_own_connections(parts: Parts, table: str, parent: str) -> None:
    await parts.store.save(make_run(1))
    kind = next(kind for kind, each in TABLES.items() if each.name == table)
    names = ", ".join(f'"{name}"' for name in TABLES[kind].column_names)
    columns = ", ".join(
        {"id": "'new'", parent: "'nobody'"}.get(name, f'"{name}"') for name in TABLES[kind].column_names
    )

    def orphan(raw: sqlite3.Connection) -> None:
        raw.execute(f"INSERT INTO {table} ({names}) SELECT {columns} FROM {table} LIMIT 1")

    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        await parts.connection.run(orphan)
    assert await parts.readers.run(lambda raw: raw.execute("PRAGMA foreign_keys").fetchone()[0]) == 1


@pytest.mark.ac("AC-021")
async def test_an_artifact_of_a_tool_call_names_its_step(parts: Parts) -> None:
    await parts.store.save(make_run(1))

    def without_step(raw: sqlite3.Connection) -> None:
        columns = ", ".join(TABLES[EntityType.ARTIFACT].column_names)
        given = columns.replace("id,", "'new',", 1).replace("step_id", "NULL")
        raw.execute(f"INSERT INTO artifacts ({columns}) SELECT {given} FROM artifacts LIMIT 1")

    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        await parts.connection.run(without_step)


@pytest.mark.ac("AC-021")
def test_a_parent_with_children_cannot_be_deleted(connection: sqlite3.Connection) -> None:
    for table in ("sessions", "session_tasks", "steps", "tool_calls"):
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            connection.execute(f"DELETE FROM {table}")


@pytest.mark.ac("AC-022")
async def test_every_stored_time_is_utc_of_one_width(filled: Path) -> None:
    async with open_parts(filled) as parts:
        session = await parts.store.create_session("x")
        await parts.store.add_task(session.id, "y")
    for table in TABLES.values():
        for column in table.columns:
            if column.kind == "time":
                for (value,) in rows(filled, f"SELECT {column.name} FROM {table.name}"):
                    assert (value is None and column.nullable) or STAMP.fullmatch(value), (table.name, column.name)
    for row in rows(filled, "SELECT created_at, updated_at FROM outbox"):
        assert all(STAMP.fullmatch(value) for value in row)


@pytest.mark.ac("AC-029")
def test_an_idempotency_key_is_unique(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        connection.execute(
            "INSERT INTO outbox (idempotency_key, session_id, entity_type, entity_id, operation, payload, created_at, "
            "updated_at) SELECT idempotency_key, session_id, entity_type, entity_id, operation, payload, created_at, "
            "updated_at FROM outbox LIMIT 1"
        )


@pytest.mark.ac("AC-030")
def test_an_outbox_row_has_one_of_the_six_entity_types(connection: sqlite3.Connection) -> None:
    assert {kind.value for kind in EntityType} == {
        "session",
        "session_event",
        "session_task",
        "step",
        "tool_call",
        "artifact",
    }
    for wrong in ("users", "", "Session", "SESSION", "sessions", "tool-call", "session "):
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            connection.execute("UPDATE outbox SET entity_type = ?", (wrong,))
    with pytest.raises(sqlite3.IntegrityError, match="NOT NULL"):
        connection.execute("UPDATE outbox SET entity_type = NULL")


@pytest.mark.ac("AC-027")
def test_a_table_has_at_most_five_indexes(connection: sqlite3.Connection) -> None:
    for table in CONTRACT:
        made = [row for row in connection.execute(f"PRAGMA index_list({table})") if row[3] != "pk"]
        assert len(made) <= 5, table


LOOK_UPS = {
    "sessions by state": "SELECT id FROM sessions WHERE state = ? ORDER BY updated_at",
    "sessions by creation": "SELECT id FROM sessions WHERE created_at > ?",
    "events of a session": "SELECT id FROM session_events WHERE session_id = ? ORDER BY timestamp",
    "pending records": "SELECT id FROM outbox WHERE processed_at IS NULL ORDER BY created_at, id LIMIT ?",
    **{
        f"{table}.{column}": f"SELECT id FROM {table} WHERE {column} = ?"
        for table, keys in PARENTS.items()
        for column, _ in sorted(keys)
    },
}


@pytest.mark.ac("AC-027")
@pytest.mark.parametrize("name", LOOK_UPS)
def test_look_ups_use_an_index(connection: sqlite3.Connection, name: str) -> None:
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {LOOK_UPS[name]}", ("x",))]
    assert len(plan) == 1, "an index gives the order too"
    assert re.match(r"(SEARCH|SCAN) \w+ USING (COVERING )?INDEX", plan[0]), plan
    assert plan[0].startswith("SEARCH") or name == "pending records"


def test_statements_are_reported_by_name_and_never_by_value() -> None:
    from acode_tui.storage.sqlite.connection import statement_name

    name = statement_name("INSERT INTO sessions (id, task_description)\n VALUES (?, ?)")
    assert name == "INSERT INTO sessions (id, task_description)"
    assert issubclass(TimedConnection, sqlite3.Connection)
