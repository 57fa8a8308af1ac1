"""The SQL script that an administrator runs once, so that the program needs no privilege to run DDL.

The program prints the script and never executes it. The script applies the migrations that are pending and inserts
their history rows, so the program finds the schema at its own version and applies nothing. It may be run again, after
an upgrade of the program or to change who may write what. Importable without the driver.
"""

from acode_tui.domain.errors import ConfigError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.migrations import runner
from acode_tui.storage.migrations.runner import Migration
from acode_tui.storage.postgres.citus import distribution_sql
from acode_tui.storage.postgres.identifiers import dollar_quoted, quoted_role, quoted_schema, quoted_text
from acode_tui.storage.postgres.row_security import prune_policies_sql, row_security_sql, shared_sql

PROVISION_HINT = "run the SQL that `acode-tui db schema --dialect postgres` prints as the owner of the database"

HISTORY_TABLE = """
CREATE TABLE IF NOT EXISTS {schema}.schema_migrations (
    version     text        NOT NULL PRIMARY KEY,
    description text        NOT NULL,
    checksum    text        NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    duration_ms bigint      NOT NULL
)
"""

_UPDATED = ("workspaces", "sync_conflicts", *(table.name for table in TABLES.values() if table.mutable))
_INSERTED = (*(TABLES[kind].name for kind in EntityType if not TABLES[kind].mutable), "sync_inbox", "session_search")
_RETENTION = ("pruned_sessions", "prunes")


def provisioning_sql(
    schema: str = "public",
    role: str | None = None,
    *,
    shared: bool = False,
    prune_role: str | None = None,
    distribute: bool = False,
) -> str:
    """DDL, history rows, grants and row-level security as one script.

    ``role`` must exist; without it the grants are printed as comments. They are CONNECT, USAGE and SELECT, INSERT into
    every table but the history, and UPDATE of mutable tables. ``shared`` leaves row-level security out, and switches it
    off where it is on. ``prune_role`` must exist too: it may read and delete every row, note what it deleted, and write
    nothing else. ``distribute``: Citus distributes the tables, which are ``shared`` then; the role that prunes may
    update ``workspaces``, for Citus has no rights to columns. Raises ConfigError if PostgreSQL cannot have a role of
    this name, or Citus not what is asked for.
    """
    if distribute and not shared:
        raise ConfigError(
            "Citus has neither row-level security with subqueries nor rights to columns",
            hint="with `persistence.postgres.distribute` use --shared; see docs/postgres.md",
        )
    name = quoted_schema(schema)
    lines = [
        "-- Tables of acode-tui. Run the whole script as the owner of the database. It may be run again.",
        "BEGIN;",
        # No notice for each thing that is there already, or is not there yet.
        "SET LOCAL client_min_messages TO warning;",
        f"CREATE SCHEMA IF NOT EXISTS {name};",
        f"SET LOCAL search_path TO {name};",
        HISTORY_TABLE.format(schema=name).strip() + ";",
    ]
    for migration in runner.packaged("postgres"):
        lines += ["", f"-- {migration.version}: {migration.description}", _applied_once(name, migration)]
    if distribute:
        lines += [
            "",
            "-- The tables are distributed by session, by the extension citus.",
        ]
        lines += [f"{statement};" for statement in distribution_sql(schema)]
    lines += ["", "-- Privileges of the role that acode-tui logs in as, or that its members' logins are granted."]
    lines += [grant if role is not None else f"-- {grant}" for grant in _grants(schema, role, shared)]
    if shared:
        lines += ["", "-- Shared: whoever has the role may write every row."]
        lines += shared_sql(schema)
    else:
        lines += [
            "",
            "-- Every member reads everything, and writes only into workspaces that their own login registered.",
            "-- A workspace that was registered before version 1.3.0 may have no owner; this gives it to a login:",
            f"--   UPDATE {name}.workspaces SET owner = 'LOGIN' WHERE owner IS NULL AND user_name = 'USER';",  # noqa: S608
        ]
        lines += row_security_sql(schema)
    if prune_role is not None:
        lines += ["", "-- The role that removes what is old: `acode-tui db server prune`."]
        lines += _prune_grants(schema, quoted_role(prune_role), columns=not distribute)
        lines += [] if shared else prune_policies_sql(schema, quoted_role(prune_role))
    lines += ["COMMIT;", ""]
    return "\n".join(lines)


