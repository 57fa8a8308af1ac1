"""Every way in which a server can be unreachable or refuse: the fault, and that no record's attempts are counted."""

import os
import re
import shlex
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from acode_tui.config.postgres_address import PostgresTarget, resolve_postgres
from acode_tui.config.settings import PostgresSettings
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.secrets.known import Secret
from acode_tui.storage.delivery_protocol import Fault, FaultKind, Head, PostgresFault
from acode_tui.storage.postgres.connection import PostgresConnectionFactory
from acode_tui.storage.postgres.errors import MAX_SENTENCE, translate, translate_to_fault
from acode_tui.storage.postgres.provisioning import provisioning_sql
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.sync.classify import Verdict, classify
from acode_tui.sync.conflict import ConflictResolver
from tests.pg import Database, Server, free_port
from tests.storage.postgres.conftest import WORKSPACE, target_of
from tests.storage.runs import make_run, plain, records

PASSWORD = "p@ss:w/o%r'd \" &x"


async def fault_on_connecting(target: PostgresTarget, **options: Any) -> Fault:
    sync = PostgresSyncTarget(target, ConflictResolver(), **options)
    try:
        with pytest.raises(PostgresFault) as raised:
            await sync.probe()
    finally:
        await sync.close()
    return raised.value.fault


@pytest.fixture
async def registered(pg_database: Database) -> AsyncIterator[tuple[PostgresSyncTarget, Head]]:
    """A connected target, for faults that occur later."""
    target = PostgresSyncTarget(target_of(pg_database), ConflictResolver())
    yield target, await target.register_workspace(WORKSPACE, user="ada", host="laptop", version="1")
    await target.close()


async def fault_on_sending(target: PostgresSyncTarget, head: Head) -> Fault:
    with pytest.raises(PostgresFault) as raised:
        await target.apply(WORKSPACE, records(plain(make_run(WORKSPACE))), incarnation=head.incarnation)
    return raised.value.fault


