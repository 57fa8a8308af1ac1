"""Counts a transcript on disk of any format, by its path alone."""

import json
import re
import shutil
import tempfile
from pathlib import Path

from tests.ingest.counting import claude, codex, documents, lines
from tests.ingest.counting.tally import Ids, Record, lines_of

_EVENT = re.compile(r"(?:event-)?(\d+)(?:-[0-9a-f-]+)?\.json")


class Counters:
    """Counts transcripts one after the other; what several of them hold counts in the first of them."""

    def __init__(self) -> None:
        self._messages: set[tuple[str, str]] = set()
        self._entries: set[tuple[str, str]] = set()
        self._records: dict[Path, list[Record]] = {}

    def count(self, format: str, path: Path) -> dict[str, Ids]:
        """The sessions of a transcript by their native ids; the id is empty where the transcript does not say it."""
        if format == "claude-code":
            records = lines_of(path)
            first = next((record["sessionId"] for record in records if "sessionId" in record), "")
            parent = first if path.name.startswith("agent-") else ""
            if not parent:
                records, parent = self._without_copies(path, records)
            return {"": claude.claude(records, self._messages, parent)}
        if format == "codex":
            return {"": _codex(path)}
        if format == "gemini":
            return {"": lines.gemini(_gemini_records(path), path.parent.name)}
        if format == "copilot":
            return {"": lines.copilot(lines_of(path))}
        if format == "pi":
            return {"": lines.pi(lines_of(path), self._entries)}
        if format == "openhands":
            files = [
                (int(found.group(1)), file)
                for file in path.glob("events/*.json")
                if (found := _EVENT.fullmatch(file.name))
            ]
            state = path / "base_state.json"
            events = [json.loads(file.read_bytes()) for _, file in sorted(files)]
            return {"": documents.openhands(events, json.loads(state.read_bytes()) if state.exists() else {})}
        if format == "opencode":
            return {export["info"]["id"]: documents.opencode(export) for export in _opencode_exports(path)}
        if format == "otlp":
            return lines.otlp(lines_of(path))
        document = json.loads(path.read_bytes())
        return dict(documents.atif(document)) if format == "atif" else {"": documents.swe_agent(document)}

    def _without_copies(self, path: Path, records: list[Record]) -> tuple[list[Record], str]:
        """The records that are no copies of another session's in the folder, and the id of that session."""
        for origin, others in self._records.items():
            ids = {record.get("uuid") for record in others} - {None}
            is_copy = any(record.get("sessionKind") == "bg" for record in records) and records[0].get("uuid") in ids
            if origin.parent == path.parent and is_copy:
                return [record for record in records if record.get("uuid") not in ids], origin.stem
        self._records[path] = records
        return records, ""


def _codex(path: Path) -> Ids:
    """A rollout, without what it repeats of its parent's beside it."""
    records = lines_of(path)
    parent = codex.parent_of(records)
    beside = [file for file in path.parent.glob(f"rollout-*-{parent}.jsonl*") if parent]
    own, total = codex.own_lines(records, lines_of(beside[0])) if beside else (records, None)
    found = codex.codex(own, total)
    found.parent = parent
    return found


def _gemini_records(path: Path) -> list[Record]:
    """The records of all files of the session, in the order of their names."""
    ending = path.name.rpartition("-")[2].partition(".")[0]
    names = [path] if not path.name.startswith("session-") else sorted(path.parent.glob(f"session-*-{ending}.json*"))
    found: list[Record] = []
    for name in names:
        found += [json.loads(name.read_bytes())] if name.suffix == ".json" else lines_of(name)
    return found


def _opencode_exports(path: Path) -> list[Record]:
    if path.suffix != ".db":
        is_tree = path.parents[1].name == "session"
        return [documents.opencode_tree(path) if is_tree else json.loads(path.read_bytes())]
    with tempfile.TemporaryDirectory() as folder:
        for file in path.parent.glob(f"{path.name}*"):
            shutil.copy(file, folder)
        return documents.opencode_database(Path(folder, path.name))
