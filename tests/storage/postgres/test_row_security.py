"""Row-level security as the shipped SQL switches it on: two members, each with a login, and what either may do."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest

from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import FaultKind, PostgresFault
from acode_tui.storage.postgres.connection import PostgresConnectionFactory
from acode_tui.storage.postgres.migrate import migrate
from acode_tui.storage.postgres.provisioning import provisioning_sql
from acode_tui.storage.postgres.row_security import POLICIES, PROTECTED_TABLES
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.storage.postgres.team import PostgresTeam
from acode_tui.sync.classify import Verdict, classify
from acode_tui.sync.conflict import ConflictResolver
from tests.pg import Database
from tests.storage.postgres.conftest import OTHER_WORKSPACE, WORKSPACE, Machine, outcomes, target_of
from tests.storage.runs import edited, make_run, plain

pytestmark = pytest.mark.ac("AC-059")


class Member:
    """One member: their login, and a machine of theirs."""

    def __init__(self, database: Database, login: str, shape: str) -> None:
        self.login = login
        self._database = database
        self.target = PostgresSyncTarget(target_of(database, user=login), ConflictResolver())
        self._shape = shape

    async def register(self, workspace_id: str) -> Machine:
        head = await self.target.register_workspace(workspace_id, user=self.login, host="laptop", version="1")
        self.target._distributed = self._shape == "distributed"
        return Machine(self.target, workspace_id, head)

    async def execute(self, statement: str, *values: Any) -> str:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=self._database.server.port, user=self.login, database=self._database.name
        )
        try:
            return str(await connection.execute(statement, *values))
        finally:
            await connection.close()

    async def refused(self, statement: str, *values: Any) -> None:
        """The server refuses the statement: for want of a policy or of a privilege."""
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await self.execute(statement, *values)


BOTH_SHAPES = pytest.mark.parametrize("shape", ["plain", "distributed"])
"""For what the program sends; plain SQL has no shape."""


@pytest.fixture
def shape() -> str:
    return "plain"


@pytest.fixture
async def team(pg_blank: Database) -> Database:
    """A database that an administrator provisioned; the members' logins have the role ``agents_...``."""
    role = f"agents_{pg_blank.name}"
    await pg_blank.server.execute(
        f"CREATE ROLE {role}",
        *(f"CREATE ROLE {who}_{pg_blank.name} LOGIN IN ROLE {role}" for who in ("ada", "mallory")),
    )
    await pg_blank.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC", provisioning_sql("public", role))
    return pg_blank


@pytest.fixture
async def ada(team: Database, shape: str) -> AsyncIterator[Member]:
    member = Member(team, f"ada_{team.name}", shape)
    yield member
    await member.target.close()


@pytest.fixture
async def mallory(team: Database, shape: str) -> AsyncIterator[Member]:
    member = Member(team, f"mallory_{team.name}", shape)
    yield member
    await member.target.close()


@pytest.fixture
async def rows(ada: Member) -> list[Entity]:
    """Ada's run, as her own machine sent it."""
    sent = plain(make_run(WORKSPACE))
    await (await ada.register(WORKSPACE)).send(*sent)
    return sent


async def state(database: Database) -> list[tuple[Any, ...]]:
    """Every protected row."""
    found: list[tuple[Any, ...]] = []
    for table in PROTECTED_TABLES:
        statement = f"SELECT (to_jsonb(t) - 'last_seen_at')::text AS row FROM {table} AS t"
        found += [(table, each["row"]) for each in await database.fetch(statement)]
    return sorted(found)


def copy_of(table: str, **changes: str) -> str:
    """An INSERT of a copy of every row of a table; ``changes`` are expressions by column."""
    columns = [row for row in _COLUMNS[table] if row not in changes]
    names = [f'"{name}"' for name in (*columns, *changes)]
    values = [*(f't."{name}"' for name in columns), *changes.values()]
    return f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} FROM {table} AS t"


_COLUMNS = {
    **{
        table.name: [
            *(column.name for column in table.columns),
            *([] if table.kind is EntityType.SESSION else ["workspace_id"]),
            "change_seq",
        ]
        for table in TABLES.values()
    },
    "sync_inbox": ["session_id", "idempotency_key", "workspace_id", "payload_sha256", "change_seq"],
    "session_search": ["session_id", "workspace_id", "change_seq", "part", "document"],
}


