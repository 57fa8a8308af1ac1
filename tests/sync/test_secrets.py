"""A password that a server refuses, or that is part of a malformed address, is shown nowhere."""

import shlex
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from acode_tui import logs
from acode_tui.config import Settings
from acode_tui.domain.codec import encode_json
from acode_tui.domain.errors import AcodeError
from acode_tui.sync.ports import SyncState
from tests.pg import Database, Server
from tests.sync.conftest import URL
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import add_run, opened, query, syncing

SENTINEL = "p@ss:w/or%d'\"x y"
FORMS = (SENTINEL, quote(SENTINEL, safe=""), quote(SENTINEL), "w/or%d", "ss:w")


def assert_hidden(text: str) -> None:
    for form in FORMS:
        assert form not in text


@pytest.fixture
async def guarded(private_pg: Callable[[], Server]) -> Database:
    """A server that asks for a password over TCP."""
    server = private_pg()
    await server.execute("CREATE ROLE ada LOGIN PASSWORD 'another one'")
    (server.data / "pg_hba.conf").write_text(
        "local all all trust\nhost all ada 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
    )
    await server.execute("SELECT pg_reload_conf()")
    return Database(server, "postgres")


@pytest.fixture(params=["address", "command", "file"])
def secret_settings(
    request: pytest.FixtureRequest, tmp_path: Path, guarded: Database, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings with which the password comes from one of the places where one may be."""
    hidden = tmp_path / "passwords"
    hidden.mkdir()
    address = f"127.0.0.1:{guarded.server.port}/postgres"
    monkeypatch.setenv("PGPASSFILE", str(hidden / "pgpass"))
    monkeypatch.setenv(URL, f"postgresql://ada@{address}")
    settings = syncing()
    if request.param == "address":
        monkeypatch.setenv(URL, f"postgresql://ada:{quote(SENTINEL, safe='')}@{address}")
    elif request.param == "file":
        (hidden / "pgpass").write_text(f"*:*:*:*:{SENTINEL.replace(':', chr(92) + ':')}\n")
        (hidden / "pgpass").chmod(0o600)
    else:
        (hidden / "printed").write_text(SENTINEL + "\n")
        postgres = msgspec.structs.replace(
            settings.persistence.postgres, password_command=shlex.join(["cat", str(hidden / "printed")])
        )
        persistence = msgspec.structs.replace(settings.persistence, postgres=postgres)
        settings = msgspec.structs.replace(settings, persistence=persistence)
    return settings


@pytest.mark.ac("AC-058")
async def test_a_refused_password_is_never_shown(
    tmp_path: Path, time: FakeTime, guarded: Database, secret_settings: Settings
) -> None:
    folder = tmp_path / "log"
    folder.mkdir(mode=0o700)
    logs.configure(folder, level="debug")
    try:
        async with opened(tmp_path / "w", time, sync=True, settings=secret_settings) as workspace:
            await add_run(workspace)
            await time.advance(60)
            status = await workspace.sync.status()
            assert status.state is SyncState.AUTH_FAILED
            assert "password" in status.reason
            with pytest.raises(AcodeError) as refused:
                await workspace.sync.sync_now()
            traced = "".join(traceback.format_exception(refused.value))
            shown = [str(status), encode_json(status).decode(), traced, str(refused.value), repr(refused.value)]
            shown += [repr(workspace.sync.require_target()), str(vars(refused.value))]
            shown += [str(query(workspace, f"SELECT * FROM {t}")) for t in ("outbox", "sync_log", "workspace_meta")]
            shown += [str(await workspace.sync.log_tail(50))]
        logged = "".join(file.read_text() for file in (folder / "logs").iterdir())
    finally:
        logs.shut_down()
    assert "auth_failed" in logged
    for text in (*shown, logged):
        assert_hidden(text)
    for file in (tmp_path / "w" / ".agent").rglob("*"):
        if file.is_file():
            assert SENTINEL.encode() not in file.read_bytes()


@pytest.mark.ac("AC-058")
@pytest.mark.ac("AC-039")
async def test_a_password_that_the_server_quotes_is_redacted(
    tmp_path: Path, time: FakeTime, guarded: Database, secret_settings: Settings
) -> None:
    """``last_error`` keeps the server's text about a record; a hostile server may send any text."""
    quoted = SENTINEL.replace("'", "''")
    await guarded.execute(f"ALTER ROLE ada PASSWORD '{quoted}'", "GRANT ALL ON SCHEMA public TO ada")
    async with opened(tmp_path / "w", time, settings=secret_settings) as workspace:
        await workspace.sync.sync_now()
        await guarded.execute(
            "CREATE FUNCTION gossip() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN "
            f"RAISE EXCEPTION 'you logged in with {quoted} or {quote(SENTINEL, safe='').replace('%', '%%')}'; "
            "END $f$".replace("%d", "%%d", 1),
            "CREATE TRIGGER gossip BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION gossip()",
        )
        await add_run(workspace)
        assert (await workspace.sync.sync_now()).failed == 1
        (record,) = await workspace.outbox.list(status="retrying")
        assert record.last_error is not None
        assert "you logged in" in record.last_error
        assert_hidden(record.last_error)
        assert_hidden(str(query(workspace, "SELECT * FROM outbox")))


@pytest.mark.ac("AC-058")
@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://ada:{SENTINEL}@db.example.org/d",
        f"postgresql://ada:{quote(SENTINEL, safe='')}@db.example.org:99999/d",
        f"host=db.example.org user=ada password={SENTINEL}",
        f"mysql://ada:{SENTINEL}@db/d",
    ],
)
async def test_a_malformed_address_is_not_quoted(
    tmp_path: Path, time: FakeTime, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv(URL, address)
    async with opened(tmp_path, time, sync=True) as workspace:
        await time.advance(31)
        status = await workspace.sync.status()
        assert status.state is SyncState.MISCONFIGURED
        with pytest.raises(AcodeError) as refused:
            await workspace.sync.sync_now()
    assert_hidden(str(status) + encode_json(status).decode() + "".join(traceback.format_exception(refused.value)))
