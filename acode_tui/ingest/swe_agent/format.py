"""The format of SWE-agent: one ``.traj`` document per attempt at a problem."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from acode_tui.ingest.counts import Counts
from acode_tui.ingest.documents import DocumentShape
from acode_tui.ingest.format import Parsed, ReadContext, TranscriptFormat
from acode_tui.ingest.read_records import one_document
from acode_tui.ingest.swe_agent.reader import SweAgentReader

NAME = "swe-agent"
_SHAPE = DocumentShape(
    {"trajectory": frozenset({"action", "observation"}), "history": frozenset({"role", "content"})},
    frozenset({"environment", "info"}),
)


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

    def shape(self) -> DocumentShape | None:
        return _SHAPE

    def read(self, lines: Iterable[tuple[int, bytes | None]], context: ReadContext) -> Parsed:
        document, skipped = one_document(lines)
        if document is None:
            return Parsed(counts=Counts(), skipped=skipped)
        return SweAgentReader(document, context).read(skipped)
