"""An index of another form than the program's."""

from pathlib import Path

import pytest

import acode_tui
from acode_tui import SessionFilter
from acode_tui.storage.sqlite.search import marks


async def test_an_index_of_another_form_is_made_again_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The migration names the first form; a program with a later one does not make the index without end."""
    async with acode_tui.open_workspace(tmp_path) as workspace:
        session = await workspace.store.create_session("a quasar")
        await workspace.index.catch_up()
    monkeypatch.setattr(marks, "FORMAT", 4)
    async with acode_tui.open_workspace(tmp_path) as workspace:
        found = [await workspace.store.list(SessionFilter(text="quasar")) for _ in range(2)]
        behind = await workspace._readers.run(marks.is_behind)
    assert [[each.id for each in page.sessions] for page in found] == [[session.id]] * 2
    assert not behind
