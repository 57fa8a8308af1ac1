"""Every format: any value in place of any other, any bytes in place of any others. Nothing raises; the rest is read."""

import copy
import json
import tempfile
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from acode_tui.config.settings import FORMATS
from acode_tui.ingest.format import Parsed
from acode_tui.ingest.lines import MAX_LINE_BYTES, WholeLines
from tests.ingest.builders import read
from tests.ingest.counting.stories import WRITERS, Event, Write
from tests.ingest.test_hostile import VALUES, assert_storable

STORY = [
    Event(what, f"{what} {number}")
    for number, what in enumerate(
        ["prompt", "answer", "ok", "failed", "failed", "refused", "lost", "prompt", "open", "answer", "ok", "answer"]
    )
]
OF_LINES = ["claude-code", "codex", "copilot", "gemini", "openhands", "pi"]


def lines_of(write: Write) -> list[bytes]:
    """The records of the story, as the reader gets them."""
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), STORY)
        if path.is_dir():
            return [file.read_bytes() for file in sorted(path.rglob("*.json"))]
        return path.read_bytes().split(b"\n")[:-1] or [path.read_bytes()]


LINES = {
    (name, number): lines_of(write)
    for name, writes in WRITERS.items()
    for number, write in enumerate(writes)
    # The database and the tree hold the same records as the export.
    if name != "opencode" or number == 0
}


def places(value: Any) -> list[tuple[Any, Any]]:
    """Each place within a value, as its container and its key."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = []
    for key, item in items:
        found.append((value, key))
        found += places(item)
    return found


@pytest.mark.parametrize("kind", LINES, ids=str)
@settings(max_examples=40, deadline=None)
@given(edits=st.lists(st.tuples(st.floats(0, 0.999), VALUES), min_size=1, max_size=5))
@example(edits=[(0.5, float("nan"))])
@example(edits=[(0.2, 1e308), (0.4, 2**70)])
def test_any_value_in_place_of_another_is_read_and_stored(
    kind: tuple[str, int], edits: list[tuple[float, Any]]
) -> None:
    records = [json.loads(line) for line in LINES[kind]]
    for place, value in edits:
        found = places(records)
        container, key = found[int(place * len(found))]
        container[key] = copy.deepcopy(value)
    assert_storable(read([json.dumps(record).encode() for record in records], format=kind[0]))


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=25, deadline=None)
@given(lines=st.lists(st.binary(max_size=60) | st.binary(max_size=9).map(lambda data: b'{"' + data), max_size=6))
def test_any_bytes_in_place_of_records_are_counted(format: str, lines: list[bytes]) -> None:
    parsed = read([line.replace(b"\n", b"") for line in lines], format=format)
    assert_storable(parsed)
    assert not parsed.graphs or parsed.counts.sessions


def contents(parsed: Parsed) -> Counter[bytes | None]:
    """What was said, read and made in a run."""
    return Counter(
        entity.content for graph in parsed.graphs for entity in graph.entities() if hasattr(entity, "content")
    )


@pytest.mark.parametrize("format", OF_LINES)
@settings(max_examples=20, deadline=None)
@given(flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1, max_size=6))
def test_flipped_bytes_lose_only_the_records_that_they_hit(format: str, flips: list[tuple[float, int]]) -> None:
    lines = LINES[format, 0]
    # The first line says which session it is.
    whole = b"\n".join(lines[1:])
    data = bytearray(whole)
    hit = set()
    for place, change in flips:
        at = int(place * len(whole))
        if whole[at : at + 1] != b"\n":
            hit.add(whole.count(b"\n", 0, at) + 1)
            data[at] ^= change
    damaged = read([lines[0], *bytes(data).split(b"\n")], format=format)
    assert_storable(damaged)
    spared = read([line for number, line in enumerate(lines) if number not in hit], format=format)
    lost = contents(spared) - contents(damaged)
    if format == "codex":
        # It writes a prompt as two records, and which of them is read depends on both.
        lost = Counter(content for content in lost if not any((content or b"") in lines[number] for number in hit))
    assert not lost


class Endless:
    """A source of one line of ``size`` bytes between two short ones, none of which is ever held as a whole."""

    def __init__(self, size: int) -> None:
        self.parts = [b"{}\n", *[b"x" * 65_536] * (size // 65_536), b"\n{}\n"]
        self.size = sum(map(len, self.parts))
        self._parts = iter(self.parts)
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        data = self._rest or next(self._parts, b"")
        self._rest = data[size:]
        return data[:size]


def test_a_line_of_three_hundred_megabytes_is_passed_in_bounded_memory() -> None:
    limit = 4 * 1024 * 1024
    source = Endless(300 * 1024 * 1024)
    tracemalloc.start()
    try:
        found = list(WholeLines(source, source.size, max_line=limit))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == [(1, b"{}\n"), (2, None), (3, b"{}\n")]
    assert peak < 2 * limit
    assert source.size > MAX_LINE_BYTES
