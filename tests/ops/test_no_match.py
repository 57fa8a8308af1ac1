"""Why no run fits a query."""

import pytest

from acode_tui.domain.states import SessionState
from acode_tui.ops.no_match import explain_no_match
from acode_tui.storage.ports import SessionFilter
from acode_tui.workspace import Workspace

CREATED = (SessionState.CREATED,)
FAILED = (SessionState.FAILED,)


@pytest.mark.parametrize(
    ("text", "states", "sentences"),
    [
        ("agent:codex zebra", (), ["Without `agent:codex` 2 runs fit.", "Without `zebra` 1 run fits."]),
        ("zebra agent:claude horse", (), ["Without `horse` 2 runs fit."]),
        ("unicorn griffin zebra", (), ["No run at all fits `unicorn`.", "No run at all fits `griffin`."]),
        ("unicorn", (), []),
        ("zebra", FAILED, ["Without the state Failed 2 runs fit."]),
        ("zebra agent:codex & ", CREATED, ["Without `zebra` 1 run fits.", "Without `agent:codex` 2 runs fit."]),
        ("one:two zebra", (), []),
        ("-zebra -codex -horse", (), ["Without `-zebra` 2 runs fit."]),
    ],
)
async def test_the_conditions_that_exclude_every_run_are_named(
    workspace: Workspace, text: str, states: tuple[SessionState, ...], sentences: list[str]
) -> None:
    store = workspace.store
    for task, agent in (("zebra one", "claude-code"), ("zebra two", "claude-code"), ("horse", "codex")):
        await store.create_session(task, metadata={"agent": agent})
    await workspace.index.catch_up()
    found = await explain_no_match(store, SessionFilter(text=text, states=states))
    assert sorted(found) == sorted(sentences)
