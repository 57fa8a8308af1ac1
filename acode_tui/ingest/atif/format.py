"""The format ATIF, up to 1.7: one JSON document per trajectory; embedded trajectories of subagents are sessions too."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from acode_tui.ingest.atif.reader import read_document
from acode_tui.ingest.counts import Counts
from acode_tui.ingest.documents import DocumentShape
from acode_tui.ingest.format import Parsed, ReadContext, TranscriptFormat
from acode_tui.ingest.read_records import one_document

NAME = "atif"
_SHAPE = DocumentShape(
    {"steps": frozenset({"step_id", "source"}), "subagent_trajectories": frozenset({"steps"})},
    frozenset({"final_metrics", "notes", "continued_trajectory_ref"}),
)


class Atif(TranscriptFormat):
    """Trajectories that harnesses of benchmarks and tools export."""

    name = NAME

    def recognises(self, records: Sequence[Mapping[str, Any]]) -> bool:
        return any(
            isinstance(record.get("schema_version"), str)
            and record["schema_version"].upper().startswith("ATIF")
            and isinstance(record.get("steps"), list)
            for record in records
        )

    def hints(self, path: Path) -> bool:
        return path.name == "trajectory.json" or path.name.endswith((".trajectory.json", ".atif.json"))

    def roots(self, environ: Mapping[str, str], home: Path) -> list[Path]:
        # Exports have no place of their own.
        return []

    def shape(self) -> DocumentShape | None:
        return _SHAPE

    def read(self, lines: Iterable[tuple[int, bytes | None]], context: ReadContext) -> Parsed:
        document, skipped = one_document(lines)
        if document is None:
            return Parsed(counts=Counts(), skipped=skipped)
        return read_document(document, context, skipped)
