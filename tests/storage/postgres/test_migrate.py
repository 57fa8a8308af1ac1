"""Migrations are applied in order, once, under a lock, and completely or not at all."""

import asyncio
import sqlite3
from importlib.resources import files
from pathlib import Path

import asyncpg
import pytest

from acode_tui.domain.errors import ConfigError, MigrationError, SchemaMismatchError
from acode_tui.domain.schema import TABLES
from acode_tui.storage.delivery_protocol import FaultKind, Head, PostgresFault
from acode_tui.storage.migrations import runner
from acode_tui.storage.migrations.runner import make_migration
from acode_tui.storage.postgres.connection import PostgresConnectionFactory
from acode_tui.storage.postgres.identifiers import Connection, quoted_role, quoted_schema
from acode_tui.storage.postgres.migrate import check_schema, migrate, schema_version, target_version
from acode_tui.storage.postgres.provisioning import provisioning_sql
from acode_tui.storage.postgres.run_state_reader import PostgresRunStateReader
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.sync.classify import Verdict, classify
from acode_tui.sync.conflict import ConflictResolver
from tests.pg import Database
from tests.storage.postgres.conftest import WORKSPACE, target_of
from tests.storage.runs import edited, make_run, plain, records


@pytest.mark.ac("AC-009")
@pytest.mark.ac("AC-010")
async def test_an_empty_database_gets_every_migration_in_order(pg_blank: Database) -> None:
    connection = await pg_blank.connect()
    done = await migrate(connection)
    assert [step.version for step in done.applied][:2] == ["1.0.0", "1.1.0"]
    assert done.from_version is None
    assert done.to_version == target_version()
    history = await pg_blank.fetch("SELECT version, checksum FROM schema_migrations ORDER BY applied_at")
    assert [tuple(row) for row in history] == [(m.version, m.checksum) for m in runner.packaged("postgres")]
    assert await check_schema(connection, "public") == target_version()
    await connection.close()


@pytest.mark.ac("AC-012")
async def test_a_second_run_changes_nothing(pg_database: Database) -> None:
    connection = await pg_database.connect()
    before = await _catalogue(connection)
    done = await migrate(connection)
    assert (done.applied, done.pending) == ((), ())
    assert await _catalogue(connection) == before
    await connection.close()


async def test_a_ledger_from_before_it_had_digests_knows_what_was_delivered(pg_database: Database) -> None:
    target = PostgresSyncTarget(target_of(pg_database), ConflictResolver())
    head = await target.register_workspace(WORKSPACE, user="ada", host="laptop", version="1")
    run = records(plain(make_run(WORKSPACE)))
    await target.apply(WORKSPACE, run, incarnation=head.incarnation)
    # As version 1.4.0 had it.
    await pg_database.execute(
        "ALTER TABLE sync_inbox DROP COLUMN key_digest; ALTER TABLE sync_inbox ADD PRIMARY KEY "
        "(session_id, idempotency_key); DELETE FROM schema_migrations WHERE version = '1.5.0'"
    )
    assert [step.version for step in (await target.migrate()).applied] == ["1.5.0"]
    reply = await target.apply(WORKSPACE, run, incarnation=head.incarnation)
    assert {result.outcome for result in reply.results} == {"duplicate"}
    await target.close()


async def test_a_dry_run_returns_the_pending_migrations_and_changes_nothing(pg_blank: Database) -> None:
    connection = await pg_blank.connect()
    before = await _catalogue(connection)
    done = await migrate(connection, dry_run=True)
    assert done.pending == tuple(m.version for m in runner.packaged("postgres"))
    assert await _catalogue(connection) == before
    assert await schema_version(connection, "public") is None
    await connection.close()


