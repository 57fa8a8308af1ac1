"""Parses a connection string: a ``postgresql://`` URL or key=value pairs, as libpq takes them.

What it asks for is honoured or refused by name, never left out in silence. Nothing that is raised quotes a value.
"""

import re
from urllib.parse import unquote

_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PAIR = re.compile(r"\s*([A-Za-z_]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?=\s|\Z)", re.DOTALL)
_PLAIN_NAME = re.compile(r"[a-z][a-z_]{1,40}\Z")

SUPPORTED = frozenset(
    {"host", "hostaddr", "port", "dbname", "database", "user", "username", "password"}
    | {"sslmode", "ssl", "sslrootcert", "sslcert", "sslkey", "application_name", "fallback_application_name"}
)

_HARMLESS: dict[str, tuple[str, ...]] = {
    "channel_binding": ("disable",),
    "client_encoding": ("auto", "utf8", "utf-8", "unicode"),
    "gssencmode": ("disable",),
    "load_balance_hosts": ("disable",),
    "pgbouncer": ("true", "false"),
    "sslcompression": ("0",),
    "sslnegotiation": ("postgres",),
    "target_session_attrs": ("any",),
}
"""Options that name one of these values ask for what happens anyway. ``pgbouncer`` is not libpq's: a connection behind
a pooler is noticed."""

_INSTEAD = {
    "channel_binding": "the driver cannot bind the login to the TLS channel: leave it out and use sslmode=verify-full, "
    "which proves whom the password is sent to",
    "gssencmode": "the driver has no GSSAPI encryption: leave it out and use sslmode",
    "connect_timeout": "leave it out and set persistence.postgres.connect_timeout_seconds",
    "options": "leave it out; settings of a login are made with ALTER ROLE ... SET",
    "service": "leave it out and write the address itself",
    "servicefile": "leave it out and write the address itself",
    "passfile": "leave it out and set the variable PGPASSFILE",
    "target_session_attrs": "leave it out and address the primary",
}
_LIBPQ = frozenset(
    {"channel_binding", "client_encoding", "connect_timeout", "gssdelegation", "gssencmode", "gsslib", "keepalives"}
    | {"keepalives_count", "keepalives_idle", "keepalives_interval", "krbsrvname", "load_balance_hosts"}
    | {"max_protocol_version", "min_protocol_version", "oauth_client_id", "oauth_client_secret", "oauth_issuer"}
    | {"oauth_scope", "options", "passfile", "replication", "require_auth", "requirepeer", "requiressl"}
    | {"scram_client_key", "scram_server_key", "service", "servicefile", "ssl_max_protocol_version"}
    | {"ssl_min_protocol_version", "sslcertmode", "sslcompression", "sslcrl", "sslcrldir", "sslkeylogfile"}
    | {"sslnegotiation", "sslpassword", "sslsni", "target_session_attrs", "tcp_user_timeout"}
)


class MalformedAddress(Exception):
    """What is wrong with an address, without any value of it; ``hint`` where more helps than the usual form."""

    def __init__(self, problem: str, hint: str | None = None) -> None:
        super().__init__(problem)
        self.hint = hint


def parse_connection_string(text: str) -> dict[str, str]:
    """The parts that are not empty, by name: host, port, database, user, password, sslmode and others.

    Raises MalformedAddress, also for an option that cannot be honoured.
    """
    if not text:
        raise MalformedAddress("is empty")
    if any(ord(char) < 0x20 or char == "\x7f" for char in text):
        raise MalformedAddress("contains a control character")
    scheme, separator, rest = text.partition("://")
    if separator and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        if scheme.lower() not in ("postgres", "postgresql"):
            raise MalformedAddress("is not a postgresql:// URL")
        parts = _parse_url(rest)
    elif "=" in text:
        parts = _parse_pairs(text)
    else:
        raise MalformedAddress("is neither a postgresql:// URL nor a key=value string")
    parts = {name: value for name, value in parts.items() if value}
    if "hostaddr" in parts and "host" in parts:
        raise MalformedAddress(
            "has hostaddr beside host, which is not supported", hint="give the host alone, as its certificate names it"
        )
    parts = {_canonical(name): value for name, value in parts.items() if name in SUPPORTED}
    fallback = parts.pop("fallback_application_name", None)
    if fallback is not None:
        parts.setdefault("application_name", fallback)
    return parts


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
        raise MalformedAddress("has an @, / or ? in its user or password that is not percent-encoded")
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
            raise MalformedAddress("has a query parameter without a value")
        parts[name] = _decode(value)
        # An @ may be that of a password whose ? was not percent-encoded: then the name is a part of the password.
        _require_honoured(name, parts[name], is_option="@" not in query)
    return parts


def _split_address(address: str) -> tuple[str, str]:
    if "," in address:
        raise MalformedAddress("names several hosts; one is supported")
    if address.startswith("["):
        host, bracket, port = address[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise MalformedAddress("has an unfinished [address]")
        return host, port[1:]
    host, _, port = address.partition(":")
    return host, port


def _decode(text: str) -> str:
    if _BAD_PERCENT.search(text):
        raise MalformedAddress("has a % that is not followed by two hex digits; write a % itself as %25")
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise MalformedAddress("has percent-encoded bytes that are not UTF-8") from None
    if "\x00" in decoded:
        raise MalformedAddress("contains a NUL")
    return decoded


def _parse_pairs(text: str) -> dict[str, str]:
    parts = {}
    position = 0
    while position < len(text):
        found = _PAIR.match(text, position)
        if found is None:
            raise MalformedAddress("is not a well-formed key=value string")
        name, value = found.group(1).lower(), found.group(2)
        if value.startswith("'"):
            value = value[1:-1]
        parts[name] = re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
        # A password with a blank that is not quoted goes on as if it were an option.
        _require_honoured(name, parts[name], is_option=False)
        position = found.end()
    return parts


def _require_honoured(name: str, value: str, *, is_option: bool) -> None:
    """Refuse an option that cannot be honoured. ``is_option``: the name is no part of a password, and may be shown."""
    if name in SUPPORTED or not value or value.lower() in _HARMLESS.get(name, ()):
        return
    if name in _LIBPQ:
        raise MalformedAddress(
            f"has the option {name}, which is not supported" + (" with this value" if name in _HARMLESS else ""),
            hint=_INSTEAD.get(name, f"leave {name} out"),
        )
    shown = f"the unknown option {name}" if is_option and _PLAIN_NAME.match(name) else "an unknown option"
    raise MalformedAddress(f"has {shown}", hint=f"known options are {', '.join(sorted(SUPPORTED))}")
