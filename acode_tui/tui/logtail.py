"""The tail of a JSON-lines log: the last stretch first, then what is appended, across rotation. It blocks."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

TAIL_BYTES = 128 * 1024
MAX_READ = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log: level, moment (None if it names none), event, and everything else as ``name=value``."""

    level: str
    at: datetime | None
    event: str
    rest: str


class LogTail:
    """Reads on from where it stopped. A line without its end is left for the next time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset: int | None = None
        self._inode = 0

    def read(self) -> list[Entry]:
        """What was appended since the last call, at first the last stretch. A missing file is empty; raises OSError."""
        try:
            with self._path.open("rb") as file:
                stat = os.fstat(file.fileno())
                return self._read_on(file.fileno(), stat)
        except FileNotFoundError:
            return []

    def _read_on(self, handle: int, stat: os.stat_result) -> list[Entry]:
        if self._offset is None:
            self._offset = max(stat.st_size - TAIL_BYTES, 0)
            skip = self._offset > 0
        else:
            skip = False
            if stat.st_ino != self._inode or stat.st_size < self._offset:
                self._offset = 0
        self._inode = stat.st_ino
        data = os.pread(handle, min(stat.st_size - self._offset, MAX_READ), self._offset)
        end = data.rfind(b"\n") + 1
        self._offset += end
        lines = data[:end].splitlines()
        return [parse_entry(line) for line in (lines[1:] if skip else lines) if line.strip()]


def parse_entry(raw: bytes) -> Entry:
    """A line of the log; one that is not JSON is shown as it stands."""
    try:
        fields: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        fields = None
    if not isinstance(fields, dict):
        return Entry("info", None, raw.decode("utf-8", "replace"), "")
    level = str(fields.pop("level", "info"))
    time = str(fields.pop("timestamp", fields.pop("time", "")))
    event = str(fields.pop("event", ""))
    rest = "  ".join(f"{name}={_short(value)}" for name, value in fields.items() if name not in ("pid", "logger"))
    return Entry(level, _moment(time), event, rest)


def _moment(written: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _short(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
