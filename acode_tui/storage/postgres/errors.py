"""Translates errors of asyncpg and the operating system to a Fault or an AcodeError, with a sentence and a hint.

Texts are redacted and cut; the server's DETAIL is left out, for it quotes rows.
"""

import socket
import ssl

import asyncpg

from acode_tui.config.postgres_address import PostgresTarget
from acode_tui.domain.errors import (
    AcodeError,
    DatabaseConnectionError,
    MigrationError,
    NotFoundError,
    SchemaMismatchError,
)
from acode_tui.domain.secrets.known import redact
from acode_tui.logs import known_secrets
from acode_tui.storage.delivery_protocol import Fault, FaultKind, PostgresFault
from acode_tui.storage.postgres.provisioning import PROVISION_HINT
from acode_tui.storage.postgres.tls import TlsFileError, certificate_problem

DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    OverflowError,
    UnicodeError,
)
"""All errors that an operation of the driver may raise. TimeoutError and ssl.SSLError are OSErrors; the last two are
raised for values that cannot be encoded."""

MAX_SENTENCE = 500
"""Longest sentence, in characters. ``last_error`` stores it with the outbox record."""

_ROW_SECURITY_ROUTINE = "ExecWithCheckOptions"
"""Row security and a missing grant share SQLSTATE 42501. The server's routine distinguishes them in any language."""

_WAIT = "nothing to do: it is retried automatically"
_POOLER_IS_FULL = ("no more connections allowed", "too many clients already")
"""Of pgbouncer, which has one SQLSTATE (08P01) for all that it refuses, and one language; the second are the words of
an English server behind it."""

_FULL_HINT = (
    "nothing to do: one is waited for; the operator may raise max_connections, or put pgbouncer before the server"
)
_GRANT = "grant the role the privileges that `acode-tui db schema --dialect postgres` lists"

_SENTENCES: dict[str, tuple[str, str]] = {
    "28P01": ("the password for {user} was refused", "correct the password where it comes from, then sync again"),
    "28000": ("{user} may not log in to {where}", "check the role, the database and the server's pg_hba.conf"),
    "3D000": ("{where}: the database does not exist", "create the database, or correct its name in the address"),
    "3F000": ("the schema is missing in {where}", PROVISION_HINT),
    "42P01": ("a table is missing in {where}", PROVISION_HINT),
    "42703": ("a column is missing in {where}", PROVISION_HINT),
    "42501": ("{user} lacks a privilege in {where}", _GRANT),
    "25006": ("{where} is read-only, perhaps a standby", "point the address at the primary"),
    "53100": ("{where} has no disk space left", "free space on the server; " + _WAIT),
    "53200": ("{where} is out of memory", _WAIT),
    "53300": ("the server is full: {where} has no free connection", _FULL_HINT),
    "57P01": ("{where} is shutting down or ended the session", _WAIT),
    "57P02": ("{where} crashed and is restarting", _WAIT),
    "57P03": ("{where} is starting up or shutting down", _WAIT),
    "57014": (
        "{where} cancelled the statement: it took longer than the server's statement_timeout, or an operator ended it",
        "raise the role's statement_timeout; " + _WAIT,
    ),
    "40001": ("the transaction conflicted with another one", _WAIT),
    "40P01": ("the transaction conflicted with another one", _WAIT),
    "55P03": ("another transaction holds a lock", _WAIT),
}

_KINDS: dict[FaultKind, tuple[str, str]] = {
    FaultKind.UNKNOWN_HOST: ("the host of {where} is unknown", "check the host name and this machine's network"),
    FaultKind.REFUSED: ("{where} refuses connections", "check that PostgreSQL is running on that host"),
    FaultKind.UNREACHABLE: ("{where} cannot be reached", "check this machine's network"),
    FaultKind.TIMEOUT: ("{where} did not answer in time", _WAIT),
    FaultKind.CONNECTION_LOST: ("the connection to {where} was lost", _WAIT),
    FaultKind.TLS: ("no trusted TLS connection to {where}", "check sslmode and the certificates"),
    FaultKind.PASSWORD_MISSING: (
        "{where} requires a password for {user}",
        "put it into the environment or ~/.pgpass, or set persistence.postgres.password_command",
    ),
    FaultKind.ENCODING: ("a value cannot be sent to PostgreSQL", "discard the record, or correct the value"),
    FaultKind.ROW_SECURITY: (
        "{where} protects this run as another login's (row-level security), so {user} may not write to it",
        "discard the record, or sync with the login that owns the run's workspace",
    ),
}


