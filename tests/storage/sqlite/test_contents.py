"""Contents are stored compressed where that is shorter, in the form that SQLite's archives have."""

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from shutil import which

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.errors import IntegrityError
from acode_tui.domain.states import ArtifactType
from acode_tui.storage.sqlite.contents import MIN_BYTES, _zlib, beginning, pack, unpack
from acode_tui.storage.sqlite.runs.checksums import SqliteRowChecksums
from tests.storage.sqlite.parts import Parts, foreign
from tests.storage.sqlite.runs.runs import make_run

LIBRARIES = ("isal", "zlib")
"""What may make and read the streams; the first is not there on every machine."""


@contextmanager
def using(library: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if library == "zlib":
            patch.setitem(sys.modules, "isal", None)
        _zlib.cache_clear()
        try:
            assert _zlib().compress.__module__.startswith(library)
            yield
        finally:
            _zlib.cache_clear()


contents = st.one_of(
    st.binary(max_size=MIN_BYTES * 3),
    st.tuples(st.binary(min_size=1, max_size=20), st.integers(0, 500)).map(lambda made: made[0] * made[1]),
)


@pytest.mark.parametrize("writes", LIBRARIES)
@pytest.mark.parametrize("reads", LIBRARIES)
@given(content=contents)
def test_what_is_unpacked_is_what_was_packed(writes: str, reads: str, content: bytes) -> None:
    with using(writes):
        stored = pack(content)
    assert len(stored) <= len(content)
    with using(reads):
        assert unpack(stored, len(content)) == content
        assert beginning(stored, len(content), len(stored), 100) == content[:100]


@pytest.mark.parametrize("library", LIBRARIES)
@given(content=contents, other=st.binary(max_size=40), size=st.integers(-1, 2**63 - 1))
def test_any_other_value_is_a_content_or_damage(library: str, content: bytes, other: bytes, size: int) -> None:
    with using(library):
        for stored in (other, pack(content)[:-1], pack(content) + other):
            assert len(beginning(stored, size, len(stored), 100)) <= 100
            try:
                assert len(unpack(stored, size)) in (size, len(stored))
            except IntegrityError:
                continue


def test_a_text_is_stored_compressed_and_random_bytes_are_not() -> None:
    text = b"a line of output\n" * 40
    assert len(pack(text)) < len(text) / 5
    noise = random.Random(7).randbytes(5_000)
    assert pack(noise) == noise
    assert pack(text[: MIN_BYTES - 1]) == text[: MIN_BYTES - 1]


@pytest.mark.skipif(which("sqlite3") is None, reason="there is no sqlite3 program")
async def test_the_sqlite3_program_reads_both_forms(parts: Parts) -> None:
    run = make_run(1)
    await parts.store.save(run)
    call = run.tasks[0].steps[0].tool_calls[0]
    for content in ("short", "a line of output " * 100):
        added = await parts.store.add_artifact(
            call.id, ArtifactType.COMMAND_OUTPUT, "o", content.encode(), "text/plain"
        )
        query = f"SELECT CAST(sqlar_uncompress(content, size) AS TEXT) FROM artifacts WHERE id = '{added.id}'"
        command = ["sqlite3", "-readonly", str(parts.path), query]
        shown = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
        assert shown.stdout.removesuffix("\n") == content


async def test_the_checksum_of_a_damaged_content_differs(parts: Parts) -> None:
    run = make_run(1)
    await parts.store.save(run)
    call = run.tasks[0].steps[0].tool_calls[0]
    added = await parts.store.add_artifact(call.id, ArtifactType.COMMAND_OUTPUT, "out", b"x" * 5_000, "text/plain")
    checksums = SqliteRowChecksums(parts.readers)
    before = (await checksums.of_sessions((run.id,)))[run.id]
    with foreign(parts.path) as other:
        other.execute("DROP TRIGGER artifacts_no_update")
        other.execute("UPDATE artifacts SET content = x'00' WHERE id = ?", (added.id,))
    after = (await checksums.of_sessions((run.id,)))[run.id]
    assert {key for key in before if before[key] != after[key]} == {("artifacts", added.id)}