def _applied_once(name: str, migration: Migration) -> str:
    """A block that applies a migration with its history row, unless the history has it."""
    history = f"{name}.schema_migrations"
    version, description = quoted_text(migration.version), quoted_text(migration.description)
    block = [
        "",
        "BEGIN",
        f"IF NOT EXISTS (SELECT 1 FROM {history} WHERE version = {version}) THEN",  # noqa: S608
        "",
        migration.sql.strip(),
        "",
        f"INSERT INTO {history} (version, description, checksum, duration_ms)",
        f"VALUES ({version}, {description}, {quoted_text(migration.checksum)}, 0);",
        "",
        "END IF;",
        "END",
        "",
    ]
    return "DO " + dollar_quoted("\n".join(block)) + ";"


def _grants(schema: str, role: str | None, shared: bool) -> list[str]:
    name = quoted_schema(schema)
    grantee = quoted_role(role) if role is not None else '"the_role"'
    return [
        *_read_grants(schema, grantee),
        f"GRANT INSERT ON {_tables(name, (*_UPDATED, *_INSERTED))} TO {grantee};",
        *_update_grants(name, grantee, shared),
    ]


def _read_grants(schema: str, grantee: str) -> list[str]:
    name = quoted_schema(schema)
    # The schema "public" may contain other tables, so access is granted to these only.
    readable = _tables(name, ("schema_migrations", *_UPDATED, *_INSERTED, *_RETENTION))
    connect = f"EXECUTE format('GRANT CONNECT ON DATABASE %I TO %s', current_database(), {quoted_text(grantee)})"
    return [
        f"DO {dollar_quoted(f'BEGIN {connect}; END')};",
        f"GRANT USAGE ON SCHEMA {name} TO {grantee};",
        f"GRANT SELECT ON {readable if schema == 'public' else f'ALL TABLES IN SCHEMA {name}'} TO {grantee};",
    ]


def _prune_grants(schema: str, grantee: str, *, columns: bool) -> list[str]:
    name = quoted_schema(schema)
    return [
        *_read_grants(schema, grantee),
        f"GRANT DELETE ON {_tables(name, (*_UPDATED, *_INSERTED))} TO {grantee};",
        f"GRANT INSERT, UPDATE ON {_tables(name, _RETENTION)} TO {grantee};",
        # The right to update a column is what it takes to lock a row.
        f"GRANT UPDATE {'(last_seen_at) ' if columns else ''}ON {name}.workspaces TO {grantee};",
    ]


def _update_grants(name: str, grantee: str, shared: bool) -> list[str]:
    """The right to update. Where members are protected from each other it is one to the columns.

    Whoever may update a table may also lock it, and so stop everybody's sync (LOCK TABLE): the right to all its columns
    does not allow that. Citus has no rights to columns, and tables that it distributes are shared.
    """
    if shared:
        return [f"GRANT UPDATE ON {_tables(name, _UPDATED)} TO {grantee};"]
    tables = ", ".join(quoted_text(f"{name}.{table}") for table in _UPDATED)
    block = (
        "DECLARE statement text; BEGIN FOR statement IN "  # noqa: S608
        f"SELECT format('GRANT UPDATE (%s) ON %s TO %s', string_agg(quote_ident(attname), ', '), "
        f"attrelid::regclass, {quoted_text(grantee)}) FROM pg_attribute "
        f"WHERE attrelid = ANY (ARRAY[{tables}]::regclass[]) AND attnum > 0 AND NOT attisdropped "
        "GROUP BY attrelid LOOP EXECUTE statement; END LOOP; END"
    )
    return [f"REVOKE UPDATE ON {_tables(name, _UPDATED)} FROM {grantee};", f"DO {dollar_quoted(block)};"]


def _tables(name: str, tables: tuple[str, ...]) -> str:
    return ", ".join(f"{name}.{table}" for table in tables)
