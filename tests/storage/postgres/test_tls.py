"""TLS against a real PostgreSQL: who is trusted, and what is said of a certificate that is not.

The server listens on loopback, which needs no TLS by default, so a test resolves a made-up name to it.
"""

import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from acode_tui.config.postgres_address import PostgresTarget, resolve_postgres
from acode_tui.config.settings import PostgresSettings
from acode_tui.domain.errors import AcodeError
from acode_tui.storage.delivery_protocol import Fault, FaultKind, PostgresFault
from acode_tui.storage.postgres.connection import PostgresConnectionFactory
from acode_tui.sync.classify import Verdict, classify
from tests.pg import Server, private_servers

DEBIAN = Path("/usr/lib/postgresql/15")
HOST = "db.team.example"
NOW = datetime.now(UTC)
DAY = timedelta(days=1)

pytestmark = pytest.mark.skipif(
    not (DEBIAN / "bin" / "postgres").exists(),
    reason="Debian's PostgreSQL 15 is not installed; the wheel's server is built without TLS",
)


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home without certificates, and a name that leads to this machine."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    resolve = socket.getaddrinfo

    def mapped(host: Any, *arguments: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if host == HOST else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", mapped)


@pytest.fixture(scope="module")
def module_authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def authority(module_authority: trustme.CA, tmp_path: Path) -> trustme.CA:
    module_authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return module_authority


@pytest.fixture(scope="module")
def module_server(module_authority: trustme.CA) -> Iterator[Server]:
    with private_servers() as make:
        server = make(installed=DEBIAN)
        with (server.data / "postgresql.conf").open("a") as conf:
            conf.write("ssl = on\nssl_ca_file = 'clients.pem'\n")
        _give(server, "clients.pem", module_authority.cert_pem.bytes())
        present(server, module_authority.issue_cert(HOST, "localhost"))
        yield server


@pytest.fixture
def server(module_server: Server, authority: trustme.CA) -> Iterator[Server]:
    """A server that accepts TLS alone, with a certificate of the authority for HOST and localhost."""
    standard = {name: (module_server.data / name).read_bytes() for name in ("server.crt", "server.key", "pg_hba.conf")}
    yield module_server
    if any((module_server.data / name).read_bytes() != content for name, content in standard.items()):
        for name, content in standard.items():
            _give(module_server, name, content)
        module_server.restart("fast")


def present(server: Server, certificate: trustme.LeafCert | trustme.CA) -> None:
    """Restart the server with a certificate; an authority's own is a self-signed one."""
    (server.data / "pg_hba.conf").write_text("hostssl all all all trust\n")
    chain = [certificate.cert_pem] if isinstance(certificate, trustme.CA) else certificate.cert_chain_pems
    files = {"server.crt": b"".join(each.bytes() for each in chain), "server.key": certificate.private_key_pem.bytes()}
    for name, content in files.items():
        _give(server, name, content)
    server.restart("fast")


def _give(server: Server, name: str, content: bytes) -> None:
    """Put a file into the server's folder, which it alone may read."""
    path = server.data / name
    path.write_bytes(content)
    path.chmod(0o600)
    if server.run_as is not None:
        os.chown(path, server.run_as, server.run_as)


def address(server: Server, host: str = HOST, options: str = "", **settings: Any) -> PostgresTarget:
    """What the program makes of an address."""
    url = f"postgresql://postgres@{host}:{server.port}/postgres?{options}"
    found = resolve_postgres(PostgresSettings(**settings), {"ACODE_POSTGRES_URL": url})
    assert isinstance(found, PostgresTarget)
    return found


async def encrypted(target: PostgresTarget) -> bool:
    connection = await PostgresConnectionFactory(target).connect()
    try:
        return bool(await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
    finally:
        await connection.close()


async def fault_of(target: PostgresTarget) -> Fault:
    """The fault of a connection attempt: one of TLS, which is probed. The pool says the same."""
    with pytest.raises(PostgresFault) as raised:
        await PostgresConnectionFactory(target).connect()
    fault = raised.value.fault
    assert (fault.kind, classify(fault)) == (FaultKind.TLS, Verdict.UNTRUSTED)
    pool = PostgresConnectionFactory(target).read_pool()
    with pytest.raises(AcodeError) as refused:
        async with pool.connection():
            raise AssertionError("the connection was accepted")
    assert (refused.value.message, refused.value.hint) == (fault.sentence, fault.hint)
    await pool.close()
    return fault


async def test_a_certificate_is_verified_by_default(server: Server, tmp_path: Path) -> None:
    with_root = address(server, options=f"sslrootcert={tmp_path / 'ca.pem'}")
    assert with_root.sslmode == "verify-full"
    assert await encrypted(with_root)
    fault = await fault_of(address(server))
    assert fault.sentence == (
        f"the certificate of {HOST}:{server.port}/postgres comes from an authority that is not trusted here"
    )
    assert "sslrootcert=FILE" in fault.hint


@pytest.mark.parametrize("options", ["", "sslrootcert=system"])
async def test_the_systems_roots(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert await encrypted(address(server, options=options))


async def test_the_root_in_libpqs_folder(server: Server, authority: trustme.CA, tmp_path: Path) -> None:
    folder = tmp_path / "home" / ".postgresql"
    folder.mkdir()
    authority.cert_pem.write_to_path(folder / "root.crt")
    assert await encrypted(address(server))
    trustme.CA().cert_pem.write_to_path(folder / "root.crt")
    await fault_of(address(server))
    # With a root, require verifies the authority, as libpq does.
    await fault_of(address(server, options="sslmode=require"))


async def test_what_is_wrong_with_a_certificate(server: Server, authority: trustme.CA, tmp_path: Path) -> None:
    trusted = f"sslrootcert={tmp_path / 'ca.pem'}"
    for certificate, says in (
        (authority.issue_cert(HOST, not_before=NOW - 9 * DAY, not_after=NOW - 2 * DAY), "has expired"),
        (authority.issue_cert(HOST, not_before=NOW + 2 * DAY, not_after=NOW + 9 * DAY), "is not valid yet"),
        (authority.issue_cert("other.example"), "is for another host"),
        (trustme.CA().issue_cert(HOST), "comes from an authority that is not trusted here"),
        (trustme.CA(), "is self-signed and not trusted here"),
    ):
        present(server, certificate)
        fault = await fault_of(address(server, options=trusted))
        assert fault.sentence == f"the certificate of {HOST}:{server.port}/postgres {says}"
        assert fault.hint
    present(server, authority.issue_cert(HOST))
    by_address = await fault_of(address(server, host="127.0.0.1", options=f"{trusted}&sslmode=verify-full"))
    assert "is for another address" in by_address.sentence


@pytest.mark.parametrize("mode", ["prefer", "require", "verify-ca", "verify-full"])
async def test_each_mode_is_encrypted(server: Server, tmp_path: Path, mode: str) -> None:
    root = f"&sslrootcert={tmp_path / 'ca.pem'}" if mode.startswith("verify") else ""
    assert await encrypted(address(server, host="localhost", options=f"sslmode={mode}{root}"))


async def test_a_weaker_mode_only_if_it_is_named(server: Server, authority: trustme.CA, tmp_path: Path) -> None:
    present(server, authority.issue_cert("other.example"))
    assert await encrypted(address(server, options="sslmode=require"))
    assert await encrypted(address(server, options=f"sslmode=verify-ca&sslrootcert={tmp_path / 'ca.pem'}"))
    assert await encrypted(address(server, sslmode="require"))
    # Loopback needs none, and takes what there is.
    assert await encrypted(address(server, host="localhost"))
    await fault_of(address(server))


async def test_libpqs_variables_change_nothing(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("PGSSLMODE", "disable"),
        ("PGSSLROOTCERT", str(tmp_path / "ca.pem")),
        ("PGSSLCERT", "/none"),
        ("PGSSLKEY", "/none"),
        ("PGSSLCRL", "/none"),
        ("PGSSLMINPROTOCOLVERSION", "nonsense"),
    ):
        monkeypatch.setenv(name, value)
    await fault_of(address(server))
    assert await encrypted(address(server, options=f"sslrootcert={tmp_path / 'ca.pem'}"))


async def test_a_certificate_of_ones_own(server: Server, authority: trustme.CA, tmp_path: Path) -> None:
    (server.data / "pg_hba.conf").write_text("hostssl all all all cert\n")
    server.restart("fast")
    own = authority.issue_cert(common_name="postgres")
    own.private_key_pem.write_to_path(tmp_path / "own.key")
    own.cert_chain_pems[0].write_to_path(tmp_path / "own.crt")
    trusted = f"sslrootcert={tmp_path / 'ca.pem'}"
    assert await encrypted(
        address(server, options=f"{trusted}&sslcert={tmp_path / 'own.crt'}&sslkey={tmp_path / 'own.key'}")
    )
    for missing in ("sslcert", "sslrootcert"):
        fault = await fault_of(address(server, options=f"{trusted}&{missing}={tmp_path / 'none'}"))
        assert fault.sentence == f"{tmp_path / 'none'} ({missing}) does not exist"
    (tmp_path / "none").write_text("nothing")
    assert "cannot be used" in (await fault_of(address(server, options=f"sslrootcert={tmp_path / 'none'}"))).sentence


async def test_no_encryption_where_the_server_requires_it(server: Server) -> None:
    with pytest.raises(PostgresFault) as raised:
        await PostgresConnectionFactory(address(server, options="sslmode=disable")).connect()
    assert classify(raised.value.fault) is Verdict.AUTH_FAILED


async def test_a_server_without_tls(pg_server: Server) -> None:
    fault = await fault_of(address(pg_server))
    assert fault.sentence == f"{HOST}:{pg_server.port}/postgres offers no TLS, which sslmode=verify-full requires"
    assert "weaker sslmode" in fault.hint
    assert not await encrypted(address(pg_server, options="sslmode=prefer"))
