"""What ``db check --remote`` says about the protection of the team's tables and the rights of the login."""

from typing import Any

import pytest

from acode_tui.storage.ports import Check
from acode_tui.storage.postgres.access_check import Login, TableAccess, judge_access
from acode_tui.storage.postgres.connection import PostgresConnectionFactory
from acode_tui.storage.postgres.provisioning import provisioning_sql
from acode_tui.storage.postgres.row_security import POLICIES, PROTECTED_TABLES
from acode_tui.storage.postgres.team import PostgresTeam
from tests.pg import Database
from tests.storage.postgres.conftest import WORKSPACE, target_of


async def check(database: Database, login: str) -> Check:
    pool = PostgresConnectionFactory(target_of(database, user=login)).read_pool()
    try:
        return await PostgresTeam(pool, schema="public").check_access(WORKSPACE)
    finally:
        await pool.close()


async def test_a_real_server(pg_blank: Database) -> None:
    role, login = f"agents_{pg_blank.name}", f"ada_{pg_blank.name}"
    await pg_blank.server.execute(f"CREATE ROLE {role}", f"CREATE ROLE {login} LOGIN IN ROLE {role}")
    await pg_blank.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC", provisioning_sql("public", role))
    on = f"row-level security is on for all {len(PROTECTED_TABLES)} tables"
    protected = await check(pg_blank, login)
    assert (protected.name, protected.ok) == ("remote access", True)
    assert protected.description == f"{on}; {login} may read, write"
    assert "postgres is a superuser, so it does not bind this login" in (await check(pg_blank, "postgres")).description

    await pg_blank.execute(f"GRANT DELETE ON sessions TO {login}", "GRANT CREATE ON SCHEMA public TO PUBLIC")
    assert (await check(pg_blank, login)).description == (
        f"{on}; {login} may read, write, delete, create objects in the schema"
    )
    await pg_blank.execute("ALTER TABLE steps DISABLE ROW LEVEL SECURITY")
    partly = await check(pg_blank, login)
    assert not partly.ok
    assert "off for steps" in partly.description
    await pg_blank.execute(provisioning_sql("public", role), "CREATE POLICY everybody ON steps FOR UPDATE USING (true)")
    widened = await check(pg_blank, login)
    assert not widened.ok
    assert "steps has everybody" in widened.description

    await pg_blank.execute(
        "DROP POLICY everybody ON steps",
        "ALTER POLICY acode_update ON steps USING (true)",
        f"GRANT UPDATE ON steps TO {role}",
        "INSERT INTO workspaces (id, user_name, host, version, owner) "
        f"VALUES ('{WORKSPACE}', 'grace', 'laptop', '1', 'grace')",
    )
    loosened = await check(pg_blank, login)
    assert not loosened.ok
    assert "steps has acode_update without a condition on the login" in loosened.description
    assert "lock tables against everybody" in loosened.description
    assert loosened.description.endswith(
        "but this workspace belongs to the login grace, so the server refuses what it sends"
    )
    await pg_blank.execute(provisioning_sql("public", role))
    assert "lock tables" not in (await check(pg_blank, login)).description
    assert "belongs to" not in (await check(pg_blank, "postgres")).description

    await pg_blank.execute(provisioning_sql("public", role, shared=True))
    shared = await check(pg_blank, login)
    assert shared.ok
    assert shared.description.startswith("row-level security is off, every login that may write may write every row")


def table(**changes: Any) -> TableAccess:
    values = {
        "name": "steps",
        "protected": True,
        "forced": False,
        "owned": False,
        "may_delete": False,
        "may_insert": True,
        "may_lock": False,
        "policies": tuple(POLICIES),
    }
    return TableAccess(**{**values, **changes})


ADA = Login(name="ada", superuser=False, bypasses=False, may_create=False)


@pytest.mark.parametrize(
    ("found", "login", "sound", "says"),
    [
        (table(), ADA, True, "on for all 1 tables; ada may read, write"),
        (table(forced=True, owned=True), ADA, True, "for their owner too; ada may read, write"),
        (table(owned=True), ADA, True, "ada owns the tables, so it does not bind this login"),
        (
            table(),
            Login(name="ada", superuser=False, bypasses=True, may_create=False),
            True,
            "ada has BYPASSRLS, so it does not bind this login",
        ),
        (table(protected=False, owned=True, policies=()), ADA, True, "ada owns the tables"),
        (table(may_insert=False), ADA, True, "ada may read"),
        (table(may_lock=True), ADA, True, "ada may read, write, lock tables against everybody"),
        (table(policies=("acode_read",)), ADA, False, "steps lacks acode_insert, acode_update"),
    ],
)
def test_what_is_said(found: TableAccess, login: Login, sound: bool, says: str) -> None:
    judged = judge_access([found], login, None)
    assert judged.ok is sound
    assert says in judged.description
