"""The bell, the title and desktop notices: for what happens while the dashboard is open, once a cause, never in others'
hands.
"""

import re
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events

from acode_tui.config import Settings, TuiSettings
from acode_tui.domain.states import SessionState, WorkState
from acode_tui.tui.run_alerts import Alert, RunAlerts
from acode_tui.tui.terminal_notices import desktop_sequence, title_sequence
from acode_tui.workspace import Workspace
from tests.clocks import TurnedClock

XTERM = {"TERM": "xterm-256color"}


class Host:
    """What the alerts need of the app, and what they showed."""

    def __init__(self, clock: TurnedClock, settings: Settings) -> None:
        self.now = clock
        self.settings = settings
        self.shown: list[Alert] = []

    def show_alerts(self, alerts: Sequence[Alert]) -> None:
        self.shown += alerts


@given(st.text(st.characters(codec="utf-8"), max_size=60) | st.text("\x1b\x07\x9c\x9b];0", max_size=30))
def test_recorded_text_neither_ends_a_sequence_nor_begins_one(text: str) -> None:
    inside = r"[^\x00-\x1f\x7f-\x9f]*"
    assert re.fullmatch(rf"\x1b\]2;{inside}\x1b\\", title_sequence(text))
    nine = desktop_sequence("osc9", "acode-tui shop", text, XTERM)
    assert re.fullmatch(rf"\x1b\]9;acode-tui shop: {inside}\x07", nine)
    parts = desktop_sequence("osc777", "acode-tui shop", text, XTERM).split(";")
    assert parts[:3] == ["\x1b]777", "notify", "acode-tui shop"]
    assert re.fullmatch(rf"{inside}\x07", parts[3])
    assert len(parts) == 4
    through = desktop_sequence("osc9", "acode-tui shop", text, {**XTERM, "TMUX": "/tmp/tmux"})
    assert through.removeprefix("\x1bPtmux;").removesuffix("\x1b\\").replace("\x1b\x1b", "\x1b") == nine
    assert desktop_sequence("off", "acode-tui shop", text, XTERM) == ""


async def test_what_happens_while_it_is_open_is_announced_once(workspace: Workspace, clock: TurnedClock) -> None:
    store = workspace.store
    old, run, child = [await store.create_session(text) for text in ("old", "Fix \x1b]0;it\x07", "child")]
    child_of = await store.create_session("by a run", metadata={"parentSessionId": run.id})
    for session in (old, run, child, child_of):
        await store.transition_session(session.id, SessionState.PLANNING, reason="start")
        task = await store.add_task(session.id, "Look")
        await store.transition_task(task.id, WorkState.SKIPPED)
        await store.transition_session(session.id, SessionState.EXECUTING, reason="plan")
    await store.transition_session(old.id, SessionState.FAILED, reason="before")
    settings = Settings(tui=TuiSettings(desktop_notice="osc777"))
    host, written = Host(clock, settings), list[str]()
    alerts = RunAlerts(host, "shop", written.append, XTERM)
    clock.turn(seconds=1)
    alerts.begin(workspace)
    await alerts.look(workspace)
    assert not host.shown
    assert "\a" not in written
    assert written[-1] == title_sequence("acode-tui shop")

    written.clear()
    clock.turn(seconds=1)
    await store.transition_session(run.id, SessionState.AWAITING_APPROVAL, reason="may I?")
    await store.transition_session(child_of.id, SessionState.COMPLETED, reason="done")
    for _ in range(3):
        await alerts.look(workspace)
    assert [(alert.name, alert.state) for alert in host.shown] == [
        (run.task_description, SessionState.AWAITING_APPROVAL)
    ]
    notice = desktop_sequence("osc777", "acode-tui shop", "Fix \x1b]0;it\x07 waits for approval", XTERM)
    assert written == ["\a", title_sequence("◆ 1 acode-tui shop"), notice]
    alerts.attend(events.AppFocus())
    assert written[-1] == title_sequence("acode-tui shop")

    written.clear()
    clock.turn(seconds=1)
    host.settings = msgspec.structs.replace(settings, tui=TuiSettings(bell=False, desktop_notice="osc777"))
    waits = await store.get_with_hierarchy(run.id)
    await store.save(msgspec.structs.replace(waits, metadata={"late": True}, updated_at=clock()))
    failed_before = await store.get_with_hierarchy(old.id)
    await store.save(msgspec.structs.replace(failed_before, metadata={"late": True}, updated_at=clock()))
    await store.transition_session(child.id, SessionState.FAILED, reason="tests")
    await alerts.look(workspace)
    assert [alert.name for alert in host.shown[1:]] == ["child"]
    assert written == [title_sequence("✗ 1 acode-tui shop")], "who is here needs no notice"

    written.clear()
    alerts.hold(True)
    clock.turn(seconds=1)
    await store.transition_session(run.id, SessionState.EXECUTING, reason="yes")
    await store.transition_session(run.id, SessionState.COMPLETED, reason="done")
    await alerts.look(workspace)
    assert written == []
    alerts.hold(False)
    assert written == [title_sequence("✗ 1 ✓ 1 acode-tui shop")]
    await alerts.end()


@pytest.mark.parametrize("term", ["linux", "vt100", "dumb", ""])
async def test_a_terminal_that_may_print_sequences_gets_the_bell_alone(
    workspace: Workspace, clock: TurnedClock, term: str
) -> None:
    session = await workspace.store.create_session("Fix it")
    written = list[str]()
    alerts = RunAlerts(
        Host(clock, Settings(tui=TuiSettings(desktop_notice="osc9"))), "shop", written.append, {"TERM": term}
    )
    alerts.begin(workspace)
    await workspace.store.transition_session(session.id, SessionState.CANCELLED, reason="no")
    await alerts.look(workspace)
    await alerts.end()
    assert written == ["\a"]
