"""A document is one JSON value: what damages it loses the records that it hits, and each of those is named."""

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from acode_tui.domain.validation import Limits
from acode_tui.ingest.explain import explain
from acode_tui.ingest.file_reader import FileReader, ParsedFile, UnknownFormatError
from acode_tui.ingest.usage import Claims
from acode_tui.storage.transcript_ports import TranscriptFile
from tests.ingest.builders import LATER, WORKSPACE
from tests.ingest.counting.stories import WRITERS, Write
from tests.ingest.gemini.builder import Gemini
from tests.ingest.test_hostile import assert_storable
from tests.ingest.test_hostile_formats import STORY, contents

DOCUMENTS = [
    ("gemini", "messages", WRITERS["gemini"][1]),
    ("opencode", "messages", WRITERS["opencode"][0]),
    ("atif", "steps", WRITERS["atif"][0]),
    ("swe-agent", "trajectory", WRITERS["swe-agent"][0]),
]


def imported(path: Path, known: TranscriptFile | None = None, format: str | None = None) -> ParsedFile:
    reader = FileReader(workspace_id=WORKSPACE, user_id=None, limits=Limits(), now=LATER, format=format)
    return reader.read(path, known, Claims())


def spans_of(text: str, name: str) -> list[tuple[int, int]]:
    """Where each record of a list is in the text of its document."""
    records = json.loads(text)[name]
    end = text.index(json.dumps(records))
    spans = []
    for record in records:
        begin = text.index(json.dumps(record), end)
        end = begin + len(json.dumps(record))
        spans.append((begin, end))
    return spans


@pytest.mark.parametrize(("format", "name", "write"), DOCUMENTS, ids=[found[0] for found in DOCUMENTS])
@settings(max_examples=20, deadline=None)
@given(flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1, max_size=6))
@example(flips=[(0.999, ord("}") ^ ord("x"))])
@example(flips=[(0.0, ord("{") ^ ord("["))])
def test_flipped_bytes_lose_only_the_records_that_they_hit(
    format: str, name: str, write: Write, flips: list[tuple[float, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), STORY)
        text = path.read_text()
        spans = spans_of(text, name)
        begin, end = spans[0][0], spans[-1][1]
        data = bytearray(text.encode("ascii"))
        hit: set[int] = set()
        for place, change in flips:
            at = begin + int(place * (end - begin))
            data[at] ^= change
            hit.update(number for number, span in enumerate(spans) if span[0] <= at < span[1])
        path.write_bytes(data)
        damaged = imported(path).parsed
        assert_storable(damaged)
        document: dict[str, Any] = json.loads(text)
        document[name] = [record for number, record in enumerate(document[name]) if number not in hit]
        path.write_text(json.dumps(document))
        assert not contents(imported(path).parsed) - contents(damaged)


def document_of_gemini(folder: Path) -> Path:
    found = Gemini()
    for number in range(1, 4):
        found.prompt(f"prompt {number}")
        found.says(f"answer {number}")
    path = folder / "session-2026-01-05T12-00-11111111.json"
    path.write_bytes(found.document)
    return path


def prompts_of(file: ParsedFile) -> list[str]:
    return [task.title for graph in file.parsed.graphs for task in graph.tasks]


def test_each_lost_record_is_counted_and_named_by_its_number(tmp_path: Path) -> None:
    path = document_of_gemini(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"prompt 2"', b'"prompt 2'))
    file = imported(path)
    assert prompts_of(file) == ["prompt 1", "prompt 3"]
    assert file.parsed.skipped.named == [(3, "a damaged record of messages")]
    assert [found.line for found in explain(path).records if found.kind == "damaged"] == [3]


def test_a_document_that_was_cut_off_gives_what_comes_before_the_cut(tmp_path: Path) -> None:
    path = document_of_gemini(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    file = imported(path)
    assert prompts_of(file) == ["prompt 1", "prompt 2", "prompt 3"]
    assert file.parsed.skipped.named[0] == (6, "a damaged record of messages")


def test_undecodable_bytes_and_nul_are_replaced_and_nothing_is_lost(tmp_path: Path) -> None:
    path = document_of_gemini(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"prompt 2", b"pr\xf6mpt\0 2"))
    file = imported(path)
    assert prompts_of(file) == ["prompt 1", "pr�mpt 2", "prompt 3"]
    assert [damage for _, damage in file.parsed.skipped.named] == ["undecodable bytes", "NUL bytes"]


def test_what_a_damaged_document_lacks_was_not_removed_from_it(tmp_path: Path) -> None:
    path = document_of_gemini(tmp_path)
    known = imported(path).cursor
    whole = path.read_bytes()
    path.write_bytes(whole[:-400])
    damaged = imported(path, known)
    assert not damaged.is_rewritten
    path.write_bytes(whole)
    assert imported(path, damaged.cursor).is_rewritten


def test_the_format_of_a_damaged_document_is_found_by_what_is_whole_of_it(tmp_path: Path) -> None:
    path = WRITERS["opencode"][0](tmp_path, STORY).rename(tmp_path / "any name.json")
    path.write_bytes(path.read_bytes()[:-9])
    assert imported(path).cursor.format == "opencode"
    assert imported(path, format="opencode").cursor.format == "opencode"
    with pytest.raises(UnknownFormatError, match="it looks like one of opencode"):
        imported(path, format="atif")


def test_the_steps_of_a_subagent_stay_with_it(tmp_path: Path) -> None:
    def steps(of: str) -> list[dict[str, Any]]:
        return [{"step_id": number, "source": "agent", "message": f"{of} {number}"} for number in (1, 2, 3)]

    children = [{"trajectory_id": name, "agent": {"name": "x"}, "steps": steps(name)} for name in ("b", "c")]
    document = {"schema_version": "ATIF-v1.7", "trajectory_id": "a", "agent": {"name": "x"}, "steps": steps("a")}
    text = json.dumps({**document, "subagent_trajectories": children, "notes": "the end"})
    for damage in ("a 3", "b 2", "b 3", "c 2"):
        path = tmp_path / "run.trajectory.json"
        path.write_text(text.replace(f'"{damage}"', f'"{damage}'))
        file = imported(path)
        by_session = {
            (graph.metadata or {})["nativeId"]: Counter(step.name for task in graph.tasks for step in task.steps)
            for graph in file.parsed.graphs
        }
        whole = {of: Counter(f"{of} {number}" for number in (1, 2, 3)) for of in "abc"}
        whole[damage[0]].subtract([damage])
        assert by_session == {of: +names for of, names in whole.items()}
        assert file.parsed.skipped.named == [(int(damage[2]), "a damaged record of steps")]
        assert (file.parsed.graphs[0].metadata or {})["notes"] == "the end"