@pytest.mark.ac("AC-013")
async def test_a_failing_migration_leaves_the_earlier_ones_and_nothing_of_itself(
    pg_blank: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = make_migration("1.0.0_good.sql", "CREATE TABLE good (id int);")
    bad = make_migration("1.1.0_bad.sql", "CREATE TABLE half (id int); SELECT 1 / 0;")
    monkeypatch.setattr(runner, "packaged", lambda tier: (good, bad))
    connection = await pg_blank.connect()
    with pytest.raises(MigrationError, match=r"1\.1\.0"):
        await migrate(connection)
    assert await schema_version(connection, "public") == "1.0.0"
    assert await connection.fetchval("SELECT to_regclass('good') IS NOT NULL AND to_regclass('half') IS NULL")
    repaired = make_migration("1.1.0_bad.sql", "CREATE TABLE half (id int);")
    monkeypatch.setattr(runner, "packaged", lambda tier: (good, repaired))
    assert [step.version for step in (await migrate(connection)).applied] == ["1.1.0"]
    await connection.close()


async def test_a_newer_database_is_refused_without_a_change(pg_database: Database) -> None:
    await pg_database.execute("INSERT INTO schema_migrations VALUES ('99.0.0', 'from the future', 'x', now(), 1)")
    connection = await pg_database.connect()
    before = await _catalogue(connection)
    for attempt in (migrate(connection), check_schema(connection, "public")):
        with pytest.raises(SchemaMismatchError, match=r"99\.0\.0.*upgrade acode-tui"):
            await attempt
    assert await _catalogue(connection) == before
    await connection.close()


async def test_a_database_of_an_earlier_build_is_refused_unchanged_with_the_way_out(pg_database: Database) -> None:
    await pg_database.execute("UPDATE schema_migrations SET checksum = 'other' WHERE version = '1.0.0'")
    connection = await pg_database.connect()
    before = await _catalogue(connection)
    for attempt in (migrate(connection), migrate(connection, dry_run=True), check_schema(connection, "public")):
        with pytest.raises(SchemaMismatchError, match=r"another build.*persistence\.postgres\.schema.*db export"):
            await attempt
    reader = PostgresRunStateReader(PostgresConnectionFactory(target_of(pg_database)).read_pool())
    with pytest.raises(SchemaMismatchError, match="another build"):
        await reader.list()
    await reader.close()
    target = PostgresSyncTarget(target_of(pg_database), ConflictResolver())
    with pytest.raises(PostgresFault, match="another build") as refused:
        await target.check_schema()
    assert classify(refused.value.fault) is Verdict.SCHEMA_MISMATCH
    await target.close()
    assert await _catalogue(connection) == before
    await connection.close()


async def test_the_error_about_an_older_schema_names_the_needed_version(pg_database: Database) -> None:
    newest = target_version()
    await pg_database.execute(f"DELETE FROM schema_migrations WHERE version = '{newest}'")
    connection = await pg_database.connect()
    with pytest.raises(SchemaMismatchError, match=f"needs {newest}"):
        await check_schema(connection, "public")
    await connection.close()


async def test_programs_that_migrate_at_once_apply_each_migration_once(pg_blank: Database) -> None:
    connections = [await pg_blank.connect() for _ in range(3)]
    done = await asyncio.gather(*(migrate(connection) for connection in connections))
    applied = [step.version for tier in done for step in tier.applied]
    assert sorted(applied) == sorted(m.version for m in runner.packaged("postgres"))
    for connection in connections:
        await connection.close()


async def test_waiting_for_the_lock_ends_at_the_time_out(pg_blank: Database) -> None:
    holder, other = await pg_blank.connect(), await pg_blank.connect()
    async with holder.transaction():
        await holder.execute("CREATE TABLE schema_migrations (version text PRIMARY KEY)")
        with pytest.raises(MigrationError, match="lock"):
            await migrate(other, lock_timeout_seconds=0.05)
    await holder.close()
    await other.close()


async def test_the_configured_schema_is_created_and_used(pg_blank: Database) -> None:
    connection = await pg_blank.connect()
    await migrate(connection, schema="Team_Runs")
    assert await schema_version(connection, "Team_Runs") == target_version()
    assert await schema_version(connection, "public") is None
    assert await connection.fetchval("SHOW search_path") == '"$user", public'
    await connection.close()
    target = PostgresSyncTarget(target_of(pg_blank), ConflictResolver(), schema="Team_Runs")
    head = await target.register_workspace(WORKSPACE, user="ada", host="laptop", version="1")
    rows = plain(make_run(WORKSPACE))
    await target.apply(WORKSPACE, records(rows), incarnation=head.incarnation)
    assert len((await target.pull(WORKSPACE, 0)).rows) == len(rows)
    await target.close()


@pytest.mark.ac("AC-059")
@pytest.mark.parametrize("schema", ['a"b', "a;b", "", "1a", "pg_x", "information_schema", "a" * 64, "a b"])
def test_a_schema_that_is_not_a_plain_name_never_becomes_sql(schema: str) -> None:
    with pytest.raises(ConfigError):
        quoted_schema(schema)


@pytest.mark.parametrize("role", ["", "a\x00", "a" * 64, "ä" * 32, "\ud800", "public", "none"])
def test_a_role_that_cannot_exist_is_refused(role: str) -> None:
    with pytest.raises(ConfigError):
        quoted_role(role)


class TestLeastPrivilege:
    """A role that has only the privileges of the printed SQL."""

    @pytest.fixture
    async def role(self, pg_blank: Database) -> str:
        name = f"agent {pg_blank.name}'s"
        await pg_blank.server.execute(f'CREATE ROLE "{name}" LOGIN')
        await pg_blank.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        return name

    @pytest.mark.parametrize("schema", ["public", "team"])
    async def test_the_role_can_sync_and_nothing_else(self, pg_blank: Database, role: str, schema: str) -> None:
        await pg_blank.execute(provisioning_sql(schema, role))
        target = PostgresSyncTarget(target_of(pg_blank, user=role), ConflictResolver(), schema=schema)
        assert await target.check_schema() == target_version()
        head: Head = await target.register_workspace(WORKSPACE, user="ada", host="laptop", version="1")
        rows = plain(make_run(WORKSPACE))
        await target.apply(WORKSPACE, records(rows), incarnation=head.incarnation)
        clash = [edited(rows[0], seconds=2, user_id="x"), edited(rows[2], seconds=2, created_at=rows[0].created_at)]
        await target.apply(WORKSPACE, records(clash), incarnation=head.incarnation)
        assert len((await target.pull(WORKSPACE, 0)).rows) == len(rows)
        await target.close()
        connection = await asyncpg.connect(**_login(pg_blank, role))
        for forbidden in (
            f"CREATE TABLE {schema}.mine (id int)",
            f"DELETE FROM {schema}.sessions",
            f"UPDATE {schema}.session_events SET reason = 'forged'",
            f"UPDATE {schema}.artifacts SET name = 'forged'",
            f"UPDATE {schema}.session_search SET document = ''",
            f"DELETE FROM {schema}.session_search",
            f"DROP TABLE {schema}.sync_inbox",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forbidden)
        assert (await migrate(connection, schema=schema)).pending == ()
        await connection.close()

    async def test_without_tables_the_error_names_the_command(self, pg_blank: Database, role: str) -> None:
        connection = await asyncpg.connect(**_login(pg_blank, role))
        with pytest.raises(SchemaMismatchError, match="db schema --dialect postgres"):
            await migrate(connection)
        await connection.close()

    def test_without_a_role_the_grants_are_only_comments(self) -> None:
        assert "\nGRANT" not in provisioning_sql()
        assert "-- GRANT USAGE" in provisioning_sql()


@pytest.mark.ac("AC-026")
async def test_both_databases_have_the_same_columns_and_nullability(pg_database: Database, tmp_path: Path) -> None:
    local = sqlite3.connect(tmp_path / "local.db")
    for entry in sorted(files("acode_tui.storage.migrations").joinpath("sqlite").iterdir(), key=lambda e: e.name):
        local.executescript(entry.read_text("utf-8"))
    declared = {
        ("TEXT", "uuid"),
        ("TEXT", "text"),
        ("TEXT", "timestamp with time zone"),
        ("TEXT", "jsonb"),
        ("BLOB", "bytea"),
        ("INTEGER", "bigint"),
    }
    only_there = {"workspace_id", "change_seq", "synced_at"}
    for table in TABLES.values():
        here = {row[1]: (row[2], bool(row[3])) for row in local.execute(f"PRAGMA table_info({table.name})")}
        there = {
            row["column_name"]: (row["data_type"], row["is_nullable"] == "NO")
            for row in await pg_database.fetch(
                "SELECT column_name, data_type, is_nullable FROM information_schema.columns "
                "WHERE table_schema = 'public' AND table_name = $1",
                table.name,
            )
        }
        assert set(there) - set(here) == only_there - set(here), table.name
        assert set(here) <= set(there), table.name
        for name, (type_, required) in here.items():
            assert (type_, there[name][0]) in declared, (table.name, name)
            assert required == there[name][1], (table.name, name)
    local.close()


@pytest.mark.ac("AC-027")
async def test_no_table_has_more_than_five_indexes_besides_its_key(pg_database: Database) -> None:
    for row in await pg_database.fetch(
        "SELECT indrelid::regclass::text AS table, count(*) AS indexes FROM pg_index AS i "
        "JOIN pg_class AS c ON c.oid = i.indrelid WHERE c.relnamespace = 'public'::regnamespace "
        "AND NOT indisprimary GROUP BY 1"
    ):
        assert row["indexes"] <= 5, row["table"]


@pytest.mark.ac("AC-027")
@pytest.mark.parametrize(
    "query",
    [
        "SELECT id FROM sessions WHERE state = 'Failed' ORDER BY updated_at DESC LIMIT 50",
        "SELECT id FROM sessions ORDER BY created_at DESC LIMIT 50",
        "SELECT id FROM sessions ORDER BY updated_at DESC, id DESC LIMIT 50",
        "SELECT id FROM sessions WHERE user_id = 'ada' ORDER BY updated_at DESC, id DESC LIMIT 50",
        "SELECT id FROM session_events WHERE session_id = '{id}' ORDER BY timestamp",
        "SELECT id FROM session_tasks WHERE session_id = '{id}'",
        "SELECT id FROM steps WHERE session_id = '{id}' AND task_id = '{id}'",
        "SELECT id FROM tool_calls WHERE session_id = '{id}' AND step_id = '{id}'",
        "SELECT id FROM artifacts WHERE session_id = '{id}' AND task_id = '{id}'",
        "SELECT id FROM artifacts WHERE session_id = '{id}' AND tool_call_id = '{id}'",
        "SELECT id FROM artifacts WHERE id = '{id}'",
        "SELECT id FROM tool_calls WHERE workspace_id = '{id}' AND change_seq > 5 ORDER BY change_seq LIMIT 9",
        "SELECT FROM sync_inbox WHERE session_id = '{id}' AND idempotency_key = 'k'",
    ],
)
async def test_look_ups_use_an_index(pg_database: Database, query: str) -> None:
    connection = await pg_database.connect()
    await connection.execute(
        "INSERT INTO sessions (id, task_description, state, created_at, updated_at, workspace_id, change_seq) "
        "SELECT gen_random_uuid(), 'x', 'Created', now() - n * interval '1 s', now() - n * interval '1 s', "
        "gen_random_uuid(), n FROM generate_series(1, 3000) AS n"
    )
    await connection.execute("ANALYZE")
    # Empty tables are always scanned. The test is whether an index can serve the query at all.
    await connection.execute("SET enable_seqscan = off")
    plan = await connection.fetch(f"EXPLAIN {query.format(id=WORKSPACE)}")
    text = "\n".join(row[0] for row in plan)
    assert "Index" in text or "Bitmap" in text, text
    assert "Seq Scan" not in text, text
    await connection.close()


async def _catalogue(connection: Connection) -> list[tuple[object, ...]]:
    rows = await connection.fetch(
        "SELECT c.oid, c.relname, c.relfilenode, c.xmin::text FROM pg_class AS c "
        "JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1"
    )
    return [tuple(row) for row in rows]


def _login(database: Database, role: str) -> dict[str, object]:
    return {"host": "127.0.0.1", "port": database.server.port, "user": role, "database": database.name}


@pytest.mark.parametrize(
    ("theirs", "says"),
    [
        ("CREATE TABLE schema_migrations (version text PRIMARY KEY)", "schema_migrations is another program's"),
        ("CREATE TABLE sessions (id bigint PRIMARY KEY, data text)", 'relation "sessions" already exists'),
    ],
)
async def test_tables_of_another_program_are_left_alone(pg_blank: Database, theirs: str, says: str) -> None:
    await pg_blank.execute(theirs)
    target = PostgresSyncTarget(target_of(pg_blank), ConflictResolver())
    for work in (target.migrate, target.check_schema):
        with pytest.raises((PostgresFault, MigrationError), match=f"{says}|is another program's") as refused:
            await work()
        assert "persistence.postgres.schema" in (refused.value.hint or "")
    tables = await pg_blank.fetch("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    assert tables[0][0] == 1
    await target.close()
    other = PostgresSyncTarget(target_of(pg_blank), ConflictResolver(), schema="acode")
    await other.migrate()
    assert await other.check_schema() == target_version()
    await other.close()


async def test_a_database_that_cannot_hold_every_text_is_refused(pg_blank: Database) -> None:
    name = f"{pg_blank.name}_latin1"
    await pg_blank.server.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    target = PostgresSyncTarget(target_of(Database(pg_blank.server, name)), ConflictResolver())
    with pytest.raises(PostgresFault, match="has the encoding LATIN1") as refused:
        await target.probe()
    assert refused.value.fault.kind is FaultKind.SCHEMA
    await target.close()
    await pg_blank.server.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_the_migrations_work_one_statement_at_a_time_too(pg_blank: Database, pg_database: Database) -> None:
    """As they are sent where Citus distributes the tables; asyncpg prepares one statement only."""
    columns = "SELECT table_name, column_name, udt_name FROM information_schema.columns WHERE table_schema = 'public'"
    connection = await pg_blank.connect()
    try:
        for migration in runner.packaged("postgres"):
            for statement in runner.statements_of(migration):
                await (await connection.prepare(statement)).fetch()
    finally:
        await connection.close()
    made = {tuple(row) for row in await pg_blank.fetch(columns)}
    assert made == {tuple(row) for row in await pg_database.fetch(columns) if row["table_name"] != "schema_migrations"}
