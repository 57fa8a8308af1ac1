"""How prompts, sessions and agents of Claude Code relate: rewinds, copies, subagents, workflows."""

import json
from pathlib import Path

import pytest

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.ids import imported_id
from acode_tui.domain.states import WorkState
from acode_tui.ingest.discover import find
from acode_tui.ingest.registry import format_named
from tests.ingest.builders import SESSION, Claude, calls_of, context_for, graph_of, steps_of

OTHER = "99999999-2222-4333-8444-555555555555"


class Chain(Claude):
    """A session whose lines name the line before them, as the program writes them."""

    def __init__(self, session: str = SESSION) -> None:
        super().__init__(session)
        self.tip: str | None = None

    def record(self, type_: str, **fields: object) -> None:
        uuid = f"{self.session[:8]}-{len(self.lines)}"
        super().record(type_, **{"parentUuid": self.tip, **fields})
        self.tip = uuid

    def turn(self, prompt: str) -> str | None:
        """A prompt and its answer. Returns what the prompt followed."""
        before = self.tip
        self.user(prompt)
        self.says(f"m{len(self.lines)}", f"Answer to {prompt}")
        return before


def outcome(graph: SessionGraph) -> list[tuple[str, WorkState, bool]]:
    return [(task.title, task.state, bool((task.metadata or {}).get("superseded"))) for task in graph.tasks]


def test_prompts_that_the_user_went_back_from_are_superseded() -> None:
    transcript = Chain()
    transcript.turn("First")
    before_second = transcript.turn("Second")
    transcript.turn("Third")
    transcript.tip = before_second
    transcript.turn("Second, better")
    graph = graph_of(transcript)
    assert outcome(graph) == [
        ("First", WorkState.COMPLETED, False),
        ("Second", WorkState.SKIPPED, True),
        ("Third", WorkState.SKIPPED, True),
        ("Second, better", WorkState.COMPLETED, False),
    ]
    assert [bool((step.metadata or {}).get("abandoned")) for step in steps_of(graph)] == [False, True, True, False]
    assert any("the user went back: 2 earlier prompts" in event.reason for event in graph.events)


def test_a_branch_that_the_user_returns_to_counts_again() -> None:
    transcript = Chain()
    transcript.turn("First")
    before = transcript.turn("Second")
    end_of_second = transcript.tip
    transcript.tip = before
    transcript.turn("Another second")
    transcript.tip = end_of_second
    transcript.turn("After the second")
    assert [(title, left) for title, _, left in outcome(graph_of(transcript))] == [
        ("First", False),
        ("Second", False),
        ("Another second", True),
        ("After the second", False),
    ]


@pytest.mark.parametrize("parent", [None, "nowhere", 7, ""])
def test_a_prompt_that_names_no_known_record_supersedes_nothing(parent: object) -> None:
    transcript = Chain()
    transcript.turn("First")
    transcript.tip = parent  # type: ignore[assignment]
    transcript.turn("Second")
    assert not any(left for *_, left in outcome(graph_of(transcript)))


def test_results_of_parallel_calls_are_no_branches() -> None:
    transcript = Chain()
    transcript.user("Go")
    transcript.calls("m1", "c1", "Bash")
    first = transcript.tip
    transcript.calls("m1", "c2", "Bash")
    transcript.tip = first
    transcript.result("c1")
    transcript.result("c2")
    transcript.turn("Next")
    assert not any(left for *_, left in outcome(graph_of(transcript)))


def test_a_queued_prompt_between_the_records_is_no_branch() -> None:
    transcript = Chain()
    transcript.user("Go")
    transcript.calls("m1", "c1", "Bash")
    transcript.queue("remove", "And the tests")
    transcript.result("c1")
    before = transcript.tip
    transcript.says("m2", "With tests")
    transcript.tip = before
    transcript.turn("Next")
    assert not any(left for *_, left in outcome(graph_of(transcript)))


def read_file(path: Path) -> list[SessionGraph]:
    lines = path.read_bytes().splitlines()
    return list(format_named("claude-code").read(enumerate(lines, 1), context_for(path)).graphs)


def copy_of(origin: Claude, session: str, **fields: object) -> Chain:
    """The lines of a session under another session's id, as the program copies them."""
    copy = Chain(session)
    for line in origin.lines:
        record = json.loads(line) | {"sessionId": session, **fields}
        if "forkedFrom" in fields:
            record["forkedFrom"] = {"sessionId": origin.session, "messageUuid": record["uuid"]}
        copy.add(record)
        copy.tip = record["uuid"]
    copy.common |= {name: value for name, value in fields.items() if name != "forkedFrom"}
    return copy


