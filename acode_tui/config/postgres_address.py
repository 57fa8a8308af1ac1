"""Resolves settings and environment to the address of PostgreSQL, or to the reason why there is none.

The variable that ``connection_string_env`` names contains a URL (``postgresql://user:password@host:port/database?
sslmode=...``) or a key=value string. Otherwise the settings ``host``, ``port``, ``database`` and ``username`` are used,
with the password from the variable that ``password_env`` names. Reasons never quote the content of a variable.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import msgspec

from acode_tui.config.settings import PostgresSettings, Settings, SslMode
from acode_tui.config.workspace_root import os_user
from acode_tui.domain.secrets.known import Secret, display_address

SOCKET_DIRECTORIES = ("/run/postgresql", "/var/run/postgresql", "/tmp")  # noqa: S108
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PAIR = re.compile(r"\s*([A-Za-z_]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?=\s|\Z)", re.DOTALL)
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SUPPORTED = frozenset(
    {"host", "hostaddr", "port", "dbname", "database", "user", "username", "password"}
    | {"sslmode", "ssl", "sslrootcert", "sslcert", "sslkey", "application_name"}
)
_IGNORED = frozenset(
    {"channel_binding", "client_encoding", "connect_timeout", "fallback_application_name", "gssencmode"}
    | {"keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "pgbouncer"}
    | {"target_session_attrs", "tcp_user_timeout"}
)


class Misconfigured(msgspec.Struct, frozen=True, kw_only=True):
    """Why the settings give no address, and what to do. Contains no secret."""

    reason: str
    hint: str


class PostgresTarget(msgspec.Struct, frozen=True, kw_only=True):
    """The address of PostgreSQL. ``host`` is a name, an IP address or a socket directory; ``sslmode`` is resolved."""

    host: str
    port: int
    database: str
    user: str
    password: Secret | None
    sslmode: SslMode
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None
    application_name: str | None = None

    @property
    def display(self) -> str:
        """``host:port/database``, the only form that is shown or logged."""
        return display_address(self.host, self.port, self.database)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The secrets that ``domain.secrets.known.redact`` must remove from text about this target."""
        return (self.password,) if self.password else ()


def not_enabled(settings: Settings) -> Misconfigured:
    """Why PostgreSQL is off: nothing enables it, or a file does that is not trusted."""
    if any(name.startswith("persistence.postgres.") for name in settings.withheld):
        return Misconfigured(
            reason="the workspace's file asks for PostgreSQL and is not trusted",
            hint="see what it asks for with `acode-tui trust --show`, then approve it with `acode-tui trust`",
        )
    return Misconfigured(
        reason="PostgreSQL is not enabled",
        hint="enable it with `acode-tui config set persistence.postgres.enabled true`",
    )


class _Malformed(Exception):
    """What is wrong with an address, without quoting any part of it."""


def resolve_postgres(
    settings: PostgresSettings, environ: Mapping[str, str] = os.environ
) -> PostgresTarget | Misconfigured:
    """The address of these settings, enabled or not, or the reason why there is none."""
    variable = settings.connection_string_env
    if holds_address(settings, environ):
        try:
            return _target(_parse(environ[variable].strip()), settings)
        except _Malformed as problem:
            return Misconfigured(
                reason=f"{variable} {problem}",
                hint=f"set {variable} to postgresql://user:password@host:port/database, "
                "with reserved characters percent-encoded",
            )
    if settings.host is None:
        return Misconfigured(
            reason=f"{variable} is not set",
            hint=f"set {variable}, or persistence.postgres.host, database, username and password_env",
        )
    return _from_components(settings, environ)


