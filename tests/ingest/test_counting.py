"""What an import gives is what a counter finds that was written independently of the readers."""

import os
import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from acode_tui.config.settings import FORMATS
from acode_tui.domain.validation import Limits
from acode_tui.ingest.discover import find
from acode_tui.ingest.file_reader import FileReader
from acode_tui.ingest.usage import Claims
from tests.ingest.builders import WORKSPACE
from tests.ingest.counting.imported import tally_of
from tests.ingest.counting.stories import NEWER, WRITERS, Event
from tests.ingest.counting.transcripts import Counters

SAMPLES = os.environ.get("ACODE_SAMPLES", "")
LONG_AFTER = datetime(2099, 1, 1, tzinfo=UTC)
WRITES = [write for writes in WRITERS.values() for write in writes]
KINDS = st.sampled_from(["prompt", "answer", "ok", "failed", "refused", "open", "lost"])
EVENTS = st.builds(Event, KINDS, st.sampled_from(["Read it", "Two\nlines", "é ☃", "x" * 2_000]))
STORIES = st.lists(EVENTS, min_size=1, max_size=12).map(lambda events: [Event("prompt", "Begin"), *events])
EVERY_KIND = [Event(what, "text") for what in ("prompt", "answer", "ok", "failed", "failed", "refused", "open", "lost")]


def differences(paths: Iterable[Path]) -> list[str]:
    """Where the sessions of transcripts differ from what the counters find in the files, one line a session."""
    reader = FileReader(workspace_id=WORKSPACE, user_id=None, limits=Limits(), now=LONG_AFTER)
    claims, counters = Claims(), Counters()
    lines = []
    for path in paths:
        found = reader.read(path, None, claims)
        counted = counters.count(found.cursor.format, path)
        assert len(found.parsed.graphs) == len(counted)
        for graph in found.parsed.graphs:
            native = (graph.metadata or {})["nativeId"]
            difference = counted[native if native in counted else ""].tally().difference(tally_of(graph))
            if difference:
                lines.append(f"{found.cursor.format} {path.name} {native}: (counted, imported) {difference}")
    return lines


def test_every_format_has_stories() -> None:
    assert set(WRITERS) == set(FORMATS)


@pytest.mark.parametrize("write", [*WRITES, *NEWER])
@settings(max_examples=8, deadline=None)
@given(story=STORIES)
@example(story=EVERY_KIND)
def test_an_import_gives_what_is_counted_in_a_generated_transcript(
    write: Callable[[Path, list[Event]], Path | list[Path]], story: list[Event]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written = write(Path(folder), story)
        assert differences(written if isinstance(written, list) else [written]) == []


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.skipif(not SAMPLES, reason="ACODE_SAMPLES names no folder of transcripts")
def test_an_import_gives_what_is_counted_in_real_transcripts(format: str) -> None:
    paths = [found.path for found in find([Path(SAMPLES)])]
    reader = FileReader(workspace_id=WORKSPACE, user_id=None, limits=Limits(), now=LONG_AFTER)
    own = [path for path in paths if reader.read(path, None, Claims()).cursor.format == format]
    if not own:
        pytest.skip("the folder has no transcript of this format")
    assert differences(own) == []
