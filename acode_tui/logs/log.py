"""Loggers, the rotating log file, and the pipeline that formats and redacts every line."""

import fcntl
import functools
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acode_tui.domain.errors import ConfigError
from acode_tui.domain.secrets.known import Secret, redact
from acode_tui.files import PRIVATE_FILE, PRIVATE_FOLDER, make_private_folder, tighten
from acode_tui.plain_files import open_plain

if TYPE_CHECKING:
    from types import ModuleType

MAX_BYTES = 5 * 1024 * 1024
KEPT = 3


class RotatingFile:
    """Appends lines to ``path``. At ``max_bytes`` the file is renamed to ``path.1``; ``kept`` old files are kept."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._kept = kept
        self._handle: int | None = None

    def write(self, line: bytes) -> None:
        """Append one line. Raises OSError."""
        handle = self._current()
        if os.fstat(handle).st_size + len(line) > self._max_bytes:
            self._rotate(handle)
            handle = self._current()
        os.write(handle, line)

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _current(self) -> int:
        if self._handle is not None and self._is_at_path(self._handle):
            return self._handle
        self.close()
        make_private_folder(self._path.parent)
        tighten(self._path.parent, PRIVATE_FOLDER)
        tighten(self._path, PRIVATE_FILE)
        self._handle = open_plain(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE_FILE)
        return self._handle

    def _is_at_path(self, handle: int) -> bool:
        try:
            present = self._path.lstat()
        except OSError:
            return False
        own = os.fstat(handle)
        return (own.st_ino, own.st_dev) == (present.st_ino, present.st_dev)

    def _rotate(self, handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            if not self._is_at_path(handle) or os.fstat(handle).st_size == 0:
                return
            for number in range(self._kept - 1, 0, -1):
                older = self._old_file(number)
                if older.exists():
                    older.replace(self._old_file(number + 1))
            self._path.replace(self._old_file(1))
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)

    def _old_file(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_OFF = 100
LOG_FILE = Path("logs") / "acode-tui.log"


class _State:
    """What ``configure`` set, once per process."""

    level: int = _OFF
    file: RotatingFile | None = None
    stderr: bool = False
    secrets: tuple[Secret, ...] = ()
    agent_dir: Path | None = None

    def has_workspace(self) -> bool:
        return self.agent_dir is not None and self.agent_dir.is_dir()


_state = _State()


class Log:
    """A named logger. ``event`` is a short dotted name; fields are names, counts, ids and durations, never values."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def debug(self, event: str, **fields: Any) -> None:
        if _state.level <= 10:
            _emit("debug", self.name, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        if _state.level <= 20:
            _emit("info", self.name, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        if _state.level <= 30:
            _emit("warning", self.name, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """``exc_info=True`` adds the traceback, redacted."""
        if _state.level <= 40:
            _emit("error", self.name, event, fields)


def get_logger(name: str) -> Log:
    """The logger of a module. Creating one costs almost nothing."""
    return Log(name)


def enabled(level: str) -> bool:
    """Whether lines of this level are written, for callers whose fields are expensive to compute."""
    return _state.level <= LEVELS[level]


def is_configured() -> bool:
    """Whether lines are written at all."""
    return _state.level < _OFF


def configure(agent_dir: Path | None, *, level: str = "info", stderr: bool = False) -> None:
    """Write lines of ``level`` and above to ``agent_dir/logs/acode-tui.log``, and with ``stderr`` to standard error.

    ``agent_dir`` is never created: without it there is no workspace and no log file. Raises ConfigError for an
    unknown level.
    """
    if level.lower() not in LEVELS:
        raise ConfigError(f"log level: unknown; it must be one of {', '.join(LEVELS)}", hint="")
    shut_down()
    _state.level = LEVELS[level.lower()]
    _state.stderr = stderr
    _state.file = RotatingFile(agent_dir / LOG_FILE) if agent_dir is not None else None
    _state.agent_dir = agent_dir
    logging.getLogger().addHandler(_library_log_handler)


def add_secrets(secrets: Iterable[Secret]) -> None:
    """Redact these secrets in every later line, in any spelling."""
    _state.secrets = tuple({*_state.secrets, *secrets})


def known_secrets() -> tuple[Secret, ...]:
    """The secrets that were given to ``add_secrets``."""
    return _state.secrets


def shut_down() -> None:
    """Close the file and stop writing."""
    _state.level = _OFF
    _state.stderr = False
    if _state.file is not None:
        _state.file.close()
        _state.file = None
    logging.getLogger().removeHandler(_library_log_handler)


def _emit(level: str, name: str, event: str, fields: dict[str, Any]) -> None:
    line = _pipeline()(level, {"logger": name, "event": event, "pid": os.getpid(), **fields})
    # A log that cannot be written (disk full, folder removed) must not break the work that it reports.
    with suppress(OSError, ValueError):
        if _state.stderr:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
    with suppress(OSError):
        if _state.file is not None and _state.has_workspace():
            _state.file.write(line.encode() + b"\n")


@functools.cache
def _pipeline() -> Callable[[str, dict[str, Any]], str]:
    processors = _structlog_processors()
    stamp = processors.TimeStamper(fmt="iso", utc=True)
    render = processors.JSONRenderer(serializer=_to_json)

    def run(level: str, fields: dict[str, Any]) -> str:
        found: Any = {"level": level, **fields}
        found = processors.format_exc_info(None, level, stamp(None, level, found))
        if "exception" in found:
            # The message of an exception that nobody foresaw may quote any recorded text.
            found["exception"] = _without_shapes(found["exception"])
        line = render(None, level, _redacted(found))
        return line if isinstance(line, str) else line.decode()

    return run


def _structlog_processors() -> "ModuleType":
    """structlog's processors, loaded without rich, which takes four times as long to load as all the rest.

    Only structlog's console output uses it. Lines are written in the program's own commands alone, so no
    agent that logs with structlog loses it.
    """
    with _without_rich():
        from structlog import processors

        return processors


@contextmanager
def _without_rich() -> Iterator[None]:
    """In the block rich cannot be imported, unless it is already: then it costs nothing."""
    if "rich" in sys.modules:
        yield
        return
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["rich"]


def _without_shapes(text: str) -> str:
    """The text with known shapes of secrets hidden."""
    # Imported here, because few processes ever log an exception, and the rules take time to load.
    from acode_tui.domain.secrets.redactor import Redactor

    return Redactor().text(text)


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value, _state.secrets)
    if isinstance(value, dict):
        return {key: _redacted(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(item) for item in value]
    if isinstance(value, float):
        return round(value, 3)
    if value is None or isinstance(value, (bool, int)):
        return value
    return redact(str(value), _state.secrets)


def _to_json(value: Any, **_: Any) -> str:
    import json  # with the first line

    # DEL is the one control character of ASCII that json leaves as it is.
    return json.dumps(value).replace("\x7f", "\\u007f")


class _LibraryLogHandler(logging.Handler):
    """Writes what libraries log with ``logging`` (asyncio's unretrieved exceptions) to the log, so that it is redacted
    and never printed over the dashboard."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= 40 else "warning"
        if record.levelno >= max(_state.level, 30):
            fields = {"exc_info": record.exc_info} if record.exc_info else {}
            _emit(level, record.name, _without_shapes(record.getMessage()), fields)


_library_log_handler = _LibraryLogHandler()
