"""A file with the lines of several sessions, or of several releases of the agent."""

from typing import Any

import pytest

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.states import WorkState
from tests.ingest.builders import SESSION, Claude, Codex, Transcript, graph_of, steps_of
from tests.ingest.copilot.builder import Copilot
from tests.ingest.pi.builder import Pi

OTHER = "99999999-2222-4333-8444-555555555555"


def marked(graph: SessionGraph) -> list[tuple[str, Any]]:
    """The titles of the tasks, and the sessions that they are marked with."""
    return [(task.title, (task.metadata or {}).get("nativeSessionId")) for task in graph.tasks]


def mixed_claude() -> Claude:
    """Two sessions whose lines alternate, each prompt of which follows the last record of its own session."""
    found = Claude()
    found.user("Draw the map", uuid="a1")
    found.says("m1", "Drawn.", uuid="a2")
    found.session = OTHER
    found.user("Count the boats", uuid="b1", version="2.1.40")
    found.session = SESSION
    found.user("Now in colour", uuid="a3", parentUuid="a2")
    found.says("m2", "In colour.", uuid="a4")
    found.session = OTHER
    found.says("m3", "Four boats.", uuid="b2", version="2.1.40")
    found.user("And the ships", uuid="b3", parentUuid="b2")
    found.says("m4", "None.")
    return found


def test_what_is_of_another_session_is_marked_and_nothing_is_taken_for_left() -> None:
    graph = graph_of(mixed_claude())
    metadata = graph.metadata or {}
    assert metadata["nativeId"] == SESSION
    assert metadata["otherSessions"] == [OTHER]
    assert metadata["agentVersions"] == ["2.1.39", "2.1.40"]
    assert marked(graph) == [
        ("Draw the map", None),
        ("Count the boats", OTHER),
        ("Now in colour", None),
        ("And the ships", OTHER),
    ]
    assert WorkState.SKIPPED not in {task.state for task in graph.tasks if task.title != "Count the boats"}
    assert [(step.metadata or {}).get("nativeSessionId") for step in steps_of(graph)] == [None, None, OTHER, OTHER]
    notes = [event.reason.partition(" [")[0] for event in graph.events]
    assert f"lines of another session: {OTHER}" in notes
    assert "another release of the agent: 2.1.40" in notes


def test_the_user_may_still_go_back_in_one_of_them() -> None:
    found = mixed_claude()
    found.session = SESSION
    found.user("In black and white", parentUuid="a2")
    left = [task.title for task in graph_of(found).tasks if (task.metadata or {}).get("superseded")]
    assert left == ["Now in colour"]


def test_a_file_of_one_session_and_one_release_says_nothing_of_others() -> None:
    found = Claude()
    found.user("Begin")
    found.says("m1", "Begun.", sessionId="[removed for privacy]")
    assert not {"otherSessions", "agentVersions"} & (graph_of(found).metadata or {}).keys()


def joined_codex() -> Codex:
    found, other = Codex(), Codex(OTHER)
    for transcript in (found, other):
        transcript.prompt("Look")
        transcript.says("Seen")
    found.lines += [line.replace(b"0.104.0", b"0.148.0") for line in other.lines]
    return found


def joined(first: Any, second: Any) -> Transcript:
    for transcript in (first, second):
        transcript.prompt("Look")
        transcript.says("Seen")
    first.lines += second.lines
    return first  # type: ignore[no-any-return]


def joined_copilot() -> Transcript:
    pair = Copilot(), Copilot()
    for found, key in zip(pair, (SESSION, OTHER), strict=True):
        found.event("session.start", sessionId=key, copilotVersion="1.0.72")
    return joined(*pair)


@pytest.mark.parametrize("found", [joined_codex(), joined(Pi(), Pi(OTHER)), joined_copilot()])
def test_two_files_that_were_joined_are_one_run_with_the_second_part_marked(found: Transcript) -> None:
    graph = graph_of(found)
    assert (graph.metadata or {})["nativeId"] == SESSION
    assert (graph.metadata or {})["otherSessions"] == [OTHER]
    assert marked(graph) == [("Look", None), ("Look", OTHER)]