def translate_to_fault(error: BaseException, target: PostgresTarget | None = None) -> Fault:
    """An exception as a Fault. Exceptions that have nothing to do with PostgreSQL are raised again."""
    if isinstance(error, PostgresFault):
        return error.fault
    if isinstance(error, (SchemaMismatchError, MigrationError)):
        return Fault(kind=FaultKind.SCHEMA, sentence=error.message, hint=error.hint)
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return Fault(kind=FaultKind.CONTENDED, sentence="the schema changed during the operation", hint=_WAIT)
    if isinstance(error, asyncpg.PostgresError) and not isinstance(error, asyncpg.PostgresConnectionError):
        return _server_fault(error, error.sqlstate or "XX000", target)
    if isinstance(error, asyncpg.PostgresConnectionError) and getattr(error, "severity", None):
        # Class 08, which poolers use for all that they refuse.
        words = str(error.args[0]) if error.args else f"SQLSTATE {error.sqlstate}"
        if words.startswith("connection to the remote node"):
            return _missing_node(words, target)
        return _server_fault(error, "53300", target) if is_full(error) else ended_by_server(words, target)
    kind = _kind_of(error)
    if kind is None:
        raise error
    if kind is FaultKind.TLS:
        return _tls_fault(error, target)
    sentence, hint = _KINDS[kind]
    if kind is FaultKind.ENCODING:
        # The driver's text is left out because it quotes the value.
        sentence = f"{sentence}: {type(error).__name__}"
    return Fault(kind=kind, sentence=_fill(sentence, target), hint=hint)


def is_full(error: BaseException) -> bool:
    """Whether a server or a pooler refused a login because it has no free connection."""
    return isinstance(error, asyncpg.TooManyConnectionsError) or (
        isinstance(error, asyncpg.PostgresConnectionError) and any(words in str(error) for words in _POOLER_IS_FULL)
    )


def ended_by_server(words: str, target: PostgresTarget | None) -> Fault:
    """The fault of a connection that the server, or a pooler before it, ended with words of its own."""
    where = target.display if target is not None else "PostgreSQL"
    sentence = f"{where} ended the connection: {words}"
    return Fault(kind=FaultKind.CONNECTION_LOST, sentence=_safe(sentence, target), hint=_WAIT)


def _missing_node(words: str, target: PostgresTarget | None) -> Fault:
    """The fault of a Citus coordinator that cannot reach a node; the connection to it stays."""
    where = target.display if target is not None else "PostgreSQL"
    sentence = f"{where} cannot reach one of its nodes: {words}"
    return Fault(kind=FaultKind.CONNECTION_LOST, sentence=_safe(sentence, target), hint=_WAIT)


def unusable_tls_file(error: TlsFileError) -> Fault:
    """The fault of a certificate or key on this machine."""
    return Fault(kind=FaultKind.TLS, sentence=_safe(str(error), None), hint="correct its path in the address")


def wrong_encoding(encoding: str, target: PostgresTarget) -> Fault:
    """The fault of a database that cannot hold every text."""
    return Fault(
        kind=FaultKind.SCHEMA,
        sentence=f"{target.display} has the encoding {encoding}, which cannot hold every text",
        hint="create another database, with ENCODING 'UTF8' TEMPLATE template0, and name it in the address",
    )


def pruned_run(session_id: str) -> Fault:
    """The fault of a write to a run that was removed from the team's database."""
    return Fault(
        kind=FaultKind.PRUNED,
        sentence=f"the run {session_id} was removed from the team's database because of its age: it is not stored",
        hint="give the run another id, or have the operator delete its row in pruned_sessions",
    )


def no_postgres(error: Exception, target: PostgresTarget) -> Fault:
    """The fault of an answer at a login that the driver cannot read: what answers may be no PostgreSQL."""
    return Fault(
        kind=FaultKind.UNREACHABLE,
        sentence=_safe(f"{target.display} does not answer as PostgreSQL does ({type(error).__name__})", target),
        hint="another program has this port, or a network that wants a login first answers; " + _WAIT,
    )


def missing_password(target: PostgresTarget, note: str) -> Fault:
    """The fault of a login without a password; ``note`` says why a password file was not used, if there is one."""
    sentence, hint = _KINDS[FaultKind.PASSWORD_MISSING]
    return Fault(kind=FaultKind.PASSWORD_MISSING, sentence=_fill(sentence, target), hint=note or hint)


def translate(error: BaseException, target: PostgresTarget | None = None) -> AcodeError:
    """An exception of a read or a connection attempt as the error that commands show."""
    if isinstance(error, AcodeError) and not isinstance(error, PostgresFault):
        return error
    fault = translate_to_fault(error, target)
    if fault.kind in (FaultKind.SCHEMA, FaultKind.SERVER_TOO_OLD) or (fault.sqlstate or "")[:2] in ("42", "3F"):
        return SchemaMismatchError(fault.sentence, hint=fault.hint)
    if fault.kind is FaultKind.PRUNED:
        return NotFoundError(fault.sentence, hint=fault.hint)
    return DatabaseConnectionError(fault.sentence, hint=fault.hint)


