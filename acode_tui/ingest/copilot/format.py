"""The format of GitHub Copilot CLI: one file of events per session, in a folder of its own."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from acode_tui.ingest.copilot.reader import CopilotReader
from acode_tui.ingest.copilot.records import Event
from acode_tui.ingest.format import Parsed, ReadContext, TranscriptFormat
from acode_tui.ingest.read_records import read_records
from acode_tui.ingest.records import LineDecoder

NAME = "copilot"
MAX_NAME_BYTES = 64 * 1024

_PATH = re.compile(r"/session-state/(?:[^/]+/events|[^/]+)\.jsonl$")
_TYPED_NAME = re.compile(r"^name: (.*)$(?=[\s\S]*^user_named: true$)", re.MULTILINE)
_decoder = LineDecoder(Event)


class Copilot(TranscriptFormat):
    """GitHub Copilot CLI."""

    name = NAME

    def recognises(self, records: Sequence[Mapping[str, Any]]) -> bool:
        for record in records:
            data = record.get("data")
            kind = record.get("type")
            if isinstance(data, dict) and kind == "session.start" and "copilotVersion" in data:
                return True
            if isinstance(data, dict) and kind in ("user.message", "assistant.turn_start") and "interactionId" in data:
                return True
        return False

    def hints(self, path: Path) -> bool:
        return _PATH.search(path.as_posix()) is not None

    def roots(self, environ: Mapping[str, str], home: Path) -> list[Path]:
        configured = environ.get("COPILOT_HOME", "").strip()
        return [(Path(configured) if configured else home / ".copilot") / "session-state"]

    def read(self, lines: Iterable[tuple[int, bytes | None]], context: ReadContext) -> Parsed:
        reader = CopilotReader(context)
        skipped, last_line = read_records(lines, _decoder, reader.take)
        return reader.finish(skipped, last_line, title=_given_name(context.path))


def _given_name(path: Path) -> str:
    """The name that the user gave the session, which is kept beside its events; empty where there is none."""
    if path.name != "events.jsonl":
        return ""
    try:
        with open(path.with_name("workspace.yaml"), encoding="utf-8") as source:
            found = _TYPED_NAME.search(source.read(MAX_NAME_BYTES))
    except (OSError, ValueError):
        return ""
    return found.group(1).strip().strip("'\"") if found else ""