class TestAMemberWritesTheirOwnRows:
    @BOTH_SHAPES
    async def test_a_sync_works_as_without_protection(self, ada: Member, mallory: Member) -> None:
        """New rows, edits, an older edit that loses, a replay, a second machine of the same login."""
        laptop = await ada.register(WORKSPACE)
        rows = plain(make_run(WORKSPACE))
        assert {outcome for outcome, _ in outcomes(await laptop.send(*rows))} == {"applied"}
        assert {outcome for outcome, _ in outcomes(await laptop.send(*rows))} == {"duplicate"}
        newer = edited(rows[0], seconds=5, user_id="new", sync_version=1)
        assert outcomes(await laptop.send(newer)) == [("applied", 2)]
        older = edited(rows[0], seconds=1, user_id="old", sync_version=1)
        assert outcomes(await laptop.send(older)) == [("conflict_remote", 2)]
        desktop = await ada.register(OTHER_WORKSPACE)
        assert {outcome for outcome, _ in outcomes(await desktop.send(*rows[1:]))} <= {"duplicate", "converged"}
        latest = edited(rows[0], seconds=9, user_id="desktop", sync_version=2)
        assert outcomes(await desktop.send(latest)) == [("applied", 3)]
        colleague = await mallory.register(_THIRD)
        assert {outcome for outcome, _ in outcomes(await colleague.send(*plain(make_run(_THIRD))))} == {"applied"}

    async def test_the_owner_is_the_login_that_registered(self, team: Database, ada: Member, mallory: Member) -> None:
        await ada.register(WORKSPACE)
        await mallory.register(OTHER_WORKSPACE)
        await ada.register(WORKSPACE)
        owners = await team.fetch("SELECT owner FROM workspaces ORDER BY id")
        assert [row["owner"] for row in owners] == [ada.login, mallory.login]


_MALLORYS = f"'{OTHER_WORKSPACE}'"
_THIRD = "0190d6a1-0000-7000-8000-000000000003"


