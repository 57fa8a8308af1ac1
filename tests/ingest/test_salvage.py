"""Damaged lines: every whole record in one is read, and the damage is named."""

import json
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.validation import Limits
from acode_tui.ingest.file_reader import FileReader
from acode_tui.ingest.salvage import MAX_ATTEMPTS, salvage
from acode_tui.ingest.usage import Claims
from tests.ingest.builders import WORKSPACE, Codex
from tests.ingest.counting.tally import compress

RECORDS = st.fixed_dictionaries(
    {"type": st.sampled_from(["user", "assistant"]), "text": st.text(max_size=12), "inner": st.just({"a": {"b": 1}})}
)


def as_line(record: object) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass")


@given(st.lists(RECORDS, min_size=2, max_size=5))
def test_spliced_records_are_all_read(records: list[dict[str, object]]) -> None:
    lines = [json.dumps(record).encode() for record in records]
    found = salvage(b"".join(lines))
    assert [json.loads(record) for record in found.records] == records
    assert found.damage == f"{len(records)} records on one line"


@given(RECORDS, RECORDS, st.data())
def test_a_cut_record_does_not_take_the_next_one_with_it(
    first: dict[str, object], second: dict[str, object], data: st.DataObject
) -> None:
    whole = json.dumps(first).encode()
    cut = data.draw(st.integers(1, len(whole) - 1))
    found = salvage(whole[:cut] + json.dumps(second).encode())
    *before, last = found.records
    assert json.loads(last) == second
    # An object of the cut record that ends at the cut looks as a record does.
    assert all(whole[:cut].endswith(part) for part in before)
    assert len(before) <= 1
    assert "a cut record" in found.damage


def test_nul_and_undecodable_bytes_are_named_and_the_record_is_read() -> None:
    record = b'{"type": "user", "text": "caf\xe9"}'
    assert salvage(bytes(4096) + record).records == ('{"type": "user", "text": "caf\ufffd"}'.encode(),)
    assert salvage(bytes(4096) + record).damage == "undecodable bytes and NUL bytes"


def test_a_part_of_a_record_is_none_of_its_own() -> None:
    """The objects within a record that was cut are not records."""
    line = b'{"type": "user", "message": {"content": [{"type": "text", "text": "a"}, {"type": "text", "te'
    assert salvage(line).records == ()
    assert salvage(line).damage == "not valid JSON"


def test_text_in_another_encoding_and_endless_beginnings_give_nothing_soon() -> None:
    assert salvage('{"type": "user"}'.encode("utf-16")).records == ()
    assert salvage(b'{"a":' * (MAX_ATTEMPTS * 100)).records == ()


@given(st.binary(max_size=80))
def test_nothing_is_raised(line: bytes) -> None:
    for record in salvage(line).records:
        assert isinstance(json.loads(record.decode("utf-8", "surrogatepass")), dict)


def test_a_packed_file_is_read_up_to_where_it_is_damaged(tmp_path: Path) -> None:
    transcript, random_source = Codex(), random.Random(1)
    for number in range(60):
        transcript.prompt(f"Prompt {number}")
        transcript.says(random_source.randbytes(5_000).hex())
    packed = compress(transcript.data)
    path = tmp_path / "rollout.jsonl.zst"
    path.write_bytes(packed[: len(packed) * 3 // 4])
    reader = FileReader(workspace_id=WORKSPACE, user_id=None, limits=Limits(), now=datetime(2099, 1, 1, tzinfo=UTC))
    parsed = reader.read(path, None, Claims()).parsed
    titles = [task.title for task in parsed.graphs[0].tasks]
    assert 20 < len(titles) < 60
    assert titles == [f"Prompt {number}" for number in range(len(titles))]
    ((_, damage),) = parsed.skipped.named
    assert damage.startswith("the rest is lost: a damaged or cut zstd stream")
    path.write_bytes(b"no stream at all")
    with pytest.raises(OSError, match="a damaged or cut zstd stream") as error:
        reader.read(path, None, Claims())
    # The import shows this part of it.
    assert error.value.strerror
