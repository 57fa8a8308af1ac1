"""The provisioning SQL with names that try to leave their quotes, run by a real PostgreSQL."""

import asyncio
import re
import uuid

import asyncpg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from acode_tui.storage.postgres.identifiers import dollar_quoted, quoted, quoted_text
from acode_tui.storage.postgres.provisioning import provisioning_sql
from tests.pg import Server

_RESERVED = re.compile(r"pg_|(public|none|postgres)\Z")
NAMES = st.text(
    st.one_of(st.sampled_from("$'\"\\;-/*%\n\r\tax_ é🦉\u202e"), st.characters(exclude_categories=["Cs"])),
    min_size=1,
    max_size=40,
).filter(lambda name: "\x00" not in name and len(name.encode()) <= 63 and not _RESERVED.match(name))


async def _format(connection: "asyncpg.Connection[asyncpg.Record]", statement: str, name: str) -> None:
    """Run a statement with a name that the server itself quotes."""
    await connection.execute(await connection.fetchval("SELECT format($1, $2::text)", statement, name))


async def _provision(server: Server, database: str, role: str) -> None:
    """Run the script as printed, and check that it did what it says for this role and nothing else."""
    connection = await asyncpg.connect(host="127.0.0.1", port=server.port, user="postgres", database=database)
    await _format(connection, "CREATE ROLE %I", role)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS bystander (id int)")
        grantees = "SELECT DISTINCT grantee::regrole::text FROM pg_class, aclexplode(relacl) WHERE relname = 'sessions'"
        before = {row[0] for row in await connection.fetch(grantees)}
        await connection.execute(provisioning_sql("public", role))
        granted = {row[0] for row in await connection.fetch(grantees)} - before - {"postgres"}
        assert granted == {await connection.fetchval("SELECT format('%I', $1::text)", role)}
        for kind, name, right in (("table", "sessions", "INSERT"), ("database", database, "CONNECT")):
            statement = f"SELECT has_{kind}_privilege($1::text, $2::text, $3)"
            assert await connection.fetchval(statement, role, name, right)
        assert not await connection.fetchval("SELECT has_table_privilege($1::text, 'bystander', 'SELECT')", role)
        assert await connection.fetchval("SELECT to_regclass('bystander')") is not None
    finally:
        await _format(connection, "DROP OWNED BY %I", role)
        await _format(connection, "DROP ROLE %I", role)
        await connection.close()


@pytest.fixture(scope="module")
def database(pg_server: Server) -> str:
    name = f"hostile_{uuid.uuid4().hex[:8]}"
    asyncio.run(pg_server.execute(f"CREATE DATABASE {name}"))
    return name


@given(role=NAMES)
@example(role="$$x")
@example(role="$acode$")
@example(role="$acode$; DROP TABLE bystander; --")
@example(role="it's %I \\' \"quoted\"")
@example(role="'; DROP TABLE bystander; --")
@example(role='"; DROP TABLE bystander; --')
@example(role="a\nb\r-- c")
@settings(max_examples=25)
def test_a_role_of_any_name(pg_server: Server, database: str, role: str) -> None:
    asyncio.run(_provision(pg_server, database, role))


@pytest.mark.parametrize("database", ["$$x'\"", "it's; DROP", "$acode$ END;\n", 'a"b%I%s'])
def test_a_database_of_any_name(pg_server: Server, database: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(pg_server.url("postgres"))
        try:
            await _format(connection, "CREATE DATABASE %I", database)
            await _provision(pg_server, database, f"role of {database}")
        finally:
            await _format(connection, "DROP DATABASE IF EXISTS %I", database)
            await connection.close()

    asyncio.run(run())


@given(text=st.text(NAMES.map(lambda name: name[0])))
@settings(max_examples=25)
def test_the_server_reads_back_what_was_quoted(pg_server: Server, text: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(pg_server.url("postgres"))
        try:
            for conforming in ("on", "off"):
                await connection.execute(f"SET standard_conforming_strings = {conforming}")
                for form in (quoted_text(text), dollar_quoted(text)):
                    assert await connection.fetchval(f"SELECT {form}::text") == text
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.mark.parametrize("text", ["", "$", "$acode", "$acode$", "$acode$acode1$", "a$acode"])
def test_no_tag_occurs_in_its_text(text: str) -> None:
    form = dollar_quoted(text)
    tag = form[: form.index("$", 1) + 1]
    assert form.index(tag, 1) == len(form) - len(tag)
    assert quoted('a"b') == '"a""b"'
