"""Migrates a PostgreSQL schema to this program's version: forward only, with checksums, one transaction a migration.

An advisory lock held by the migration's transaction serializes programs (session locks do not work behind transaction
poolers), ``lock_timeout`` prevents waiting behind a long query, and DDL runs only if the version differs. For a role
that may not run DDL, the error names the SQL that an administrator has to run.
"""

from time import perf_counter

import asyncpg

from acode_tui.domain.errors import MigrationError, SchemaMismatchError
from acode_tui.domain.schema import TABLES, version_key
from acode_tui.storage.migrations import runner
from acode_tui.storage.migrations.runner import Migration
from acode_tui.storage.ports import AppliedMigration, TierMigrations
from acode_tui.storage.postgres.citus import SEQUENTIAL, distribute_tables, is_distributed
from acode_tui.storage.postgres.identifiers import Connection, quoted_schema
from acode_tui.storage.postgres.provisioning import HISTORY_TABLE, PROVISION_HINT

NEWER_HINT = "upgrade acode-tui on this machine; the team's database was not changed"
OTHER_BUILD_HINT = (
    "the team's database was not changed; give this build another schema (persistence.postgres.schema) or database, "
    "and bring each workspace's runs along: `acode-tui db export` with the old program, `acode-tui db import` with "
    "this one"
)
OTHER_PROGRAM_HINT = (
    "nothing of it was changed; give acode-tui a schema of its own: "
    "`acode-tui config set persistence.postgres.schema acode`"
)
ADVISORY_KEY = 0x61636F6465
"""An arbitrary fixed number: "acode" in ASCII."""

# Not to_regclass: it reads a cache that waiting for an advisory lock does not refresh, so a program that waited would
# not see the table that the other program has just committed.
_HISTORY_COLUMNS = """
SELECT a.attname::text AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE n.nspname = $1 AND c.relname = 'schema_migrations' AND a.attnum > 0 AND NOT a.attisdropped
"""
_SAME_NAME = """
SELECT c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = ANY($2::text[]) ORDER BY 1 LIMIT 1
"""
_OWN_TABLES = [*(table.name for table in TABLES.values()), "workspaces", "sync_inbox", "sync_conflicts"]
_OWN_COLUMNS = {"version", "description", "checksum", "applied_at", "duration_ms"}


def target_version() -> str:
    """The version that this program migrates to."""
    return runner.packaged("postgres")[-1].version


async def applied_migrations(connection: Connection, schema: str) -> tuple[AppliedMigration, ...]:
    """The applied migrations in order; empty if there are none. Runs no DDL.

    Raises SchemaMismatchError where another program keeps its own history under this name.
    """
    name = quoted_schema(schema)
    columns = {row["name"] for row in await connection.fetch(_HISTORY_COLUMNS, schema)}
    if not columns:
        return ()
    if not columns >= _OWN_COLUMNS:
        raise SchemaMismatchError(
            f"in the schema {schema} the table schema_migrations is another program's", hint=OTHER_PROGRAM_HINT
        )
    rows = await connection.fetch(
        f"SELECT version, description, checksum, duration_ms FROM {name}.schema_migrations"  # noqa: S608
    )
    return tuple(
        sorted(
            (AppliedMigration(**dict(row)) for row in rows),
            key=lambda migration: version_key(migration.version),
        )
    )


async def schema_version(connection: Connection, schema: str) -> str | None:
    """The version of the schema; None before the first migration."""
    return runner.newest(await applied_migrations(connection, schema))


async def check_schema(connection: Connection, schema: str) -> str:
    """The version of the schema. Raises SchemaMismatchError unless it is exactly this program's version."""
    applied = await applied_migrations(connection, schema)
    pending = _pending_migrations(runner.packaged("postgres"), applied)
    if pending:
        have = runner.newest(applied)
        if have is None and (theirs := await connection.fetchval(_SAME_NAME, schema, _OWN_TABLES)):
            raise SchemaMismatchError(
                f"in the schema {schema} the table {theirs} is another program's", hint=OTHER_PROGRAM_HINT
            )
        raise SchemaMismatchError(
            f"the team's database has schema {have}, this program needs {pending[-1].version}"
            if have
            else f"the team's database has no tables in schema {schema}",
            hint=PROVISION_HINT,
        )
    return target_version()


