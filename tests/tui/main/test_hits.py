"""The places that a search finds, below their runs."""

from datetime import UTC, datetime
from pathlib import Path

from acode_tui.domain.states import ArtifactType
from acode_tui.storage.ports import SearchedSession, SearchHit
from acode_tui.tui.main.hit_rows import hit_key, hit_row, of_key
from acode_tui.workspace import Workspace
from tests.clocks import TurnedClock
from tests.tui.driving import dashboard, opened_with, shown, until, until_listed
from tests.tui.fake import fake_id


def test_the_row_of_a_place_says_what_it_is_and_marks_what_was_found() -> None:
    found = SearchHit(
        session_id=fake_id(1),
        task_id=None,
        step_id=None,
        tool_call_id=None,
        artifact_id=None,
        kind="call",
        at=datetime(2026, 3, 14, tzinfo=UTC),
        snippet="…run **pytest** -k \\*\\*kwargs [/x]",
        session=SearchedSession(id=fake_id(1), task_description="x", agent=None, project=None),
    )
    (head, *parts) = hit_row(found, more=True).parts
    assert head[0].split() == ["call"]
    assert [(text, is_found) for text, _, is_found in parts] == [
        *(("…run ", False), ("pytest", True), (" -k **kwargs [/x]", False), ("  +", False))
    ]
    assert of_key(hit_key("a-b", 12)) == ("a-b", 12)
    assert of_key("a-b") == ("a-b", None)


async def test_a_search_shows_the_places_below_each_run_and_n_goes_from_one_to_the_next(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock
) -> None:
    store = workspace.store
    ids = []
    for name in ("first", "second"):
        session = await store.create_session(f"the {name} run")
        task = await store.add_task(session.id, "task")
        step = await store.add_step(task.id, "step")
        for number in range(2):
            text = f"there the zebra [/x] number {number} ran".encode()
            await store.add_artifact(step.id, ArtifactType.MODEL_RESPONSE, "text", text, "text/markdown")
        ids.append(session.id)
    await store.create_session("another one")
    async with dashboard(tmp_path, opened_with(clock, tmp_path), wall=clock).run_test(size=(120, 36)) as pilot:
        table = await until_listed(pilot)
        await pilot.press("slash", *"zebra", "enter")
        keys = [key for each in ids[::-1] for key in (each, hit_key(each, 0), hit_key(each, 1))]
        await until(pilot, lambda: table.row_keys == keys)
        assert "there the zebra [/x] number 1 ran" in shown(pilot)
        for expected in (1, 2, 4, 5, 5):
            await pilot.press("n")
            assert table.cursor_key == keys[expected]
        await pilot.press("N")
        assert table.cursor_key == keys[4]
        await pilot.press("enter")
        await until(pilot, lambda: "the first run" in shown(pilot) and "zebra" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: table.has_focus)
        await pilot.press("escape")
        await until(pilot, lambda: table.row_count == 3)
        await pilot.press("n")
        assert table.cursor_row == 0