def holds_address(settings: PostgresSettings, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the address, valid or not, comes from the variable and not from ``host`` and the settings with it."""
    text = environ.get(settings.connection_string_env)
    return text is not None and (bool(text.strip()) or settings.host is None)


def _from_components(settings: PostgresSettings, environ: Mapping[str, str]) -> PostgresTarget | Misconfigured:
    parts = {"host": settings.host or "", "port": str(settings.port)}
    if settings.database is None:
        return Misconfigured(
            reason="persistence.postgres.database is not set",
            hint="run `acode-tui config set persistence.postgres.database NAME`",
        )
    parts["database"] = settings.database
    if settings.username is not None:
        parts["user"] = settings.username
    if settings.password_env is not None:
        password = environ.get(settings.password_env)
        if not password:
            return Misconfigured(
                reason=f"{settings.password_env} (persistence.postgres.password_env) is not set",
                hint=f"set {settings.password_env} to the password in the environment that acode-tui runs in",
            )
        parts["password"] = password
    try:
        return _target(parts, settings)
    except _Malformed as problem:
        return Misconfigured(reason=f"persistence.postgres {problem}", hint="see `acode-tui config show`")


def _parse(text: str) -> dict[str, str]:
    if not text:
        raise _Malformed("is empty")
    if any(ord(char) < 0x20 or char == "\x7f" for char in text):
        raise _Malformed("contains a control character")
    scheme, separator, rest = text.partition("://")
    if separator and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        if scheme.lower() not in ("postgres", "postgresql"):
            raise _Malformed("is not a postgresql:// URL")
        parts = _parse_url(rest)
    elif "=" in text:
        parts = _parse_pairs(text)
    else:
        raise _Malformed("is neither a postgresql:// URL nor a key=value string")
    return {_canonical(name): value for name, value in parts.items() if value}


def _canonical(name: str) -> str:
    return {"dbname": "database", "username": "user", "hostaddr": "host", "ssl": "sslmode"}.get(name, name)


def _parse_url(rest: str) -> dict[str, str]:
    rest = rest.partition("#")[0] if "@" not in rest.partition("#")[2] else rest
    cut = re.search(r"[/?]", rest)
    credentials_end = rest.rfind("@", 0, cut.start() if cut else len(rest))
    credentials, rest = (rest[:credentials_end], rest[credentials_end + 1 :]) if credentials_end >= 0 else ("", rest)
    before_query, _, query = rest.partition("?")
    address, _, database = before_query.partition("/")
    if "@" in before_query:
        raise _Malformed("has an @, / or ? in its user or password that is not percent-encoded")
    user, _, password = credentials.partition(":")
    host, port = _split_address(address)
    parts = {
        "host": _decode(host),
        "port": port,
        "database": _decode(database),
        "user": _decode(user),
        "password": _decode(password),
    }
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        name = _decode(name)
        if not equals:
            raise _Malformed("has a query parameter without a value")
        _require_known(name)
        parts[name] = _decode(value)
    return parts


def _split_address(address: str) -> tuple[str, str]:
    if "," in address:
        raise _Malformed("names several hosts; one is supported")
    if address.startswith("["):
        host, bracket, port = address[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise _Malformed("has an unfinished [address]")
        return host, port[1:]
    host, _, port = address.partition(":")
    return host, port


def _decode(text: str) -> str:
    if _BAD_PERCENT.search(text):
        raise _Malformed("has a % that is not followed by two hex digits; write a % itself as %25")
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _Malformed("has percent-encoded bytes that are not UTF-8") from None
    if "\x00" in decoded:
        raise _Malformed("contains a NUL")
    return decoded


def _parse_pairs(text: str) -> dict[str, str]:
    parts = {}
    position = 0
    while position < len(text):
        found = _PAIR.match(text, position)
        if found is None:
            raise _Malformed("is not a well-formed key=value string")
        name, value = found.group(1).lower(), found.group(2)
        _require_known(name)
        if value.startswith("'"):
            value = value[1:-1]
        parts[name] = re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
        position = found.end()
    return parts


def _require_known(name: str) -> None:
    if name in _SUPPORTED or name in _IGNORED:
        return
    raise _Malformed("has a parameter that is not supported; known ones are " + ", ".join(sorted(_SUPPORTED)))


def _target(parts: Mapping[str, str], settings: PostgresSettings) -> PostgresTarget:
    port = _port(parts.get("port") or "5432")
    host = parts.get("host") or _local_host(port)
    if not host.startswith("/") and not re.fullmatch(r"[^\s@/\\,'\"<>]+", host):
        raise _Malformed("has a host that is not a name or an address")
    user = parts.get("user") or os_user()
    mode = parts.get("sslmode") or settings.sslmode or ("prefer" if is_local(host) else "require")
    if mode not in _SSL_MODES:
        raise _Malformed("has an unknown sslmode; known ones are " + ", ".join(_SSL_MODES))
    return PostgresTarget(
        host=host,
        port=port,
        database=parts.get("database") or user,
        user=user,
        password=Secret(parts["password"]) if parts.get("password") else None,
        sslmode=msgspec.convert(mode, type=SslMode),
        sslrootcert=parts.get("sslrootcert"),
        sslcert=parts.get("sslcert"),
        sslkey=parts.get("sslkey"),
        application_name=parts.get("application_name"),
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise _Malformed(
            "has a port that is not a number from 1 to 65535 (or an @, :, / or ? that is not percent-encoded)"
        )
    return int(text)


def _local_host(port: int) -> str:
    """The host that libpq uses if none is given: the first socket that exists, else loopback."""
    for folder in SOCKET_DIRECTORIES:
        if (Path(folder) / f".s.PGSQL.{port}").exists():
            return folder
    return "localhost"


def is_local(host: str) -> bool:
    """Whether a host is a socket directory or loopback, where TLS is not required by default."""
    if host.startswith("/") or host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
