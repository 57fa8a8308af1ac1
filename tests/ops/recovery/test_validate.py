"""Comparing the tiers: every row that differs is found and named, and nothing else is."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.errors import SyncError
from acode_tui.domain.progress import Progress
from acode_tui.ops.recovery import validate
from acode_tui.ops.recovery.validate import Mismatch, compare, differences
from acode_tui.storage.ports import RowChecksums
from acode_tui.workspace import Workspace
from tests.pg import Database
from tests.sync.conftest import team as team
from tests.sync.conftest import time as time
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import add_run, opened


async def test_a_synced_workspace_matches_whole(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time) as workspace:
        for number in range(3):
            await add_run(workspace, f"run {number}")
        await workspace.sync.sync_now()
        seen: list[Progress] = []
        found = await workspace.validate(progress=seen.append)
        assert (found.compared, found.matching, found.mismatched) == (3, 3, ())
        assert (seen[-1].done, seen[-1].total, seen[-1].unit) == (3, None, "sessions")


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("sessions", "task_description = 'corrupted'"),
        ("session_events", "reason = 'corrupted'"),
        ("session_tasks", "updated_at = updated_at + interval '1 microsecond'"),
        ("steps", '"order" = 7'),
        ("tool_calls", "result = '{\"lines\": 121}'"),
        ("artifacts", "content = 'bit rot'"),
    ],
)
async def test_one_corrupted_central_row_is_found(
    tmp_path: Path, time: FakeTime, team: Database, table: str, change: str
) -> None:
    async with opened(tmp_path, time) as workspace:
        for number in range(3):
            await add_run(workspace, f"run {number}")
        await workspace.sync.sync_now()
        row = (await team.fetch(f"SELECT * FROM {table} ORDER BY id LIMIT 1"))[0]
        await team.execute(f"UPDATE {table} SET {change} WHERE id = '{row['id']}'")
        found = await workspace.validate()
        session_id = str(row["id"] if table == "sessions" else row["session_id"])
        assert found.mismatched == (Mismatch(session_id=session_id, table=table, id=str(row["id"]), finding="differs"),)
        assert (found.compared, found.matching) == (3, 2)


async def test_unsent_rows_and_rows_only_on_the_server_are_named(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path / "a", time) as workspace:
        sent = await add_run(workspace, "sent")
        await workspace.sync.sync_now()
        waiting = await workspace.store.create_session("waits")
        local = workspace.validate()
        found = await local
        assert found.mismatched == (
            Mismatch(session_id=waiting.id, table="sessions", id=waiting.id, finding="missing in postgres"),
        )

        class Nothing:
            async def session_ids(self, *, after: str, limit: int) -> tuple[str, ...]:
                return ()

            async def of_sessions(self, ids: tuple[str, ...]) -> dict[str, RowChecksums]:
                return {}

        class Something(Nothing):
            async def session_ids(self, *, after: str, limit: int) -> tuple[str, ...]:
                return () if after else (sent.id,)

            async def of_sessions(self, ids: tuple[str, ...]) -> dict[str, RowChecksums]:
                return {each: {("sessions", each): b"x"} for each in ids}

        only_there = await compare(Nothing(), Something())
        assert [each.finding for each in only_there.mismatched] == ["missing in sqlite"]
        assert only_there.compared == 1


async def test_without_postgres_there_is_nothing_to_compare_with(workspace: Workspace) -> None:
    with pytest.raises(SyncError, match="not enabled"):
        await workspace.validate()


class Held:
    """A tier that holds these sessions, each with one row."""

    def __init__(self, held: dict[str, bytes]) -> None:
        self._held = held
        self.asked: list[str] = []

    async def session_ids(self, *, after: str, limit: int) -> tuple[str, ...]:
        return tuple(sorted(each for each in self._held if each > after)[:limit])

    async def of_sessions(self, ids: tuple[str, ...]) -> dict[str, RowChecksums]:
        self.asked += ids
        return {each: {("sessions", each): self._held[each]} for each in ids if each in self._held}


_HELD = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.sampled_from([b"1", b"2"]), max_size=30)


@given(here=_HELD, there=_HELD)
async def test_every_session_of_either_side_is_compared_once(here: dict[str, bytes], there: dict[str, bytes]) -> None:
    local, team = Held(here), Held(there)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(validate, "PAGE", 3)
        found = await compare(local, team)
    together = sorted(here.keys() | there.keys())
    assert local.asked == team.asked == together
    assert found.compared == len(together)
    assert found.matching == sum(here.get(each) == there.get(each) for each in together)
    assert [each.id for each in found.mismatched] == [each for each in together if here.get(each) != there.get(each)]


async def test_of_a_database_that_was_reset_the_first_rows_are_named_and_all_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(validate, "MOST_LISTED", 7)
    found = await compare(Held({f"{number:04}": b"1" for number in range(120)}), Held({}))
    assert (found.compared, found.matching, len(found.mismatched), found.mismatched_rows) == (120, 0, 7, 120)


def test_rows_are_named_in_a_fixed_order() -> None:
    local = {("steps", "b"): b"1", ("steps", "a"): b"1", ("artifacts", "c"): b"1"}
    found = differences("s", local, {("steps", "a"): b"2"})
    assert [(each.table, each.id, each.finding) for each in found] == [
        ("artifacts", "c", "missing in postgres"),
        ("steps", "a", "differs"),
        ("steps", "b", "missing in postgres"),
    ]
