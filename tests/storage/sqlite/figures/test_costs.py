"""What single runs cost."""

from acode_tui.workspace import Workspace


async def test_the_costs_of_runs_are_what_they_say_and_unknown_without_a_model(workspace: Workspace) -> None:
    used = {"input": 100, "output": 5, "cacheRead": 0, "cacheWrite": 0}
    given: list[dict[str, object]] = [{"cost": 0.25, "tokens": used}, {"tokens": used}, {}]
    ids = [(await workspace.store.create_session("x", metadata=each)).id for each in given]
    await workspace.index.catch_up()
    assert await workspace.costs([*ids, "no such id"]) == {ids[0]: 0.25, ids[1]: None}
    assert (await workspace.stats()).cost.total == 0.25
