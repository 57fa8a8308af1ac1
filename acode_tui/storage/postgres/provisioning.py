"""The SQL script that an administrator runs once, so that the program needs no privilege to run DDL.

The program prints the script and never executes it. The script also inserts the history rows, so the program finds the
schema at its own version and applies nothing. Importable without the driver.
"""

from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.migrations import runner
from acode_tui.storage.postgres.identifiers import quoted_role, quoted_schema

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


def provisioning_sql(schema: str = "public", role: str | None = None) -> str:
    """DDL, history rows and grants as one script. ``role`` must exist; without it the grants are printed as comments.

    The grants are CONNECT, USAGE and SELECT, INSERT into every table but the history, and UPDATE of mutable tables.
    """
    name = quoted_schema(schema)
    grantee = quoted_role(role) if role is not None else '"the_role"'
    lines = [
        "-- Tables of acode-tui. Run the whole script as the owner of the database.",
        "BEGIN;",
        f"CREATE SCHEMA IF NOT EXISTS {name};",
        f"SET LOCAL search_path TO {name};",
        HISTORY_TABLE.format(schema=name).strip() + ";",
    ]
    for migration in runner.packaged("postgres"):
        lines += [
            "",
            f"-- {migration.version}: {migration.description}",
            migration.sql.strip(),
            f"INSERT INTO {name}.schema_migrations (version, description, checksum, duration_ms)",
            f"VALUES ('{migration.version}', '{migration.description}', '{migration.checksum}', 0);",
        ]
    lines += ["", "-- Privileges of the role that acode-tui logs in as."]
    grants = [
        f"GRANT USAGE ON SCHEMA {name} TO {grantee};",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO {grantee};",
        f"GRANT INSERT, UPDATE ON {_tables(name, _UPDATED)} TO {grantee};",
        f"GRANT INSERT ON {_tables(name, _INSERTED)} TO {grantee};",
    ]
    if schema == "public":
        # The schema may contain other tables, so grant access to these only.
        own = ("schema_migrations", *_UPDATED, *_INSERTED)
        grants[1] = f"GRANT SELECT ON {_tables(name, own)} TO {grantee};"
    connect = (
        "DO $$ BEGIN EXECUTE format("
        f"'GRANT CONNECT ON DATABASE %I TO {grantee.replace(chr(39), chr(39) * 2)}', current_database()); END $$;"
    )
    grants.insert(0, connect)
    lines += grants if role is not None else [f"-- {grant}" for grant in grants]
    lines += ["COMMIT;", ""]
    return "\n".join(lines)


def _tables(name: str, tables: tuple[str, ...]) -> str:
    return ", ".join(f"{name}.{table}" for table in tables)
