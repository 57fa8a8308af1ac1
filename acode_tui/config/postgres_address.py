"""Resolves settings and environment to the address of PostgreSQL, or to the reason why there is none.

The variable that ``connection_string_env`` names contains a URL (``postgresql://user:password@host:port/database?
sslmode=...``) or a key=value string. Otherwise the settings ``host``, ``port``, ``database`` and ``username`` are used,
with the password from the variable that ``password_env`` names. Where neither has a password, the target says where to
look for it when a connection is made. Reasons never quote the content of a variable.
"""

import ipaddress
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import msgspec

from acode_tui.config.connection_string import MalformedAddress, parse_connection_string
from acode_tui.config.settings import PostgresSettings, Settings, SslMode
from acode_tui.config.workspace_root import os_user
from acode_tui.domain.secrets.known import Secret, display_address

SOCKET_DIRECTORIES = ("/run/postgresql", "/var/run/postgresql", "/tmp")  # noqa: S108
SYSTEM_ROOTS = "system"
"""A value of ``sslrootcert``: the authorities that the system trusts, as in libpq."""
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


class Misconfigured(msgspec.Struct, frozen=True, kw_only=True):
    """Why the settings give no address, and what to do. Contains no secret."""

    reason: str
    hint: str


class PostgresTarget(msgspec.Struct, frozen=True, kw_only=True):
    """The address of PostgreSQL. ``host`` is a name, an IP address or a socket directory; ``sslmode`` is resolved.

    Without a ``password``, ``password_command`` prints it, else the file ``passfile`` may have it; it need not exist.
    """

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
    password_command: Secret | None = None
    passfile: str | None = None

    @property
    def display(self) -> str:
        """``host:port/database``, the only form that is shown or logged."""
        return display_address(self.host, self.port, self.database)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The secrets that ``domain.secrets.known.redact`` must remove from text about this target."""
        return (self.password,) if self.password else ()


_UNSPLIT_COMMAND = Misconfigured(
    reason="persistence.postgres.password_command is not a program with arguments",
    hint="close its quotes; it is split as by a shell",
)


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


def resolve_postgres(
    settings: PostgresSettings, environ: Mapping[str, str] = os.environ
) -> PostgresTarget | Misconfigured:
    """The address of these settings, enabled or not, or the reason why there is none."""
    if settings.password_command and not _can_be_split(settings.password_command):
        return _UNSPLIT_COMMAND
    variable = settings.connection_string_env
    if holds_address(settings, environ):
        try:
            return _target(parse_connection_string(environ[variable].strip()), settings, environ)
        except MalformedAddress as problem:
            return Misconfigured(
                reason=f"{variable} {problem}",
                hint=problem.hint
                or f"set {variable} to postgresql://user:password@host:port/database, "
                "with reserved characters percent-encoded",
            )
    if settings.host is None:
        return Misconfigured(
            reason=f"{variable} is not set",
            hint=f"set {variable}, or persistence.postgres.host, database, username and password_env",
        )
    return _from_components(settings, environ)


def resolve_reads(
    settings: PostgresSettings, primary: PostgresTarget, environ: Mapping[str, str] = os.environ
) -> PostgresTarget | Misconfigured:
    """Where the team's runs are read: the ``read_url``, else the primary.

    What the URL leaves out is the primary's; its password only for the same user. The TLS policy is that of the URL,
    the settings or the host that it names.
    """
    if settings.read_url is None:
        return primary
    try:
        parts = parse_connection_string(settings.read_url)
        if "host" not in parts:
            raise MalformedAddress("names no host")
        given = {"user": primary.user, "database": primary.database}
        given |= {name: getattr(primary, name) or "" for name in ("sslrootcert", "sslcert", "sslkey")}
        if primary.password is not None and parts.get("user", primary.user) == primary.user:
            given["password"] = primary.password.reveal()
        return _target({**given, **parts}, settings, environ)
    except MalformedAddress as problem:
        return Misconfigured(
            reason=f"persistence.postgres.read_url {problem}",
            hint=problem.hint or "give it as postgresql://host:port/database",
        )


def is_postgres_url(text: object) -> bool:
    """Whether a text names a database of PostgreSQL, and no folder."""
    return isinstance(text, str) and text.lower().startswith(("postgresql://", "postgres://"))


def resolve_url(
    url: str, settings: PostgresSettings, environ: Mapping[str, str] = os.environ
) -> PostgresTarget | Misconfigured:
    """The address of a URL. A password that is not in it comes from where the settings say."""
    if settings.password_command and not _can_be_split(settings.password_command):
        return _UNSPLIT_COMMAND
    try:
        parts = parse_connection_string(url.strip())
        if "password" not in parts and settings.password_env is not None:
            parts["password"] = environ.get(settings.password_env, "")
        return _target(parts, settings, environ)
    except MalformedAddress as problem:
        return Misconfigured(
            reason=f"the address of the database {problem}",
            hint=problem.hint or "write postgresql://user@host:port/database, with reserved characters percent-encoded",
        )


def _can_be_split(command: str) -> bool:
    try:
        return bool(shlex.split(command))
    except ValueError:
        return False


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
        return _target(parts, settings, environ)
    except MalformedAddress as problem:
        return Misconfigured(reason=f"persistence.postgres {problem}", hint="see `acode-tui config show`")


def _target(parts: Mapping[str, str], settings: PostgresSettings, environ: Mapping[str, str]) -> PostgresTarget:
    port = _port(parts.get("port") or "5432")
    host = parts.get("host") or _local_host(port)
    if not host.startswith("/") and not re.fullmatch(r"[^\s@/\\,'\"<>]+", host):
        raise MalformedAddress("has a host that is not a name or an address")
    user = parts.get("user") or os_user()
    by_default = "verify-full" if parts.get("sslrootcert") == SYSTEM_ROOTS or not is_local(host) else "prefer"
    mode = parts.get("sslmode") or settings.sslmode or by_default
    if mode not in _SSL_MODES:
        raise MalformedAddress("has an unknown sslmode; known ones are " + ", ".join(_SSL_MODES))
    if parts.get("sslrootcert") == SYSTEM_ROOTS and mode != "verify-full":
        raise MalformedAddress(
            f"has sslrootcert={SYSTEM_ROOTS} with a weaker sslmode than verify-full",
            hint=f"leave sslmode out: with {SYSTEM_ROOTS} only verify-full proves anything",
        )
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
        password_command=Secret(settings.password_command) if settings.password_command else None,
        passfile=environ.get("PGPASSFILE") or os.path.expanduser("~/.pgpass"),
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise MalformedAddress(
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