async def migrate(
    connection: Connection,
    *,
    schema: str = "public",
    distribute: bool = False,
    lock_timeout_seconds: float = 60.0,
    dry_run: bool = False,
) -> TierMigrations:
    """Apply the pending migrations and return them; with ``dry_run`` only return them.

    Raises SchemaMismatchError if the database is newer, was made by another build or the role may not run DDL, and
    MigrationError if a migration fails: it is rolled back, earlier ones stay.
    """
    known = runner.packaged("postgres")
    async with connection.transaction():
        before = await applied_migrations(connection, schema)
    pending = _pending_migrations(known, before)
    if dry_run or not pending:
        return TierMigrations(
            tier="postgres",
            from_version=runner.newest(before),
            to_version=known[-1].version,
            pending=tuple(migration.version for migration in pending),
        )
    done: list[AppliedMigration] = []
    try:
        while (step := await _apply_next(connection, known, schema, distribute, lock_timeout_seconds)) is not None:
            done.append(step)
    except asyncpg.InsufficientPrivilegeError:
        raise SchemaMismatchError(
            f"this role may not create the tables of schema {known[-1].version}", hint=PROVISION_HINT
        ) from None
    except asyncpg.LockNotAvailableError:
        raise MigrationError(
            f"another program held the migration lock for more than {lock_timeout_seconds:g} s",
            hint="wait for it to finish, then try again",
        ) from None
    return TierMigrations(
        tier="postgres",
        from_version=runner.newest(before),
        to_version=known[-1].version,
        applied=tuple(done),
    )


async def _apply_next(
    connection: Connection,
    known: tuple[Migration, ...],
    schema: str,
    distribute: bool,
    lock_timeout_seconds: float,
) -> AppliedMigration | None:
    """Apply the next migration under the lock; None if none is pending, perhaps because another program applied it."""
    name = quoted_schema(schema)
    async with connection.transaction():
        milliseconds = str(max(1, round(lock_timeout_seconds * 1000)))
        await connection.fetchval("SELECT set_config('lock_timeout', $1, true)", milliseconds)
        await connection.fetchval("SELECT set_config('statement_timeout', '0', true)")
        await connection.fetchval("SELECT pg_advisory_xact_lock($1, hashtext($2))", ADVISORY_KEY & 0x7FFFFFFF, schema)
        pending = _pending_migrations(known, await applied_migrations(connection, schema))
        if not pending:
            return None
        migration = pending[0]
        started = perf_counter()
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", schema):
            await connection.execute(f"CREATE SCHEMA {name}")
        await connection.execute(HISTORY_TABLE.format(schema=name))
        await connection.fetchval("SELECT set_config('search_path', $1, true)", name)
        try:
            if await is_distributed(connection, schema):
                # Citus takes one statement at a time, and makes shards only where none ran on several nodes at once.
                await connection.execute(SEQUENTIAL)
                for statement in runner.statements_of(migration):
                    await connection.execute(statement)
            else:
                await connection.execute(migration.sql)
        except asyncpg.InsufficientPrivilegeError:
            raise
        except (asyncpg.DuplicateTableError, asyncpg.DuplicateObjectError) as error:
            raise MigrationError(
                f"in the schema {schema} there is something of another program: {error.args[0]}",
                hint=OTHER_PROGRAM_HINT,
            ) from error
        except asyncpg.PostgresError as error:
            raise MigrationError(
                f"PostgreSQL migration {migration.version} ({migration.description}) failed with "
                f"SQLSTATE {error.sqlstate}: {error.args[0] if error.args else type(error).__name__}"
            ) from error
        if distribute and len(pending) == 1:  # now all tables exist
            await distribute_tables(connection, schema)
        row = AppliedMigration(
            version=migration.version,
            description=migration.description,
            checksum=migration.checksum,
            duration_ms=round((perf_counter() - started) * 1000),
        )
        await connection.execute(
            f"INSERT INTO {name}.schema_migrations (version, description, checksum, duration_ms) "  # noqa: S608
            "VALUES ($1, $2, $3, $4)",
            row.version,
            row.description,
            row.checksum,
            row.duration_ms,
        )
        return row


def _pending_migrations(known: tuple[Migration, ...], applied: tuple[AppliedMigration, ...]) -> tuple[Migration, ...]:
    try:
        return runner.due(known, applied)
    except runner.OtherBuildError as error:
        raise SchemaMismatchError(error.message, hint=OTHER_BUILD_HINT) from None
    except SchemaMismatchError as error:
        raise SchemaMismatchError(error.message, hint=NEWER_HINT) from None
