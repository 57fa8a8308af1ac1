"""How many transcripts their agent deletes within a week."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from acode_tui.ingest.discover import find
from acode_tui.ingest.retention import count_ending
from tests.ingest.builders import Claude, Codex

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def write(path: Path, age: timedelta) -> None:
    transcript = Claude()
    transcript.user("Go")
    transcript.write(path)
    written = (NOW - age).timestamp()
    os.utime(path, (written, written))


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        (None, 2),
        ('{"cleanupPeriodDays": 99}', 0),
        ('{"cleanupPeriodDays": 20}', 3),
        ('{"cleanupPeriodDays": 999999999999}', 0),
        ('{"cleanupPeriodDays": "long"}', 2),
        ('{"cleanupPeriodDays": -1}', 2),
        ("[]", 2),
        ("{", 2),
    ],
)
def test_transcripts_that_end_within_a_week_are_counted(tmp_path: Path, settings: str | None, count: int) -> None:
    for number, days in enumerate((1, 15, 24, 31)):
        write(tmp_path / "projects" / "-src" / f"{number}.jsonl", timedelta(days=days))
    if settings is not None:
        (tmp_path / "settings.json").write_text(settings)
    assert count_ending(find([tmp_path]), NOW) == count


def test_transcripts_elsewhere_and_of_agents_that_delete_none_do_not_count(tmp_path: Path) -> None:
    write(tmp_path / "kept" / ".claude" / "a.jsonl", timedelta(days=99))
    rollout = Codex().write(tmp_path / "sessions" / "rollout-2026-01-05T12-00-00-a.jsonl")
    os.utime(rollout, (0, 0))
    assert count_ending(find([tmp_path]), NOW) == 0
