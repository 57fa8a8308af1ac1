"""The format of SWE-agent: one ``.traj`` document per attempt at a problem."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from acode_tui.ingest.counts import Counts, SkippedLines
from acode_tui.ingest.format import Parsed, ReadContext, TranscriptFormat
from acode_tui.ingest.records import parse_any
from acode_tui.ingest.swe_agent.reader import SweAgentReader

NAME = "swe-agent"


class SweAgent(TranscriptFormat):
    """SWE-agent, 0.x and 1.x."""

    name = NAME

    def recognises(self, records: Sequence[Mapping[str, Any]]) -> bool:
        for record in records:
            if isinstance(record.get("trajectory"), list) and ("info" in record or "history" in record):
                return True
            history = record.get("history")
            if isinstance(history, list) and history and isinstance(history[0], dict) and "role" in history[0]:
                return True
        return False

    def hints(self, path: Path) -> bool:
        return path.suffix == ".traj"

    def roots(self, environ: Mapping[str, str], home: Path) -> list[Path]:
        # Trajectories are written to the folder that a run names.
        return []

    def read(self, lines: Iterable[tuple[int, bytes | None]], context: ReadContext) -> Parsed:
        skipped = SkippedLines()
        for number, line in lines:
            document = parse_any(line) if line is not None else None
            if isinstance(document, dict):
                return SweAgentReader(document, context).read(skipped)
            skipped.add(number, "line too long" if line is None else "not a JSON object")
        return Parsed(counts=Counts(), skipped=skipped)
