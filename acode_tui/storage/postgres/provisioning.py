"""The SQL that an administrator runs once, so that a role without any right to run DDL is enough afterwards.

It is printed, never executed by this program. The history rows are in it: the program finds the schema at its own
version and does nothing.
"""

from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.migrations import runner
from acode_tui.storage.postgres.identifiers import quoted_role, quoted_schema
from acode_tui.storage.postgres.migrate import HISTORY_TABLE

_UPDATED = ("workspaces", "sync_conflicts", *(table.name for table in TABLES.values() if table.mutable))
_INSERTED = (*(TABLES[kind].name for kind in EntityType if not TABLES[kind].mutable), "sync_inbox")


def provisioning_sql(schema: str = "public", role: str | None = None) -> str:
    """DDL, history and grants as one script. ``role`` has to exist already; without one, grants are left as comments.

    The grants: CONNECT, USAGE, SELECT; INSERT everywhere but in the history; UPDATE only where rows change.
    """
    name = quoted_schema(schema)
    grantee = quoted_role(role) if role is not None else '"the_role"'
    lines = [
        "-- Tables of acode-tui. Run as the owner of the database, in one go.",
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
    lines += ["", "-- Rights of the role that acode-tui logs in as."]
    grants = [
        f"GRANT USAGE ON SCHEMA {name} TO {grantee};",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO {grantee};",
        f"GRANT INSERT, UPDATE ON {_tables(name, _UPDATED)} TO {grantee};",
        f"GRANT INSERT ON {_tables(name, _INSERTED)} TO {grantee};",
    ]
    if schema == "public":
        # Other tables may live there: name ours instead of everything.
        ours = ("schema_migrations", *_UPDATED, *_INSERTED)
        grants[1] = f"GRANT SELECT ON {_tables(name, ours)} TO {grantee};"
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
