"""A SQLite without FTS5: everything but search works, and a Python that has FTS5 makes the index later.

There is no such library here, so each statement that names a virtual table is refused as that one refuses it.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from acode_tui import open_workspace
from acode_tui.domain.errors import SearchUnavailableError
from acode_tui.storage.ports import SessionFilter
from acode_tui.storage.sqlite import fts5, own_schema
from acode_tui.storage.sqlite.files.check import run_checks
from tests.conftest import PLAIN_SETTINGS
from tests.storage.runs import make_run

VIRTUAL = re.compile(r"\b(search_index|search_terms)\b|USING fts5")


@pytest.fixture
def without_fts5(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[None]]:
    connect = sqlite3.connect

    def refusing(*arguments: Any, factory: type[sqlite3.Connection] = sqlite3.Connection, **options: Any) -> Any:
        class Refusing(factory):  # type: ignore[valid-type,misc]
            def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
                if VIRTUAL.search(sql):
                    raise sqlite3.OperationalError("no such module: fts5")
                cursor: sqlite3.Cursor = super().execute(sql, *values)
                return cursor

        return connect(*arguments, factory=Refusing, **options)

    @contextmanager
    def missing() -> Iterator[None]:
        with monkeypatch.context() as patched:
            patched.setattr(sqlite3, "connect", refusing)
            patched.setattr(fts5, "_ask_library", lambda: False)
            own_schema._schema_of.cache_clear()
            yield
        own_schema._schema_of.cache_clear()

    return missing


async def record(root: Path, name: str) -> None:
    async with open_workspace(root, settings=PLAIN_SETTINGS) as workspace:
        await workspace.store.save(make_run(workspace.workspace_id, description=name))
        await workspace.index.catch_up()
        assert name in [each.task_description for each in (await workspace.store.list()).sessions]


def findings(root: Path) -> dict[str, str]:
    checks = run_checks(root / ".agent" / "workspace.db", deep=True, seconds=5, check_cancelled=lambda: None)
    assert all(each.ok for each in checks), checks
    return {each.name: each.description for each in checks}


async def searched(root: Path, query: str) -> int:
    async with open_workspace(root, settings=PLAIN_SETTINGS) as workspace:
        page = await workspace.search(query)
        return len({hit.session_id for hit in page.hits})


@pytest.mark.parametrize("made_with_fts5", [True, False])
async def test_records_without_fts5_and_is_searched_with_it(
    tmp_path: Path, without_fts5: Callable[[], AbstractContextManager[None]], made_with_fts5: bool
) -> None:
    if made_with_fts5:
        await record(tmp_path, "A zebra")
        assert await searched(tmp_path, "zebra") == 1
    with without_fts5():
        await record(tmp_path, "Another zebra")
        with pytest.raises(SearchUnavailableError, match="has no FTS5, so it cannot search"):
            await searched(tmp_path, "zebra")
        async with open_workspace(tmp_path, settings=PLAIN_SETTINGS) as workspace:
            with pytest.raises(SearchUnavailableError):
                await workspace.store.list(SessionFilter(text="zebra"))
            assert not (await workspace.store.list(SessionFilter(text="is:failed"))).sessions
            with pytest.raises(SearchUnavailableError):
                await workspace.index.rebuild()
        assert "no FTS5" in findings(tmp_path)["search"]
    findings(tmp_path)
    assert await searched(tmp_path, "zebra") == 1 + made_with_fts5
    assert findings(tmp_path)["search"] == "the index has every word of the rows"
