"""What went wrong with PostgreSQL, in this program's words: no driver type, no secret, no asyncpg."""

from enum import StrEnum

import msgspec

from acode_tui.domain.errors import SyncError


class FaultKind(StrEnum):
    """Where the failure lies. ``SERVER`` is the server's own report and carries its SQLSTATE."""

    SERVER = "server"
    ROW_SECURITY = "row_security"
    UNKNOWN_HOST = "unknown_host"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection_lost"
    TLS = "tls"
    PASSWORD_MISSING = "password_missing"  # noqa: S105
    ENCODING = "encoding"
    SCHEMA = "schema"
    SERVER_TOO_OLD = "server_too_old"
    REMOTE_BEHIND = "remote_behind"
    CONTENDED = "contended"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One failure: its kind, the server's SQLSTATE if it sent one, a sentence for people, and what to do."""

    kind: FaultKind
    sentence: str
    hint: str = ""
    sqlstate: str | None = None


class PostgresFault(SyncError):
    """Raised by everything that talks to PostgreSQL for the sync. Any open transaction was rolled back, or its
    outcome is unknown because the connection was lost: the ledger makes sending again harmless either way.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.sentence, hint=fault.hint or None)
        self.fault = fault
