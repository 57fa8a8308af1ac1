"""The exceptions of this program. Each has a stable code, a message, a hint and whether a retry may succeed.

Messages never contain a secret or a stored value; a caller that quotes an address passes it through
``domain.secrets.known.redact`` first.
"""

from typing import ClassVar


class AcodeError(Exception):
    """Base class of the errors that this program raises on purpose.

    ``code`` is stable and documented; ``hint`` says what to do next; ``retryable`` says whether the same call may
    succeed later although nothing was changed.
    """

    code: ClassVar[str] = "ACODE-000"
    default_hint: ClassVar[str] = ""
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint

    def __str__(self) -> str:
        tail = f"; {self.hint}" if self.hint else ""
        return f"{self.code}: {self.message}{tail}"


class DatabaseConnectionError(AcodeError):
    """A database cannot be opened or reached."""

    code = "ACODE-DB-001"
    default_hint = "check that the path or address exists and that you have permission to use it"
    retryable = True


class TransactionError(AcodeError):
    """A transaction did not commit: lock wait or time limit exceeded, disk full, or an I/O error."""

    code = "ACODE-DB-002"
    default_hint = "nothing was written; try again"
    retryable = True


class DiskFullError(TransactionError):
    """The disk is full. The write was rolled back; writes succeed again once there is space."""

    default_hint = "free some space and try again; nothing was written"


class MigrationError(AcodeError):
    """A migration failed and was rolled back."""

    code = "ACODE-DB-003"
    default_hint = "the database is unchanged by this migration; see `acode-tui db migrate status`"


class SchemaMismatchError(AcodeError):
    """The database has a schema that this program cannot use."""

    code = "ACODE-DB-004"
    default_hint = "upgrade acode-tui; the database was not changed"


class SyncError(AcodeError):
    """The outbox could not be drained."""

    code = "ACODE-DB-005"
    default_hint = "local work continues; see `acode-tui db sync status`"
    retryable = True


class ConflictError(AcodeError):
    """A conflict cannot be resolved as requested."""

    code = "ACODE-DB-006"
    default_hint = "see `acode-tui db conflicts list`"


class IntegrityError(AcodeError):
    """Stored data is damaged or does not match its hash."""

    code = "ACODE-DB-007"
    default_hint = "do not change the file; `acode-tui db check` shows details"


class SearchUnavailableError(AcodeError):
    """This machine's SQLite lacks what search needs; everything else works, and nothing is lost."""

    code = "ACODE-SEARCH-001"
    default_hint = (
        "everything else works; to search, use a Python whose SQLite has FTS5, such as `uv python install` gets"
    )


class RecoveryError(AcodeError):
    """A workspace cannot be recovered as requested; nothing was changed."""

    code = "ACODE-RECOVER-001"
    default_hint = "nothing was changed; see `acode-tui db recover --help`"


class TransitionError(AcodeError):
    """The transition rules do not allow this state change; nothing was changed."""

    code = "ACODE-SESSION-001"


class ValidationError(AcodeError, ValueError):
    """An argument has a value that is not allowed. ``field`` names the argument."""

    code = "ACODE-VALIDATION-001"

    def __init__(self, field: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(f"{field}: {message}", hint=hint)
        self.field = field


class NotFoundError(AcodeError, LookupError):
    """No row has this id."""

    code = "ACODE-NOTFOUND-001"
    default_hint = "`acode-tui session list` shows the sessions"


class AmbiguousIdError(AcodeError, LookupError):
    """More than one row has an id with this prefix."""

    code = "ACODE-NOTFOUND-002"
    default_hint = "give more characters of the id"


class ConfigError(AcodeError, ValueError):
    """A setting is unknown, has the wrong type or is out of range."""

    code = "ACODE-CONFIG-001"
    default_hint = "see `acode-tui config show`"


class IngestError(AcodeError):
    """A transcript cannot be read at all. Single bad lines are counted instead, without an error."""

    code = "ACODE-INGEST-001"
    default_hint = "check the path and `--format`"


class ExportError(AcodeError):
    """An export cannot be written to its destination, or cannot be read."""

    code = "ACODE-EXPORT-001"
    default_hint = "see `acode-tui db export --help`"


class FileError(AcodeError):
    """A file cannot be written or read at the requested path."""

    code = "ACODE-IO-001"
    default_hint = "check the path, its permissions and the free space"
