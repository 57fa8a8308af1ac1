"""The time that a test advances, and a team's database whose address is in the environment."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from acode_tui import logs
from tests.pg import Database
from tests.sync.fake_time import FakeTime

URL = "ACODE_POSTGRES_URL"


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def team(pg_database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A migrated database; the environment has its address."""
    monkeypatch.setenv(URL, pg_database.url)
    return pg_database


LogLines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def log_lines(tmp_path: Path) -> Iterator[LogLines]:
    """Reads the log's lines so far, from level info."""
    folder = tmp_path / "logged"
    folder.mkdir(mode=0o700)
    logs.configure(folder, level="info")

    def read() -> list[dict[str, Any]]:
        path = folder / "logs" / "acode-tui.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    yield read
    logs.shut_down()
