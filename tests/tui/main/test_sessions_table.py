"""The columns and rows of the session table. Pure."""

import msgspec
import pytest

from acode_tui.tui.main.sessions_table import columns_for, session_row
from tests.tui.fake import NOW, summary


@pytest.mark.parametrize("width", range(40, 260, 7))
@pytest.mark.parametrize("source", ["local", "team"])
def test_columns_fit_the_width_and_the_task_keeps_its_least_width(width: int, source: str) -> None:
    chosen = columns_for(width, source)  # type: ignore[arg-type]
    keys = [column.key for column in chosen]
    left = width - sum(column.width + 2 for column in chosen)
    assert left >= 28 or len(keys) <= 3
    assert "task" in keys
    assert not {"sync", "sync_glyph"} <= set(keys)


def test_the_most_useful_columns_get_room_first() -> None:
    by_creation = [column.key for column in columns_for(78, "local", "created")]
    assert by_creation == ["state", "task", "tasks", "tools", "created", "sync_glyph"], "what they are in order of"
    shown = [[column.key for column in columns_for(width, "local")] for width in (78, 118, 158, 196)]
    assert shown[0] == ["state", "task", "tasks", "tools", "updated", "sync_glyph"]
    assert shown[1] == ["state", "task", "tasks", "tools", "artifacts", "duration", "updated", "sync"]
    assert {"agent", "tokens"} <= set(shown[2])
    assert {"agent", "model", "tokens", "duration", "created"} <= set(shown[3])


def test_a_row_shows_the_request_of_a_session() -> None:
    session = summary(2)
    asked = {**(session.metadata or {}), "request": "Make it faster"}
    assert session_row(session, NOW)["task"][0] == session.task_description
    assert session_row(msgspec.structs.replace(session, metadata=asked), NOW)["task"][0] == "Make it faster"
