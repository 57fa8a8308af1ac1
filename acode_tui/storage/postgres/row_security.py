"""Row-level security of the team's tables: every member reads everything and writes only their own workspaces.

A workspace belongs to the login that registered it (``workspaces.owner``), and so do the runs that it sent first. The
policies are part of the provisioning SQL and of no migration, so a schema that its members share stays shared until an
administrator runs that SQL. Importable without the driver.
"""

from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.postgres.identifiers import quoted_schema

WORKSPACES = "workspaces"
SESSIONS = TABLES[EntityType.SESSION].name
_CHILDREN = (
    *(table.name for table in TABLES.values() if table.kind is not EntityType.SESSION),
    "sync_inbox",
    "sync_conflicts",
    "session_search",
)
PROTECTED_TABLES = (WORKSPACES, SESSIONS, *_CHILDREN)
"""Every table that the program writes to."""

POLICIES = {"acode_read": "SELECT", "acode_insert": "INSERT", "acode_update": "UPDATE"}
"""The policies of each table. There is none for DELETE, so no member deletes anything even where that was granted."""

PRUNE_POLICY, LOCK_POLICY = "acode_prune", "acode_prune_lock"
"""The policies of the role that removes what is old: it deletes rows, and locks heads without changing them."""


def row_security_sql(schema: str) -> list[str]:
    """Statements that switch row-level security on, also where it is on already."""
    name = quoted_schema(schema)
    statements = []
    for table in PROTECTED_TABLES:
        rule = _rule(name, table)
        statements += _drop_policies(name, table)
        statements += [
            f"CREATE POLICY acode_read ON {name}.{table} FOR SELECT USING (true);",
            f"CREATE POLICY acode_insert ON {name}.{table} FOR INSERT WITH CHECK ({rule});",
            f"CREATE POLICY acode_update ON {name}.{table} FOR UPDATE USING ({_own(name, table)}) WITH CHECK ({rule});",
            f"ALTER TABLE {name}.{table} ENABLE ROW LEVEL SECURITY;",
        ]
    return statements


def prune_policies_sql(schema: str, role: str) -> list[str]:
    """Statements that let ``role``, quoted, delete every row, and lock the heads of workspaces."""
    name = quoted_schema(schema)
    statements = []
    for table in PROTECTED_TABLES:
        statements += [
            f"DROP POLICY IF EXISTS {PRUNE_POLICY} ON {name}.{table};",
            f"CREATE POLICY {PRUNE_POLICY} ON {name}.{table} FOR DELETE TO {role} USING (true);",
        ]
    return [
        *statements,
        f"DROP POLICY IF EXISTS {LOCK_POLICY} ON {name}.{WORKSPACES};",
        f"CREATE POLICY {LOCK_POLICY} ON {name}.{WORKSPACES} FOR UPDATE TO {role} USING (true) WITH CHECK (false);",
    ]


def shared_sql(schema: str) -> list[str]:
    """Statements that switch it off: everybody with the role may write every row."""
    name = quoted_schema(schema)
    return [
        statement
        for table in PROTECTED_TABLES
        for statement in (
            *_drop_policies(name, table),
            f"ALTER TABLE {name}.{table} DISABLE ROW LEVEL SECURITY;",
        )
    ]


def _drop_policies(name: str, table: str) -> list[str]:
    return [f"DROP POLICY IF EXISTS {policy} ON {name}.{table};" for policy in POLICIES]


def _own(name: str, table: str) -> str:
    """The condition that a row belongs to a workspace of this login."""
    if table == WORKSPACES:
        return "owner = session_user"
    # Not correlated, so the server reads the login's workspaces once a statement, however many rows it writes.
    return f"workspace_id IN ({_own_workspaces(name)})"


def _rule(name: str, table: str) -> str:
    """The condition on a row that is written."""
    own = _own(name, table)
    if table not in _CHILDREN:
        return own
    # Nothing is put into somebody else's run, neither to be taken for theirs nor to occupy an id or a key that they
    # will need. A run that does not exist yet is nobody's: a batch writes a session and its rows in one statement.
    return (
        f"{own} AND NOT EXISTS (SELECT 1 FROM {name}.{SESSIONS} AS s WHERE s.id = {table}.session_id "  # noqa: S608
        f"AND s.workspace_id NOT IN ({_own_workspaces(name)}))"
    )


def _own_workspaces(name: str) -> str:
    return f"SELECT w.id FROM {name}.{WORKSPACES} AS w WHERE w.owner = session_user"  # noqa: S608
