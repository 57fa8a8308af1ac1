"""The one error tree. Every foreseeable fault carries a code, what happened, what to do, and whether it heals.

Messages never contain a secret or a stored value; callers that quote an address pass it through
``domain.redaction`` first.
"""

from typing import ClassVar


class AcodeError(Exception):
    """Base of every fault this program foresees.

    ``code`` is stable and documented; ``hint`` is a sentence that tells the reader what to do next;
    ``retryable`` says whether the same call may succeed later without anybody changing anything.
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
    default_hint = "check that the path or address exists and that you may use it"
    retryable = True


class TransactionError(AcodeError):
    """A transaction did not commit: lock wait or time limit exceeded, disk full, or an I/O error."""

    code = "ACODE-DB-002"
    default_hint = "nothing was written; try again"
    retryable = True


class DiskFullError(TransactionError):
    """There was no room for a write. Nothing of it is left; the next one after there is room goes through."""

    default_hint = "free some space and try again; nothing was written"


class MigrationError(AcodeError):
    """A migration failed and was rolled back."""

    code = "ACODE-DB-003"
    default_hint = "the database is as it was before this migration; see `acode-tui db migrate status`"


class SchemaMismatchError(AcodeError):
    """The database's schema is not one this program can work with."""

    code = "ACODE-DB-004"
    default_hint = "upgrade acode-tui; the database was left untouched"


class SyncError(AcodeError):
    """The outbox could not be drained."""

    code = "ACODE-DB-005"
    default_hint = "local work goes on; see `acode-tui db sync status`"
    retryable = True


class ConflictError(AcodeError):
    """A conflict cannot be settled as asked."""

    code = "ACODE-DB-006"
    default_hint = "see `acode-tui db conflicts list`"


class IntegrityError(AcodeError):
    """Stored data is damaged or does not match its hash."""

    code = "ACODE-DB-007"
    default_hint = "keep the file as it is; `acode-tui db check` may say more"


class RecoveryError(AcodeError):
    """A workspace cannot be recovered as asked; nothing was changed."""

    code = "ACODE-RECOVER-001"
    default_hint = "nothing was changed; see `acode-tui db recover --help`"


class TransitionError(AcodeError):
    """A state change that the rules refuse; nothing was changed."""

    code = "ACODE-SESSION-001"


class ValidationError(AcodeError, ValueError):
    """An argument outside what is allowed. ``field`` names it."""

    code = "ACODE-VALIDATION-001"

    def __init__(self, field: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(f"{field}: {message}", hint=hint)
        self.field = field


class NotFoundError(AcodeError, LookupError):
    """No row has that id."""

    code = "ACODE-NOTFOUND-001"
    default_hint = "list what there is with `acode-tui session list`"


class AmbiguousIdError(AcodeError, LookupError):
    """An id prefix fits more than one row."""

    code = "ACODE-NOTFOUND-002"
    default_hint = "give more characters of the id"


class ConfigError(AcodeError, ValueError):
    """A setting that is unknown, of the wrong type or out of range."""

    code = "ACODE-CONFIG-001"
    default_hint = "see `acode-tui config show`"


class IngestError(AcodeError):
    """A transcript cannot be read at all (single bad lines are counted, not raised)."""

    code = "ACODE-INGEST-001"
    default_hint = "check the path and `--format`"


class ExportError(AcodeError):
    """An export cannot be written where it was to go, or cannot be read back."""

    code = "ACODE-EXPORT-001"
    default_hint = "see `acode-tui db export --help`"


class FileError(AcodeError):
    """A file cannot be written, or read, where somebody wants it."""

    code = "ACODE-IO-001"
    default_hint = "check the path, its permissions and the free space"