@pytest.mark.parametrize("mark", [{"sessionKind": "bg"}, {"forkedFrom": True}])
def test_what_a_session_copied_from_another_one_is_the_other_one_s(tmp_path: Path, mark: dict[str, object]) -> None:
    origin = Chain()
    origin.user("Refactor the store")
    origin.calls("m1", "c1", "Bash", usage={"output_tokens": 10})
    origin.result("c1")
    origin.says("m2", "Done", usage={"output_tokens": 20})
    first = origin.write(tmp_path / f"{SESSION}.jsonl")
    copy = copy_of(origin, OTHER, **mark)
    only_copied = copy.write(tmp_path / f"{OTHER}.jsonl")
    assert read_file(only_copied) == []
    copy.user("And the tests")
    copy.says("m3", "Pass", usage={"output_tokens": 5})
    (graph,) = read_file(copy.write(tmp_path / f"{OTHER}.jsonl"))
    metadata = graph.metadata or {}
    assert [task.title for task in graph.tasks] == ["And the tests"]
    assert calls_of(graph) == []
    assert metadata["tokens"]["output"] == 5
    assert metadata["parentSessionId"] == imported_id("claude-code", SESSION)
    assert metadata["parentNativeId"] == SESSION
    assert metadata["relation"] == ("background" if "sessionKind" in mark else "fork")
    assert metadata.get("sessionKind") == mark.get("sessionKind")
    (whole,) = read_file(first)
    assert [task.title for task in whole.tasks] == ["Refactor the store"]
    assert "parentSessionId" not in (whole.metadata or {})


def test_a_session_names_the_one_in_which_it_went_on() -> None:
    transcript = Chain()
    transcript.turn("Refactor the store")
    transcript.add({"type": "continued-in", "sessionId": SESSION, "continuedInSessionId": OTHER})
    metadata = graph_of(transcript).metadata or {}
    assert (metadata["continuedIn"], metadata["continuedInSessionId"]) == (OTHER, imported_id("claude-code", OTHER))


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"toolUseId":7}'])
def test_a_damaged_file_beside_a_subagent_s_transcript_says_nothing(tmp_path: Path, content: bytes) -> None:
    agent = Claude(isSidechain=True, agentId="a1")
    agent.user("Look")
    (tmp_path / "agent-a1.meta.json").write_bytes(content)
    (graph,) = read_file(agent.write(tmp_path / "agent-a1.jsonl"))
    assert "spawnedBy" not in (graph.metadata or {})


@pytest.mark.parametrize("mark", [{"sessionKind": "bg"}, {"forkedFrom": True}])
def test_a_copy_whose_origin_is_gone_keeps_all_words(tmp_path: Path, mark: dict[str, object]) -> None:
    origin = Chain()
    origin.turn("Refactor the store")
    copy = copy_of(origin, OTHER, **mark)
    copy.turn("And the tests")
    (graph,) = read_file(copy.write(tmp_path / f"{OTHER}.jsonl"))
    assert [task.title for task in graph.tasks] == ["Refactor the store", "And the tests"]


def test_a_session_of_the_background_is_no_copy_of_one_that_begins_otherwise(tmp_path: Path) -> None:
    Chain("77777777-2222-4333-8444-555555555555").write(tmp_path / "empty.jsonl")
    other = Chain("88888888-2222-4333-8444-555555555555")
    other.turn("Something else")
    other.write(tmp_path / f"{other.session}.jsonl")
    own = Chain(OTHER)
    own.common["sessionKind"] = "bg"
    own.turn("Refactor the store")
    (graph,) = read_file(own.write(tmp_path / f"{OTHER}.jsonl"))
    assert [task.title for task in graph.tasks] == ["Refactor the store"]
    assert "parentSessionId" not in (graph.metadata or {})


def test_agents_of_a_workflow_are_linked_to_their_parent_and_its_journal_is_not_opened(tmp_path: Path) -> None:
    parent = Claude()
    parent.user("Run the audit")
    parent.calls("m1", "w1", "Workflow", {"scriptPath": "audit.js"})
    parent.result("w1", "started", toolUseResult={"status": "async_launched", "runId": "wf_1"})
    parent.write(tmp_path / f"{SESSION}.jsonl")
    folder = tmp_path / SESSION / "subagents" / "workflows" / "wf_1"
    agent = Claude(isSidechain=True, agentId="a1")
    agent.user("Audit file a")
    agent.says("m9", "Fine")
    path = agent.write(folder / "agent-a1.jsonl")
    (folder / "journal.jsonl").write_text('{"type":"started","key":"k","agentId":"a1"}\n')
    (folder / "agent-a1.meta.json").write_text('{"agentType":"workflow","toolUseId":"w1","spawnDepth":1}')
    assert [found.path.name for found in find([tmp_path])] == [f"{SESSION}.jsonl", "agent-a1.jsonl"]
    (graph,) = read_file(path)
    metadata = graph.metadata or {}
    assert metadata["parentSessionId"] == imported_id("claude-code", SESSION)
    assert (metadata["relation"], metadata["workflowRunId"]) == ("subagent", "wf_1")
    assert (metadata["agentType"], metadata["spawnedBy"]) == ("workflow", "w1")
    (call,) = calls_of(graph_of(parent))
    assert (call.result or {})["runId"] == "wf_1"


def test_a_journal_of_another_kind_is_looked_at(tmp_path: Path) -> None:
    transcript = Claude()
    transcript.user("Go")
    transcript.write(tmp_path / "journal.jsonl")
    assert [found.path.name for found in find([tmp_path])] == ["journal.jsonl"]
