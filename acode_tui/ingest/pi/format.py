"""The format of the pi coding agent: one JSONL file per session, whose entries form a tree."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from acode_tui.ingest.format import Parsed, ReadContext, TranscriptFormat
from acode_tui.ingest.pi.reader import PiReader
from acode_tui.ingest.pi.records import Entry
from acode_tui.ingest.read_records import read_records
from acode_tui.ingest.records import LineDecoder

NAME = "pi"

_PATH = re.compile(r"/\.pi/agent/sessions/.*\.jsonl$|/--[^/]*--/[^/]*_[0-9a-f-]{36}\.jsonl$")
_decoder = LineDecoder(Entry)


class Pi(TranscriptFormat):
    """pi, versions 1 to 3 of its format."""

    name = NAME

    def recognises(self, records: Sequence[Mapping[str, Any]]) -> bool:
        return any(
            record.get("type") == "session" and "cwd" in record and isinstance(record.get("id"), str)
            for record in records[:1]
        )

    def hints(self, path: Path) -> bool:
        return _PATH.search(path.as_posix()) is not None

    def roots(self, environ: Mapping[str, str], home: Path) -> list[Path]:
        configured = environ.get("PI_CODING_AGENT_DIR", "").strip()
        return [(Path(configured) if configured else home / ".pi" / "agent") / "sessions"]

    def read(self, lines: Iterable[tuple[int, bytes | None]], context: ReadContext) -> Parsed:
        reader = PiReader(context)
        return reader.finish(*read_records(lines, _decoder, reader.take))