class TestOtherMembersRows:
    """What another member tries with plain SQL, and with the program itself. Nothing changes."""

    @pytest.fixture(autouse=True)
    async def _unchanged(self, team: Database, rows: list[Entity], mallory: Member) -> AsyncIterator[None]:
        await mallory.register(OTHER_WORKSPACE)
        before = await state(team)
        yield
        # A statement that changes nothing because it sees no row to change is as good as one that is refused.
        assert await state(team) == before

    async def test_everybody_reads(self, team: Database, mallory: Member, rows: list[Entity]) -> None:
        factory = PostgresConnectionFactory(target_of(team, user=mallory.login))
        pool = factory.read_pool()
        async with pool.connection() as connection:
            for table in PROTECTED_TABLES:
                assert await connection.fetchval(f"SELECT count(*) FROM {table}") == len(
                    await team.fetch(f"SELECT 1 FROM {table}")
                )
        everything = PostgresTeam(pool, schema="public")
        assert sum((await everything.counts(WORKSPACE)).values()) == len(rows)
        page = await everything.page(WORKSPACE, 0)
        assert page is not None
        assert len(page.rows) == len(rows)
        await pool.close()

    async def test_reading_uses_the_indexes(self, mallory: Member, team: Database, rows: list[Entity]) -> None:
        connection = await asyncpg.connect(team.url_as(mallory.login))
        await connection.execute("SET enable_seqscan = off")
        plan = await connection.fetch("EXPLAIN SELECT 1 FROM session_search WHERE document @@ 'bash'::tsquery")
        await connection.close()
        lines = [row[0] for row in plan]
        assert any("session_search_by_word" in line for line in lines)
        assert not any("Filter" in line for line in lines)

    async def test_forging_rows_of_their_workspace(self, mallory: Member) -> None:
        for table in [table for table in PROTECTED_TABLES if table in _COLUMNS]:
            key = "idempotency_key" if table == "sync_inbox" else "part" if table == "session_search" else "id"
            new = {"id": "gen_random_uuid()", "part": "part + 1000", "idempotency_key": "'forged'"}[key]
            await mallory.refused(copy_of(table, **{key: new}))

    async def test_forging_a_conflict(self, mallory: Member, rows: list[Entity]) -> None:
        for workspace in (WORKSPACE, OTHER_WORKSPACE):
            await mallory.refused(
                "INSERT INTO sync_conflicts (id, session_id, entity_type, entity_id, idempotency_key, workspace_id, "
                "local_payload, remote_payload, local_updated_at, remote_updated_at, winner, detected_at) VALUES "
                "(gen_random_uuid(), $1, 'session', $1, 'k', $2, '{}', '{}', now(), now(), 'remote', now())",
                rows[0].id,
                workspace,
            )

    async def test_forging_with_the_program(self, mallory: Member, rows: list[Entity]) -> None:
        """A workspace's file says which workspace it is, so the program of another login can say so too."""
        with pytest.raises(PostgresFault) as refused:
            await mallory.register(WORKSPACE)
        assert refused.value.fault.kind is FaultKind.FOREIGN_WORKSPACE
        assert classify(refused.value.fault) is Verdict.AUTH_FAILED
        assert "ada_" in refused.value.fault.sentence
        assert "workspaces.owner" in refused.value.fault.hint

    async def test_adopting(self, mallory: Member) -> None:
        for table in PROTECTED_TABLES:
            changes = "owner = session_user" if table == "workspaces" else f"workspace_id = '{OTHER_WORKSPACE}'"
            try:
                assert await mallory.execute(f"UPDATE {table} SET {changes} WHERE {_OF_ADA[table]}") == "UPDATE 0"
            except asyncpg.InsufficientPrivilegeError:
                assert table not in ("workspaces", "sessions", "session_tasks", "steps", "tool_calls", "sync_conflicts")

    async def test_overwriting(self, mallory: Member) -> None:
        for table in ["sessions", "session_tasks", "steps", "tool_calls"]:
            key = "(id)" if table == "sessions" else "(session_id, id)"
            await mallory.refused(
                f"{copy_of(table, workspace_id=_MALLORYS)} ON CONFLICT {key} DO UPDATE SET state = 'Failed'"
            )
            assert await mallory.execute(f"UPDATE {table} SET state = 'Failed'") == "UPDATE 0"

    @BOTH_SHAPES
    async def test_overwriting_with_the_program(self, mallory: Member, rows: list[Entity]) -> None:
        machine = await mallory.register(OTHER_WORKSPACE)
        step = next(row for row in rows if row.kind is EntityType.STEP)
        for entity in (edited(rows[0], seconds=60, user_id="m"), edited(step, seconds=60, name="m")):
            for version in (0, 1):
                with pytest.raises(PostgresFault) as refused:
                    await machine.send(msgspec.structs.replace(entity, sync_version=version))
                assert refused.value.fault.kind is FaultKind.ROW_SECURITY
                assert classify(refused.value.fault) is Verdict.RECORD
                assert "another login" in refused.value.fault.sentence

    async def test_blocking_an_id_in_their_run(self, mallory: Member) -> None:
        """An id, key or part that Ada's next row may need, put into her session under a workspace of one's own."""
        for table in [table for table in _COLUMNS if table != "sessions"]:
            key = "idempotency_key" if table == "sync_inbox" else "part" if table == "session_search" else "id"
            new = {"id": "gen_random_uuid()", "part": "part + 1000", "idempotency_key": "'taken'"}[key]
            await mallory.refused(copy_of(table, **{key: new, "workspace_id": _MALLORYS}))

    async def test_blocking_by_moving_a_row_of_ones_own(self, team: Database, mallory: Member, ada: Member) -> None:
        machine = await mallory.register(_THIRD)
        await machine.send(*plain(make_run(_THIRD)))
        for table in ("session_tasks", "steps", "tool_calls"):
            await mallory.refused(
                f"UPDATE {table} SET session_id = (SELECT id FROM sessions WHERE workspace_id = '{WORKSPACE}') "
                f"WHERE workspace_id = '{_THIRD}'"
            )
        await mallory.refused(f"UPDATE sessions SET workspace_id = '{WORKSPACE}' WHERE workspace_id = '{_THIRD}'")
        await mallory.refused(f"UPDATE workspaces SET owner = $1 WHERE id = '{_THIRD}'", ada.login)
        await mallory.refused(
            "INSERT INTO workspaces (id, user_name, host, version, owner) VALUES (gen_random_uuid(), '', '', '', $1)",
            ada.login,
        )
        await team.execute(
            *(f"DELETE FROM {table} WHERE workspace_id = '{_THIRD}'" for table in reversed(PROTECTED_TABLES[1:])),
            f"DELETE FROM workspaces WHERE id = '{_THIRD}'",
        )

    async def test_deleting_and_altering(self, mallory: Member) -> None:
        for table in PROTECTED_TABLES:
            for statement in (
                f"DELETE FROM {table}",
                f"TRUNCATE {table}",
                f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
                f"DROP POLICY acode_insert ON {table}",
                f"CREATE POLICY mine ON {table} USING (true)",
                f"ALTER TABLE {table} ADD COLUMN mine int",
                f"CREATE TRIGGER mine BEFORE INSERT ON {table} EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            ):
                await mallory.refused(statement)

    async def test_locking_a_table_against_the_others(self, mallory: Member) -> None:
        for table in PROTECTED_TABLES:
            for mode in ("ACCESS EXCLUSIVE", "SHARE", "SHARE UPDATE EXCLUSIVE"):
                await mallory.refused(f"BEGIN; LOCK TABLE {table} IN {mode} MODE NOWAIT; ROLLBACK")

    async def test_locking_their_rows(self, mallory: Member) -> None:
        for table in ("workspaces", "sessions", "session_tasks", "steps", "tool_calls"):
            for strength in ("UPDATE", "KEY SHARE"):
                statement = f"SELECT FROM {table} WHERE {_OF_ADA[table]} FOR {strength} NOWAIT"
                assert await mallory.execute(statement) == "SELECT 0"

    async def test_another_role_does_not_change_who_one_is(self, team: Database, mallory: Member) -> None:
        role = f"agents_{team.name}"
        connection = await asyncpg.connect(team.url_as(mallory.login))
        await connection.execute(f"SET ROLE {role}")
        assert await connection.execute("UPDATE workspaces SET host = 'forged' WHERE host <> 'forged'") == "UPDATE 1"
        await connection.execute("UPDATE workspaces SET host = 'laptop' WHERE host = 'forged'")
        await connection.close()


_OF_ADA = {
    table: f"id = '{WORKSPACE}'" if table == "workspaces" else f"workspace_id = '{WORKSPACE}'"
    for table in PROTECTED_TABLES
}


class TestTheOwnerOfTheTables:
    async def test_migrations_work_and_the_sql_may_be_run_again(self, team: Database, rows: list[Entity]) -> None:
        before = await state(team)
        connection = await team.connect()
        for _ in range(2):
            await connection.execute(provisioning_sql("public", f"agents_{team.name}"))
        assert await state(team) == before
        # As if the tables were protected in a version before 1.3.0.
        for name, table in await connection.fetch(
            "SELECT conname, conrelid::regclass::text FROM pg_constraint WHERE contype = 'c' AND NOT convalidated"
        ):
            await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        await connection.execute(
            "DELETE FROM schema_migrations WHERE version IN ('1.3.0', '1.4.0', '1.5.0'); "
            "DROP INDEX workspaces_by_owner; ALTER TABLE workspaces DROP COLUMN owner CASCADE; "
            "DROP TABLE pruned_sessions, prunes; ALTER TABLE sync_inbox DROP COLUMN key_digest; "
            "ALTER TABLE sync_inbox ADD PRIMARY KEY (session_id, idempotency_key)"
        )
        done = await migrate(connection)
        assert [step.version for step in done.applied] == ["1.3.0", "1.4.0", "1.5.0"]
        # What the members' batches read was not there when the SQL granted them the rest.
        for table in ("pruned_sessions", "prunes"):
            readable = "SELECT has_table_privilege($1::name, $2::text, 'SELECT')"
            assert await connection.fetchval(readable, f"agents_{team.name}", table)
        await connection.close()

    async def test_a_shared_schema_stays_shared_until_the_sql_is_run(
        self, team: Database, ada: Member, mallory: Member, rows: list[Entity]
    ) -> None:
        role = f"agents_{team.name}"
        await team.execute(provisioning_sql("public", role, shared=True))
        machine = await mallory.register(WORKSPACE)
        theirs = edited(rows[0], seconds=1, user_id="m", sync_version=1)
        assert outcomes(await machine.send(theirs)) == [("applied", 2)]
        # From before there were owners: whoever syncs it next while it is shared becomes its owner.
        await team.execute("UPDATE workspaces SET owner = NULL")
        await mallory.register(WORKSPACE)
        assert [row["owner"] for row in await team.fetch("SELECT owner FROM workspaces")] == [mallory.login]
        await team.execute("UPDATE workspaces SET owner = NULL", provisioning_sql("public", role))
        for member in (ada, mallory):
            with pytest.raises(PostgresFault, match="belongs to no login"):
                await member.register(WORKSPACE)
        await team.execute(f"UPDATE workspaces SET owner = '{ada.login}'")
        hers = edited(rows[0], seconds=2, user_id="a", sync_version=2)
        assert outcomes(await (await ada.register(WORKSPACE)).send(hers)) == [("applied", 3)]


@pytest.mark.parametrize("schema", ["public", "Team_runs"])
async def test_every_table_that_the_program_writes_is_protected(pg_blank: Database, schema: str) -> None:
    role = f"writer_{pg_blank.name}_{schema.lower()}"
    await pg_blank.server.execute(f"CREATE ROLE {role}")
    await pg_blank.execute(provisioning_sql(schema, role))
    writable = await pg_blank.fetch(
        "SELECT c.relname, c.relrowsecurity, array(SELECT p.polname::text FROM pg_policy p WHERE p.polrelid = c.oid "
        "ORDER BY 1) AS policies FROM pg_class c WHERE c.relnamespace = $1::text::regnamespace AND c.relkind = 'r' "
        "AND (has_table_privilege($2::text, c.oid, 'INSERT') OR has_table_privilege($2::text, c.oid, 'UPDATE'))",
        f'"{schema}"',
        role,
    )
    assert {row["relname"] for row in writable} == set(PROTECTED_TABLES)
    assert all(row["relrowsecurity"] and row["policies"] == sorted(POLICIES) for row in writable)
