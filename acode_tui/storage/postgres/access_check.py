"""Checks which protection the team's tables have, and which rights this login has. Reads only."""

from collections.abc import Sequence

import msgspec

from acode_tui.storage.ports import Check
from acode_tui.storage.postgres.connection import ReadPool
from acode_tui.storage.postgres.identifiers import quoted_schema
from acode_tui.storage.postgres.row_security import LOCK_POLICY, POLICIES, PROTECTED_TABLES, PRUNE_POLICY

_TABLES = """
SELECT c.relname AS name, c.relrowsecurity AS protected, c.relforcerowsecurity AS forced,
    pg_has_role(c.relowner, 'USAGE') AS owned,
    has_table_privilege(c.oid, 'DELETE') OR has_table_privilege(c.oid, 'TRUNCATE') AS may_delete,
    has_table_privilege(c.oid, 'INSERT') AS may_insert, has_table_privilege(c.oid, 'UPDATE') AS may_lock,
    ARRAY(
        SELECT p.polname || CASE
            WHEN p.polcmd = 'r' OR (p.polname = 'acode_prune' AND p.polcmd = 'd' AND 0 <> ALL (p.polroles)) OR (
                p.polname = 'acode_prune_lock' AND p.polcmd = 'w' AND 0 <> ALL (p.polroles)
                AND pg_get_expr(p.polwithcheck, c.oid) = 'false'
            ) OR (
                coalesce(pg_get_expr(p.polqual, c.oid), 'SESSION_USER') ~ 'SESSION_USER'
                AND coalesce(pg_get_expr(p.polwithcheck, c.oid), 'SESSION_USER') ~ 'SESSION_USER'
            ) THEN '' ELSE ' without a condition on the login' END
        FROM pg_policy AS p WHERE p.polrelid = c.oid AND p.polpermissive
    ) AS policies
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = ANY($2::text[]) AND c.relkind IN ('r', 'p')
"""
_LOGIN = """
SELECT session_user::text AS name, r.rolsuper AS superuser, r.rolbypassrls AS bypasses,
    has_schema_privilege(n.oid, 'CREATE') AS may_create
FROM pg_roles AS r, pg_namespace AS n WHERE r.rolname = current_user AND n.nspname = $1
"""
_AGAIN = "run the SQL of `acode-tui db schema --dialect postgres`"


class TableAccess(msgspec.Struct, frozen=True, kw_only=True):
    """One table: its row-level security, and what this login may do with it.

    ``owned``: as the owner may. ``may_lock``: against everybody, as who may update the table and not only its columns.
    """

    name: str
    protected: bool
    forced: bool
    owned: bool
    may_delete: bool
    may_insert: bool
    may_lock: bool
    policies: Sequence[str]


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """The login of this machine. ``may_create``: objects in the schema."""

    name: str
    superuser: bool
    bypasses: bool
    may_create: bool


async def check_access(pool: ReadPool, schema: str, workspace_id: str) -> Check:
    """Check that row-level security is on for all tables or for none, and that it lets this login write the workspace.

    The description has this login's rights.
    """
    async with pool.connection() as connection:
        tables = [TableAccess(**dict(row)) for row in await connection.fetch(_TABLES, schema, list(PROTECTED_TABLES))]
        login = await connection.fetchrow(_LOGIN, schema)
        assert login is not None
        owner = await connection.fetchval(
            f"SELECT owner FROM {quoted_schema(schema)}.workspaces WHERE id = $1::uuid",  # noqa: S608
            workspace_id,
        )
    return judge_access(tables, Login(**dict(login)), owner)


def judge_access(tables: Sequence[TableAccess], login: Login, owner: str | None) -> Check:
    """Shared tables are a choice, so they are sound; tables that are protected in part are not."""
    protected = [table for table in tables if table.protected]
    missing = [
        f"{table.name} lacks {', '.join(sorted(POLICIES.keys() - set(table.policies)))}"
        for table in protected
        if POLICIES.keys() - set(table.policies)
    ]
    others = [f"{table.name} has {', '.join(more)}" for table in protected if (more := _foreign_policies(table))]
    sound = True
    if not protected:
        protection = f"row-level security is off, every login that may write may write every row (to protect, {_AGAIN})"
    elif len(protected) < len(tables) or missing or others:
        sound = False
        off = [table.name for table in tables if not table.protected]
        findings = [f"off for {', '.join(off)}"] if off else []
        findings += [f"policies differ: {'; '.join(missing + others)}"] if missing or others else []
        protection = f"row-level security is {', '.join(findings)} ({_AGAIN} again)"
    else:
        forced = sum(table.forced for table in tables)
        of_owners = "" if not forced else ", for their owner too" if forced == len(tables) else ", forced for some"
        protection = f"row-level security is on for all {len(tables)} tables{of_owners}"
    rights = _rights(tables, login, bool(protected))
    if protected and owner not in (None, login.name) and not _unbound(tables, login):
        sound = False
        rights += f"; but this workspace belongs to the login {owner}, so the server refuses what it sends"
    return Check(name="remote access", ok=sound, description=f"{protection}; {rights}")


def _foreign_policies(table: TableAccess) -> list[str]:
    """Policies that somebody else made: policies add up, so one of them may allow what the program's do not."""
    return sorted(set(table.policies) - POLICIES.keys() - {PRUNE_POLICY, LOCK_POLICY})


def _unbound(tables: Sequence[TableAccess], login: Login) -> str:
    """Why row-level security does not bind this login; empty if it does."""
    if login.superuser:
        return "is a superuser"
    if login.bypasses:
        return "has BYPASSRLS"
    if any(table.owned and not table.forced for table in tables):
        return "owns the tables"
    return ""


def _rights(tables: Sequence[TableAccess], login: Login, protected: bool) -> str:
    if unbound := _unbound(tables, login):
        return f"{login.name} {unbound}" + (", so it does not bind this login" if protected else "")
    rights = ["read"]
    if all(table.may_insert for table in tables):
        rights.append("write")
    if any(table.may_delete for table in tables):
        rights.append("delete")
    if protected and any(table.may_lock for table in tables):
        rights.append(f"lock tables against everybody (to end that, {_AGAIN} again)")
    if login.may_create:
        rights.append("create objects in the schema")
    return f"{login.name} may {', '.join(rights)}"