def foreign_workspace(workspace_id: str, owner: str | None, target: PostgresTarget) -> Fault:
    """The fault of a workspace that row-level security protects as another login's, or as nobody's."""
    of_whom = f"the login {owner}" if owner is not None else "no login"
    return Fault(
        kind=FaultKind.FOREIGN_WORKSPACE,
        sentence=_safe(f"in {target.display} this workspace belongs to {of_whom}, not to {target.user}", target),
        hint="log in as its owner, or ask an administrator to change workspaces.owner of "
        f"{workspace_id} in the team's database",
    )


def _server_fault(error: asyncpg.PostgresError, sqlstate: str, target: PostgresTarget | None) -> Fault:
    routine = getattr(error, "server_source_function", None)
    if sqlstate == "42501" and routine == _ROW_SECURITY_ROUTINE:
        sentence, hint = _KINDS[FaultKind.ROW_SECURITY]
        return Fault(kind=FaultKind.ROW_SECURITY, sqlstate=sqlstate, sentence=_fill(sentence, target), hint=hint)
    known = _SENTENCES.get(sqlstate)
    message = str(error.args[0]) if error.args else type(error).__name__
    if known is not None:
        sentence, hint = known
        sentence = _fill(sentence, target)
        if sqlstate == "42501":
            sentence = f"{sentence}: {message}"
    else:
        sentence, hint = f"PostgreSQL refused with SQLSTATE {sqlstate}: {message}", ""
    return Fault(kind=FaultKind.SERVER, sqlstate=sqlstate, sentence=_safe(sentence, target), hint=hint)


def _tls_fault(error: BaseException, target: PostgresTarget | None) -> Fault:
    sentence, hint = _KINDS[FaultKind.TLS]
    if isinstance(error, ssl.SSLCertVerificationError):
        problem, hint = certificate_problem(error)
        sentence = f"the certificate of {{where}} {problem}"
    elif isinstance(error, ConnectionError):
        mode = f"sslmode={target.sslmode}" if target is not None else "the address"
        sentence = f"{{where}} offers no TLS, which {mode} requires"
        hint = "have it switched on there, or name a weaker sslmode if you trust the network"
    elif reason := getattr(error, "reason", None):
        sentence = f"{sentence}: {str(reason).replace('_', ' ').lower()}"
    where = target.display if target is not None else "PostgreSQL"
    return Fault(kind=FaultKind.TLS, sentence=_safe(sentence.replace("{where}", where), target), hint=hint)


def _kind_of(error: BaseException) -> FaultKind | None:
    # The driver's own DataError is an InterfaceError and a ValueError: the value was never sent.
    if isinstance(error, (UnicodeError, OverflowError)) or (
        isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)
    ):
        return FaultKind.ENCODING
    if isinstance(error, asyncpg.PostgresConnectionError):
        return FaultKind.CONNECTION_LOST
    if isinstance(error, socket.gaierror):
        return FaultKind.UNKNOWN_HOST
    if isinstance(error, (ssl.SSLError, asyncpg.ClientConfigurationError)):
        return FaultKind.TLS
    if isinstance(error, TimeoutError):
        return FaultKind.TIMEOUT
    if isinstance(error, ConnectionRefusedError):
        return FaultKind.REFUSED
    if isinstance(error, ConnectionError):
        # asyncpg raises a bare ConnectionError if the server refuses TLS; for a dropped socket it is a subclass.
        return FaultKind.TLS if type(error) is ConnectionError and "SSL" in str(error) else FaultKind.CONNECTION_LOST
    if isinstance(error, asyncpg.InterfaceError):
        return FaultKind.PASSWORD_MISSING if "password" in str(error) else FaultKind.CONNECTION_LOST
    if isinstance(error, asyncpg.InternalClientError):
        return FaultKind.CONNECTION_LOST
    if isinstance(error, OSError):
        return FaultKind.REFUSED if isinstance(error, FileNotFoundError) else FaultKind.UNREACHABLE
    return None


def _fill(sentence: str, target: PostgresTarget | None) -> str:
    where = target.display if target is not None else "PostgreSQL"
    user = target.user if target is not None else "the role"
    return sentence.format(where=where, user=user)


def _safe(text: str, target: PostgresTarget | None) -> str:
    # A password that a command printed, or that a file has, is no part of the target.
    secrets = (*known_secrets(), *(target.secrets if target is not None else ()))
    return redact(text, secrets)[:MAX_SENTENCE]