@pytest.mark.ac("AC-025")
class TestUnreachable:
    async def test_refused(self, pg_server: Server) -> None:
        port = free_port()
        fault = await fault_on_connecting(_address(port=port))
        assert (fault.kind, classify(fault)) == (FaultKind.REFUSED, Verdict.OFFLINE)
        assert f"127.0.0.1:{port}" in fault.sentence

    async def test_unknown_host(self) -> None:
        fault = await fault_on_connecting(_address(host="no-such-host.invalid"))
        assert (fault.kind, classify(fault)) == (FaultKind.UNKNOWN_HOST, Verdict.OFFLINE)

    async def test_no_socket(self, tmp_path: Path) -> None:
        fault = await fault_on_connecting(_address(host=str(tmp_path)))
        assert (fault.kind, classify(fault)) == (FaultKind.REFUSED, Verdict.OFFLINE)

    async def test_unknown_database(self, pg_server: Server) -> None:
        fault = await fault_on_connecting(_address(port=pg_server.port, database="nowhere"))
        assert (fault.sqlstate, classify(fault)) == ("3D000", Verdict.OFFLINE)
        assert "the database does not exist" in fault.sentence

    async def test_too_many_connections(self, pg_database: Database) -> None:
        await pg_database.server.execute(
            f"CREATE ROLE limited_{pg_database.name} LOGIN CONNECTION LIMIT 1",
        )
        target = target_of(pg_database, user=f"limited_{pg_database.name}")
        holder = await PostgresConnectionFactory(target).connect()
        fault = await fault_on_connecting(target)
        assert (fault.sqlstate, classify(fault)) == ("53300", Verdict.OFFLINE)
        await holder.close()

    async def test_a_server_that_stops_and_starts_again(self, private_pg: Callable[..., Server]) -> None:
        server = private_pg()
        target = PostgresSyncTarget(_address(port=server.port), ConflictResolver())
        await target.probe()
        server.stop("immediate")
        for _ in ("the open connection", "a new connection"):
            with pytest.raises(PostgresFault) as down:
                await target.probe()
            assert classify(down.value.fault) is Verdict.OFFLINE
        server.start()
        await target.probe()
        await target.close()

    async def test_a_server_older_than_supported(self, pg_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("acode_tui.storage.postgres.connection.OLDEST_MAJOR_VERSION", 99)
        fault = await fault_on_connecting(_address(port=pg_server.port))
        assert (fault.kind, classify(fault)) == (FaultKind.SERVER_TOO_OLD, Verdict.SCHEMA_MISMATCH)


@pytest.mark.ac("AC-025")
class TestRefusing:
    async def test_no_schema(self, pg_blank: Database) -> None:
        target = PostgresSyncTarget(target_of(pg_blank), ConflictResolver())
        facts = await target.probe()
        assert facts.schema_version is None
        with pytest.raises(PostgresFault) as missing:
            await target.check_schema()
        with pytest.raises(PostgresFault) as unregistered:
            await target.register_workspace(WORKSPACE, user="ada", host="laptop", version="1")
        for raised in (missing, unregistered):
            assert classify(raised.value.fault) is Verdict.SCHEMA_MISMATCH
            assert "db schema --dialect postgres" in raised.value.fault.hint
        await target.close()

    async def test_a_newer_schema(self, registered: tuple[PostgresSyncTarget, Head], pg_database: Database) -> None:
        await pg_database.execute("INSERT INTO schema_migrations VALUES ('99.0.0', 'x', 'x', now(), 1)")
        with pytest.raises(PostgresFault) as newer:
            await registered[0].check_schema()
        assert classify(newer.value.fault) is Verdict.SCHEMA_MISMATCH
        assert "upgrade acode-tui" in newer.value.fault.hint

    async def test_a_schema_with_a_changed_checksum(
        self, registered: tuple[PostgresSyncTarget, Head], pg_database: Database
    ) -> None:
        await pg_database.execute("UPDATE schema_migrations SET checksum = 'x' WHERE version = '1.0.0'")
        with pytest.raises(PostgresFault) as changed:
            await registered[0].check_schema()
        assert classify(changed.value.fault) is Verdict.SCHEMA_MISMATCH

    async def test_a_read_only_server(self, registered: tuple[PostgresSyncTarget, Head], pg_database: Database) -> None:
        await pg_database.server.execute(f"ALTER DATABASE {pg_database.name} SET default_transaction_read_only = on")
        target, head = registered
        target.terminate()
        assert (await target.probe()).read_only
        fault = await fault_on_sending(target, head)
        assert (fault.sqlstate, classify(fault)) == ("25006", Verdict.READ_ONLY)

    async def test_a_revoked_grant(self, pg_blank: Database) -> None:
        role = f"revoked_{pg_blank.name}"
        await pg_blank.server.execute(f"CREATE ROLE {role} LOGIN")
        await pg_blank.execute(provisioning_sql("public", role))
        target = PostgresSyncTarget(target_of(pg_blank, user=role), ConflictResolver())
        head = await target.register_workspace(WORKSPACE, user="ada", host="laptop", version="1")
        await pg_blank.execute(f"REVOKE INSERT ON steps FROM {role}")
        fault = await fault_on_sending(target, head)
        assert (fault.sqlstate, classify(fault)) == ("42501", Verdict.AUTH_FAILED)
        assert "steps" in fault.sentence
        await target.close()

    async def test_row_security_is_a_fault_of_the_record(self, pg_blank: Database) -> None:
        role = f"secured_{pg_blank.name}"
        await pg_blank.server.execute(f"CREATE ROLE {role} LOGIN")
        await pg_blank.execute(
            provisioning_sql("public", role, shared=True),
            "ALTER TABLE steps ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY readable ON steps FOR SELECT USING (true)",
        )
        target = PostgresSyncTarget(target_of(pg_blank, user=role), ConflictResolver())
        head = await target.register_workspace(WORKSPACE, user="ada", host="laptop", version="1")
        fault = await fault_on_sending(target, head)
        assert (fault.kind, classify(fault)) == (FaultKind.ROW_SECURITY, Verdict.RECORD)
        await target.close()

    @pytest.mark.parametrize(
        ("sqlstate", "verdict"),
        [
            ("53100", Verdict.OFFLINE),
            ("57P01", Verdict.OFFLINE),
            ("40001", Verdict.RETRY_NOW),
            ("40P01", Verdict.RETRY_NOW),
            ("P0001", Verdict.RECORD),
            ("23514", Verdict.RECORD),
            ("22003", Verdict.RECORD_DEAD),
        ],
    )
    async def test_an_error_in_the_middle_of_a_batch_leaves_nothing(
        self, registered: tuple[PostgresSyncTarget, Head], pg_database: Database, sqlstate: str, verdict: Verdict
    ) -> None:
        """A trigger raises the server's error."""
        await pg_database.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ "
            f"BEGIN RAISE EXCEPTION 'no room for %', NEW.tool_name USING ERRCODE = '{sqlstate}'; END $$",
            "CREATE TRIGGER refuse BEFORE INSERT ON tool_calls FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        target, head = registered
        fault = await fault_on_sending(target, head)
        assert (fault.sqlstate, classify(fault)) == (sqlstate, verdict)
        for table in ("sessions", "sync_inbox"):
            assert await pg_database.fetch(f"SELECT FROM {table}") == []
        await pg_database.execute("DROP TRIGGER refuse ON tool_calls")
        reply = await target.apply(WORKSPACE, records(plain(make_run(WORKSPACE))), incarnation=head.incarnation)
        assert reply.change_seq == 1


@pytest.mark.ac("AC-025")
class TestPasswords:
    """A server that requires a password; the password is difficult for naive parsers."""

    @pytest.fixture
    async def server(self, private_pg: Callable[..., Server]) -> Server:
        server = private_pg()
        quoted = PASSWORD.replace("'", "''")
        await server.execute(f"CREATE ROLE ada LOGIN PASSWORD '{quoted}'", "CREATE DATABASE team")
        (server.data / "pg_hba.conf").write_text("host all postgres all trust\nhost all all all scram-sha-256\n")
        await server.execute("SELECT pg_reload_conf()")
        await server.execute("SELECT 1")
        return server

    @pytest.mark.ac("AC-058")
    async def test_only_the_right_password_is_accepted(self, server: Server) -> None:
        address = _address(port=server.port, database="team", user="ada")
        right = msgspec.structs.replace(address, password=Secret(PASSWORD))
        target = PostgresSyncTarget(right, ConflictResolver())
        assert (await target.probe()).schema_version is None
        await target.close()
        wrong = await fault_on_connecting(msgspec.structs.replace(address, password=Secret(PASSWORD + "x")))
        assert (wrong.sqlstate, classify(wrong)) == ("28P01", Verdict.AUTH_FAILED)
        unknown = await fault_on_connecting(msgspec.structs.replace(right, user="nobody"))
        assert classify(unknown) is Verdict.AUTH_FAILED
        none = await fault_on_connecting(address)
        assert classify(none) is Verdict.AUTH_FAILED
        for fault in (wrong, unknown, none):
            assert PASSWORD not in repr(fault)

    @pytest.mark.ac("AC-024")
    async def test_the_environment_of_libpq_is_ignored(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        address = _address(port=server.port, database="team", user="ada")
        (tmp_path / ".pg_service.conf").write_text(f"[team]\npassword={PASSWORD}\nhost=elsewhere.invalid\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert classify(await fault_on_connecting(address)) is Verdict.AUTH_FAILED
        for name, value in (
            ("PGPASSWORD", PASSWORD),
            ("PGSERVICE", "team"),
            ("PGSERVICEFILE", str(tmp_path / ".pg_service.conf")),
        ):
            monkeypatch.setenv(name, value)
        assert classify(await fault_on_connecting(address)) is Verdict.AUTH_FAILED
        pool = PostgresConnectionFactory(address).read_pool()
        with pytest.raises(AcodeError, match="password"):
            async with pool.connection():
                raise AssertionError("the connection was accepted")
        for name, value in (
            ("PGPASSWORD", "wrong"),
            ("PGHOST", "elsewhere.invalid"),
            ("PGPORT", "1"),
            ("PGUSER", "nobody"),
            ("PGDATABASE", "nothing"),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLNEGOTIATION", "direct"),
            ("PGTARGETSESSIONATTRS", "standby"),
            ("PGGSSLIB", "none"),
        ):
            monkeypatch.setenv(name, value)
        target = PostgresSyncTarget(msgspec.structs.replace(address, password=Secret(PASSWORD)), ConflictResolver())
        await target.probe()
        await target.close()

    async def _logs_in(self, target: PostgresTarget) -> None:
        """By a connection of its own and by a pool."""
        await (await PostgresConnectionFactory(target).connect()).close()
        pool = PostgresConnectionFactory(target).read_pool(size=2)
        async with pool.connection() as first, pool.connection() as second:
            assert await first.fetchval("SELECT 1") == await second.fetchval("SELECT 1")
        await pool.close()

    async def test_the_password_file(self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("PGPASSFILE", raising=False)
        url = f"postgresql://ada@127.0.0.1:{server.port}/team"
        path = tmp_path / ".pgpass"

        def target() -> PostgresTarget:
            found = resolve_postgres(PostgresSettings(), {**os.environ, "ACODE_POSTGRES_URL": url})
            assert isinstance(found, PostgresTarget)
            return found

        missing = await fault_on_connecting(target())
        assert (missing.kind, classify(missing)) == (FaultKind.PASSWORD_MISSING, Verdict.AUTH_FAILED)
        assert "~/.pgpass" in missing.hint
        escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
        path.write_text(f"# mine\n*:*:other:ada:wrong\n127.0.0.1:{server.port}:*:ada:{escaped}\n*:*:*:*:wrong\n")
        path.chmod(0o640)
        ignored = await fault_on_connecting(target())
        assert (ignored.kind, classify(ignored)) == (FaultKind.PASSWORD_MISSING, Verdict.AUTH_FAILED)
        assert ignored.hint == f"{path} may be used by others (mode 0640), so it is not used: chmod 600 {path}"
        path.chmod(0o600)
        await self._logs_in(target())
        path.rename(tmp_path / "elsewhere")
        assert (await fault_on_connecting(target())).kind is FaultKind.PASSWORD_MISSING
        monkeypatch.setenv("PGPASSFILE", str(tmp_path / "elsewhere"))
        await self._logs_in(target())

    async def test_a_password_command(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It goes before the file, and is run again once the server refuses what it printed."""
        (tmp_path / "pgpass").write_text("*:*:*:*:wrong\n")
        (tmp_path / "pgpass").chmod(0o600)
        (tmp_path / "secret").write_text(f"{PASSWORD}\nnot this\n")
        runs = tmp_path / "runs"
        script = f"echo run >> {runs}; cat {tmp_path / 'secret'}; echo {shlex.quote(PASSWORD)} >&2"
        settings = PostgresSettings(password_command=shlex.join(["sh", "-c", script]))
        environ = {
            "ACODE_POSTGRES_URL": f"postgresql://ada@127.0.0.1:{server.port}/team",
            "PGPASSFILE": str(tmp_path / "pgpass"),
        }
        target = resolve_postgres(settings, environ)
        assert isinstance(target, PostgresTarget)
        assert PASSWORD not in repr(target)
        await self._logs_in(target)
        assert runs.read_text() == "run\n" * 2
        factory = PostgresConnectionFactory(target)
        await (await factory.connect()).close()
        await server.execute("ALTER ROLE ada PASSWORD 'turned'")
        (tmp_path / "secret").write_text("turned\n")
        await (await factory.connect()).close()
        await (await factory.connect()).close()
        assert runs.read_text() == "run\n" * 4
        (tmp_path / "secret").write_text("wrong again\n")
        refused = await fault_on_connecting(target)
        assert (refused.sqlstate, classify(refused)) == ("28P01", Verdict.AUTH_FAILED)
        in_the_address = {**environ, "ACODE_POSTGRES_URL": f"postgresql://ada:turned@127.0.0.1:{server.port}/team"}
        found = resolve_postgres(settings, in_the_address)
        assert isinstance(found, PostgresTarget)
        before = runs.read_text()
        await self._logs_in(found)
        assert runs.read_text() == before
        assert "turned" not in caplog.text

    @pytest.mark.parametrize(
        ("command", "says"),
        [
            ("false", "ended with exit code 1"),
            ("/no/such/program SECRET", "names a program that does not exist"),
            ("sh -c 'echo SECRET; exit 3'", "ended with exit code 3"),
            ("true", "printed no password on its first line"),
            ("sh -c 'echo; echo SECRET'", "printed no password on its first line"),
            ("sh -c 'sleep 60 & sleep 60'", "did not end within 0.3 s"),
            ("yes SECRET", "printed more than a password"),
            ("printf '\\377'", "printed a line that is not UTF-8"),
        ],
    )
    async def test_a_command_that_gives_no_password(self, pg_server: Server, command: str, says: str) -> None:
        target = msgspec.structs.replace(_address(port=pg_server.port), password_command=Secret(command))
        fault = await fault_on_connecting(target, connect_timeout=0.3 if "sleep" in command else 10.0)
        assert (fault.kind, classify(fault)) == (FaultKind.PASSWORD_COMMAND, Verdict.AUTH_FAILED)
        assert fault.sentence == f"persistence.postgres.password_command {says}"
        assert "by hand" in fault.hint
        pool = PostgresConnectionFactory(target, connect_timeout=0.3 if "sleep" in command else 10.0).read_pool()
        with pytest.raises(AcodeError, match=re.escape(says)):
            async with pool.connection():
                raise AssertionError("the connection was accepted")


async def test_required_tls_fails_on_a_server_without_tls(pg_server: Server) -> None:
    fault = await fault_on_connecting(_address(port=pg_server.port, sslmode="require"))
    assert (fault.kind, classify(fault)) == (FaultKind.TLS, Verdict.UNTRUSTED)


async def test_missing_certificate_files_are_a_tls_fault(pg_server: Server, tmp_path: Path) -> None:
    target = _address(port=pg_server.port, sslmode="verify-full", sslrootcert=str(tmp_path / "none.crt"))
    assert (await fault_on_connecting(target)).kind is FaultKind.TLS


@pytest.mark.ac("AC-058")
def test_a_password_in_a_servers_message_is_not_quoted() -> None:
    target = msgspec.structs.replace(_address(), password=Secret(PASSWORD))
    error = asyncpg.RaiseError(f"hello {PASSWORD}" + "x" * 1000)
    error.sqlstate = "P0001"
    sentence = translate_to_fault(error, target).sentence
    assert PASSWORD not in sentence
    assert len(sentence) <= MAX_SENTENCE


def test_an_error_that_is_not_postgresqls_is_raised_again() -> None:
    for translation in (translate_to_fault, translate):
        with pytest.raises(KeyError):
            translation(KeyError("x"))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), FaultKind.TIMEOUT),
        (ConnectionResetError(), FaultKind.CONNECTION_LOST),
        (BrokenPipeError(), FaultKind.CONNECTION_LOST),
        (ssl.SSLError("x"), FaultKind.TLS),
        (OSError(101, "Network is unreachable"), FaultKind.UNREACHABLE),
        (asyncpg.InterfaceError("connection is closed"), FaultKind.CONNECTION_LOST),
        (asyncpg.InternalClientError("x"), FaultKind.CONNECTION_LOST),
        (OverflowError("x"), FaultKind.ENCODING),
    ],
)
def test_an_error_without_a_servers_report_has_a_kind(error: Exception, kind: FaultKind) -> None:
    assert translate_to_fault(error).kind is kind


def _address(**changes: Any) -> PostgresTarget:
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 5432,
        "database": "postgres",
        "user": "postgres",
        "password": None,
        "sslmode": "prefer",
    }
    return PostgresTarget(**(values | changes))
