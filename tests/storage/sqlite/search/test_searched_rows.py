"""Which rows and contents the index reads."""

from pathlib import Path

import acode_tui
from acode_tui import ArtifactType, SessionFilter


async def test_an_empty_content_is_found_by_its_name(tmp_path: Path) -> None:
    """SQLite's substr of an empty blob is NULL, not an empty blob."""
    async with acode_tui.open_workspace(tmp_path) as workspace:
        session = await workspace.store.create_session("write a marker")
        task = await workspace.store.add_task(session.id, "a task")
        await workspace.store.add_artifact(task.id, ArtifactType.FILE_WRITE, "py.typed", b"", "text/plain")
        page = await workspace.store.list(SessionFilter(text="typed"))
    assert [each.id for each in page.sessions] == [session.id]
