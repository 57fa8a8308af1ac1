"""Reads the program's log file as it grows, and parses its JSON lines."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from acode_tui.plain_files import reading_plain

TAIL_BYTES = 128 * 1024
"""How much of the end of the file the first read returns."""
MAX_READ_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the log. ``at`` is None if it has no timestamp; ``fields`` are the other fields as ``name=value``."""

    level: str
    at: datetime | None
    event: str
    fields: str


class LogTail:
    """Each read returns the lines since the one before. A line without its newline is left for the next read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset: int | None = None
        self._inode = 0

    def read(self) -> list[LogEntry]:
        """The entries that were appended since the last call; the first call reads the last TAIL_BYTES.

        A missing file has no entries. Raises OSError.
        """
        try:
            with reading_plain(self._path) as file:
                stat = os.fstat(file.fileno())
                return self._read_from_offset(file.fileno(), stat)
        except FileNotFoundError:
            return []

    def _read_from_offset(self, descriptor: int, stat: os.stat_result) -> list[LogEntry]:
        if self._offset is None:
            self._offset = max(stat.st_size - TAIL_BYTES, 0)
            skip_first = self._offset > 0  # it begins in the middle of a line
        else:
            skip_first = False
            if stat.st_ino != self._inode or stat.st_size < self._offset:
                self._offset = 0
        self._inode = stat.st_ino
        data = os.pread(descriptor, min(stat.st_size - self._offset, MAX_READ_BYTES), self._offset)
        end = data.rfind(b"\n") + 1
        self._offset += end
        lines = data[:end].splitlines()
        return [parse_entry(line) for line in (lines[1:] if skip_first else lines) if line.strip()]


def parse_entry(raw: bytes) -> LogEntry:
    """Parse a line of the log. A line that is not a JSON object becomes the event of an entry."""
    try:
        fields: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        fields = None
    if not isinstance(fields, dict):
        return LogEntry("info", None, raw.decode("utf-8", "replace"), "")
    level = str(fields.pop("level", "info"))
    time = str(fields.pop("timestamp", fields.pop("time", "")))
    event = str(fields.pop("event", ""))
    others = {name: value for name, value in fields.items() if name not in ("pid", "logger")}
    return LogEntry(level, _parse_timestamp(time), event, _fields_text(others))


def _parse_timestamp(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _fields_text(fields: dict[str, Any]) -> str:
    return "  ".join(f"{name}={_value_text(value)}" for name, value in fields.items())


def _value_text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
