"""The format ATIF, up to 1.7: one JSON document per trajectory; embedded trajectories of subagents are sessions too."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from acode_tui.ingest.atif.reader import read_document
from acode_tui.ingest.counts import Counts, SkippedLines
from acode_tui.ingest.format import Parsed, ReadContext, TranscriptFormat
from acode_tui.ingest.records import parse_any

NAME = "atif"


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

    def read(self, lines: Iterable[tuple[int, bytes | None]], context: ReadContext) -> Parsed:
        skipped = SkippedLines()
        for number, line in lines:
            document = parse_any(line) if line is not None else None
            if isinstance(document, dict):
                return read_document(document, context, skipped)
            skipped.add(number, "line too long" if line is None else "not a JSON object")
        return Parsed(counts=Counts(), skipped=skipped)
