"""Counts a transcript on disk of any format, by its path alone."""

import json
import re
import shutil
import tempfile
from pathlib import Path

from tests.ingest.counting import agents, documents, lines
from tests.ingest.counting.tally import Ids, Record, lines_of

_EVENT = re.compile(r"(?:event-)?(\d+)(?:-[0-9a-f-]+)?\.json")


class Counters:
    """Counts transcripts one after the other; what several of them hold counts in the first of them."""

    def __init__(self) -> None:
        self._messages: set[tuple[str, str]] = set()
        self._entries: set[tuple[str, str]] = set()

    def count(self, format: str, path: Path) -> dict[str, Ids]:
        """The sessions of a transcript by their native ids; the id is empty where the transcript does not say it."""
        if format == "claude-code":
            records = lines_of(path)
            first = next((record["sessionId"] for record in records if "sessionId" in record), "")
            parent = first if path.name.startswith("agent-") else ""
            return {"": agents.claude(records, self._messages, parent)}
        if format == "codex":
            return {"": agents.codex(lines_of(path))}
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
        document = json.loads(path.read_bytes())
        return dict(documents.atif(document)) if format == "atif" else {"": documents.swe_agent(document)}


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
