"""The workspace file reads like every other tier."""

from collections.abc import Sequence
from typing import Any

import pytest

from acode_tui.domain.entities import SessionGraph
from acode_tui.storage.sqlite.runs.store import SqliteRunStateStore
from tests.storage.conformance import ReaderConformance, Seed
from tests.storage.sqlite.parts import Parts, assert_sound, contents, rows
from tests.storage.writer_conformance import Tier, WriterConformance


@pytest.fixture
def reader(parts: Parts) -> SqliteRunStateStore:
    return parts.store


@pytest.fixture
def seed(parts: Parts) -> Seed:
    async def store(runs: Sequence[SessionGraph]) -> None:
        for run in runs:
            await parts.store.save(run)

    return store


class _File:
    """A ``Tier`` over a workspace file."""

    def __init__(self, parts: Parts) -> None:
        self.store = parts.store
        self._path = parts.path

    async def stored(self) -> Any:
        return contents(self._path)

    async def schema(self) -> Any:
        return rows(self._path, "SELECT * FROM sqlite_master")

    async def require_sound(self) -> None:
        assert_sound(self._path)


@pytest.fixture
def tier(parts: Parts) -> Tier:
    return _File(parts)


class TestSqliteReader(ReaderConformance):
    """The shared suite."""


class TestSqliteWriter(WriterConformance):
    """The shared suite."""
