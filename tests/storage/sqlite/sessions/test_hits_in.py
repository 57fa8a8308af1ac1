"""The places in runs that a list shows: the first hits that a search has of each."""

from pathlib import Path

from acode_tui import open_workspace
from acode_tui.domain.states import ArtifactType


async def test_the_places_in_given_runs_are_the_first_hits_of_a_search(tmp_path: Path) -> None:
    async with open_workspace(tmp_path) as workspace:
        store, ids = workspace.store, list[str]()
        for run in range(3):
            session = await store.create_session("the zebra runs" if run != 1 else "without")
            task = await store.add_task(session.id, "a zebra crosses" if run != 1 else "task")
            for number in range(3):
                text = f"{'zebra' if run != 1 else 'horse'} {number} **x**".encode()
                await store.add_artifact(task.id, ArtifactType.USER_PROMPT, "prompt", text, "text/plain")
            ids.append(session.id)
        for query in ("zebra", "zebra -horse", '"zebra 2"', "zebra horse"):
            hits = (await workspace.search(query)).hits
            expected = {each: tuple(hit for hit in hits if hit.session_id == each)[:2] for each in ids}
            found = await workspace.hits_in(query, ids, most=2)
            assert found == {each: first for each, first in expected.items() if first}, query
