"""The format of Claude Code: one JSONL file per session, subagents in files of their own."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from acode_tui.ingest.claude.other_lines import SESSION_LINES
from acode_tui.ingest.claude.reader import QUIET_LINES, ClaudeReader
from acode_tui.ingest.claude.records import ProgressLine, Record
from acode_tui.ingest.format import Parsed, ReadContext, TranscriptFormat
from acode_tui.ingest.prompt_history import (
    FILE_NAME,
    begins_history,
    history_folders,
    is_history,
    names_under,
    read_history,
)
from acode_tui.ingest.read_records import read_records
from acode_tui.ingest.records import LineDecoder, parse_any

NAME = "claude-code"

_TYPES = frozenset(
    {
        "user",
        "assistant",
        "system",
        "progress",
        "summary",
        "attachment",
        "queue-operation",
        "permission-mode",
        *SESSION_LINES,
        *QUIET_LINES,
    }
)
_FLAT_TYPES = frozenset({"summary", "file-history-snapshot", "custom-title", "ai-title", "permission-mode", "mode"})
_PATH = re.compile(r"/\.claude/|/projects/[^/]+/[^/]+\.jsonl$|/subagents/")
_JOURNAL = re.compile(r"/subagents/.*/journal\.jsonl$|/workflows/[^/]+/journal\.jsonl$")
_PROGRESS = b'"type":"progress"'
_PROGRESS_WITHIN = 600
"""The type of a progress line stands within so many bytes of its beginning, if an agent wrote it."""


class _ClaudeDecoder(LineDecoder[Record | ProgressLine]):
    """Decodes a line that looks like progress as ``ProgressLine``, at a third of the cost of a ``Record``."""

    def __init__(self) -> None:
        super().__init__(Record)
        self._progress = msgspec.json.Decoder(ProgressLine).decode

    def decode(self, line: bytes) -> Record | ProgressLine | None:
        if line.find(_PROGRESS, 0, _PROGRESS_WITHIN) >= 0:
            try:
                found = self._progress(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return super().decode(line)
            if found.type == "progress":
                return found
        return super().decode(line)


_decoder = _ClaudeDecoder()


class ClaudeCode(TranscriptFormat):
    """Claude Code."""

    name = NAME

    def recognises(self, records: Sequence[Mapping[str, Any]]) -> bool:
        for record in records:
            if is_history(record) and "display" in record:
                return True
            kind = record.get("type")
            if not isinstance(kind, str) or kind not in _TYPES or "payload" in record:
                continue
            if kind in _FLAT_TYPES or "sessionId" in record or "uuid" in record or "parentUuid" in record:
                return True
            if kind in ("user", "assistant") and isinstance(record.get("message"), dict):
                return True
        return False

    def hints(self, path: Path) -> bool:
        if path.name == FILE_NAME and (path.parent / "projects").is_dir():
            return True
        return _PATH.search(path.as_posix()) is not None and path.suffix == ".jsonl"

    def folders(self, path: Path) -> dict[str, int] | None:
        return history_folders(path) if path.name == FILE_NAME else None

    def ignores(self, path: Path) -> bool:
        # The journal of a workflow repeats the answers of its agents, which have transcripts of their own.
        return path.name == "journal.jsonl" and _JOURNAL.search(path.as_posix()) is not None

    def keeps(self, path: Path) -> timedelta | None:
        parts = path.parts
        if "projects" not in parts:
            # The agent deletes only what lies in its own folders.
            return None
        return _kept_by(Path(*parts[: len(parts) - 1 - parts[::-1].index("projects")], "settings.json"))

    def roots(self, environ: Mapping[str, str], home: Path) -> list[Path]:
        named = [folder for name in environ.get("CLAUDE_CONFIG_DIR", "").split(",") if (folder := name.strip())]
        folders = [Path(name) for name in named] or [home / ".claude", home / ".config" / "claude"]
        return [place for folder in folders for place in (folder / "projects", folder / FILE_NAME)]

    def read(self, lines: Iterable[tuple[int, bytes | None]], context: ReadContext) -> Parsed:
        is_prompts, lines = begins_history(lines)
        if is_prompts:
            return read_history(NAME, lines, context, set(names_under(context.path.parent / "projects")))
        reader = ClaudeReader(context)
        return reader.finish(*read_records(lines, _decoder, reader.take, reader.skipped, reader.last_line))


KEPT_DAYS = 30
"""Claude Code deletes transcripts after so many days without ``cleanupPeriodDays`` in its settings."""
MAX_SETTINGS_BYTES = 1024 * 1024


def _kept_by(settings: Path) -> timedelta:
    try:
        with open(settings, "rb") as source:
            found = parse_any(source.read(MAX_SETTINGS_BYTES))
    except (OSError, ValueError):
        found = None
    days = found.get("cleanupPeriodDays") if isinstance(found, dict) else None
    # A day count beyond that of a century is as good as never, and a date could not hold it.
    return timedelta(days=min(days, 36_500) if type(days) is int and days >= 0 else KEPT_DAYS)
