"""The format of Codex: one JSONL file (a rollout) per session, each line ``{timestamp, type, payload}``."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from acode_tui.ingest.codex.reader import CodexReader
from acode_tui.ingest.codex.records import Line
from acode_tui.ingest.format import Parsed, ReadContext, TranscriptFormat
from acode_tui.ingest.prompt_history import FILE_NAME, begins_history, is_history, names_under, read_history
from acode_tui.ingest.read_records import read_records
from acode_tui.ingest.records import LineDecoder

NAME = "codex"

_WRAPPED = frozenset({"session_meta", "turn_context", "response_item", "event_msg", "compacted", "world_state"})
_BARE = frozenset({"message", "reasoning", "function_call", "function_call_output", "local_shell_call"})
_PATH = re.compile(r"/\.codex/|/rollout-[^/]*\.jsonl$")
_ID_CHARS = 36
"""The name of a rollout ends with the session's id."""
_decoder = LineDecoder(Line)


class Codex(TranscriptFormat):
    """Codex."""

    name = NAME

    def recognises(self, records: Sequence[Mapping[str, Any]]) -> bool:
        for index, record in enumerate(records):
            if is_history(record) and "ts" in record:
                return True
            kind = record.get("type")
            if kind in _WRAPPED and isinstance(record.get("payload"), dict):
                return True
            if isinstance(kind, str) and kind in _BARE and "sessionId" not in record:
                return True
            bare_meta = kind is None and {"id", "timestamp"} <= record.keys()
            if index == 0 and bare_meta and ("instructions" in record or "git" in record):
                return True
        return False

    def hints(self, path: Path) -> bool:
        if path.name == FILE_NAME and (path.parent / "sessions").is_dir():
            return True
        return _PATH.search(path.as_posix()) is not None

    def folders(self, path: Path) -> dict[str, int] | None:
        # It names no folders, so none of its sessions is known to be of this one.
        return {} if path.name == FILE_NAME else None

    def roots(self, environ: Mapping[str, str], home: Path) -> list[Path]:
        configured = environ.get("CODEX_HOME", "").strip()
        base = Path(configured) if configured else home / ".codex"
        return [base / "sessions", base / "archived_sessions", base / FILE_NAME]

    def read(self, lines: Iterable[tuple[int, bytes | None]], context: ReadContext) -> Parsed:
        is_prompts, lines = begins_history(lines)
        if is_prompts:
            folder = context.path.parent
            names = [name for kept in ("sessions", "archived_sessions") for name in names_under(folder / kept)]
            return read_history(NAME, lines, context, {name[-_ID_CHARS:] for name in names})
        reader = CodexReader(context)
        return reader.finish(*read_records(lines, _decoder, reader.take, reader.skipped, reader.last_line))
