"""A growing file: later imports contradict no stored row, and the result is that of reading the whole file at once."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from acode_tui.config.settings import FORMATS
from acode_tui.domain.codec import encode_payload
from acode_tui.domain.entities import Artifact, SessionEvent
from acode_tui.domain.states import SessionState
from acode_tui.ingest.draft import MISSING_CALL
from acode_tui.ingest.format import Parsed
from acode_tui.ingest.timeline import Checkpoint
from tests.ingest.builders import Claude, Codex, Document, Transcript, read, stamp, steps_of, story
from tests.ingest.copilot.builder import copilot_story
from tests.ingest.gemini.builder import gemini_story
from tests.ingest.opencode.builder import Session, tool
from tests.ingest.openhands.builder import openhands_story
from tests.ingest.otlp.builder import otlp_story
from tests.ingest.pi.builder import pi_story
from tests.ingest.test_file_sessions import joined_codex, mixed_claude


def codex_story() -> Codex:
    found = Codex()
    found.event("task_started", turn_id="t1")
    found.prompt("Go " * 600)
    found.line("turn_context", model="gpt-a")
    found.calls("c1")
    found.event("user_message", message="steer")
    found.output("c1", "x")
    found.says("One")
    found.event("task_complete", turn_id="t1")
    found.prompt("More")
    found.calls("c2")
    found.event("turn_aborted", reason="interrupted")
    found.prompt("Again")
    found.line("turn_context", model="gpt-b")
    found.output("c9", "execution error: no call")
    found.calls("c3")
    found.output("c4", "early")
    found.calls("c4")
    found.output("c3", '{"output":"x","metadata":{"exit_code":1}}')
    found.says("Two")
    found.event("task_started", turn_id="t9")
    found.event("item_completed", item={"type": "UserMessage", "content": [{"type": "text", "text": "Newer"}]})
    found.item("reasoning", summary=[{"type": "summary_text", "text": "Hm"}])
    found.calls("c5", "exec")
    found.event("item_completed", item={"type": "CommandExecution", "id": "exec-c5", "exit_code": 3})
    found.output("c5", "Script completed")
    found.tokens(5, 5)
    found.calls("c6", "mcp__x")
    found.output("c6", "fine")
    found.event("mcp_tool_call_end", call_id="c6", result={"Err": "no"})
    found.event("thread_rolled_back", num_turns=1)
    found.event("task_complete", turn_id="t9")
    found.prompt("Last")
    found.says("Three")
    return found


def claude_story() -> Claude:
    found = story()
    found.user("A long prompt " * 200)
    found.calls("m6", "c6", "EnterPlanMode")
    found.result("c6")
    found.calls("m7", "c7", "ExitPlanMode")
    found.result("c7", "yes")
    found.calls("m8", "c8", "Task", {"prompt": "look"})
    found.says("m9", "", isApiErrorMessage=True, model="<synthetic>")
    found.user("Try again")
    found.result("elsewhere", "of a call that is missing", is_error=True)
    found.says("m10", "part one")
    found.result("c11", "before its call")
    found.says("m10", "in between")
    found.result("c11", "again")
    found.calls("m11", "c11", "Bash")
    found.says("m10", "part two")
    return found


def newer_claude_story() -> Claude:
    """What newer releases write: queued prompts, words of others, reasoning, usage, a rewind, a structured answer."""
    found = Claude(version="2.1.258", entrypoint="cli")
    found.user("A summary of what was before. " * 40, isCompactSummary=True)
    found.user("Draw the map", uuid="p1", origin={"kind": "human"})
    usage = {"input_tokens": 3, "output_tokens": 5}
    found.assistant("m1", {"type": "thinking", "thinking": "Where is north?"}, usage=usage, costUSD=0.5)
    found.calls("m1", "c1", "TodoWrite", {"todos": [{"content": "draw", "status": "pending"}]}, usage=usage)
    found.queue("enqueue", "In colour")
    found.queue("remove", "In colour")
    found.result("c1", uuid="r1")
    found.attach("queued_command", prompt="In colour", commandMode="prompt")
    found.says("m2", "In colour.", usage=usage)
    found.queue("remove", "And large")
    found.attach("hook_blocking_error", hookName="Stop", blockingError={"blockingError": "no legend " * 90})
    found.says("m3", "Large.", usage=usage, costUSD=0.25)
    found.attach("queued_command", prompt="And large", commandMode="prompt")
    found.user("<teammate-message>Done.</teammate-message>")
    found.user("Skill text " * 90, isMeta=True, sourceToolUseID="c1")
    found.user("Draw it anew", parentUuid="r1", uuid="p2")
    found.calls("m4", "t1", "TaskCreate", {"subject": "Print"})
    found.result("t1", "Task #1 created successfully: Print")
    found.calls("m4", "t2", "TaskUpdate", {"taskId": "1", "status": "completed"})
    found.result("t2", "Updated task #1 status")
    found.calls("m4", "c2", "ExitPlanMode", {"plan": "# Plan"})
    found.result("c2", "yes", toolUseResult={"plan": "# Other plan"})
    found.add({"type": "ai-title", "aiTitle": "Maps", "sessionId": found.session})
    found.add({"type": "hologram", "sessionId": found.session})
    found.add({"type": "cost-state", "totalCostUSD": 0.5, "sessionId": found.session})
    found.user("<command-name>/check</command-name>")
    found.calls("m5", "c3", "StructuredOutput", {"ok": True}, usage=usage)
    found.attach("structured_output", data={"ok": True})
    found.result("c3", "provided")
    return found


def with_times(found: Transcript, stamps: list[float]) -> Transcript:
    """The same lines with other times: equal ones, or back and forth."""
    for index, line in enumerate(found.lines):
        record = json.loads(line)
        record["timestamp"] = stamp(stamps[index % len(stamps)])
        found.lines[index] = json.dumps(record).encode()
    return found


def documents() -> list[Transcript]:
    """Transcripts that are written anew with each turn: of OpenCode, ATIF and SWE-agent."""
    session = Session()
    session.prompt("Look " * 300)
    session.says("Reading.", {"type": "reasoning", "text": "Where?"}, tool("c1", "read", "hello"))
    session.says("", tool("c2", "bash", "no", metadata={"exit": 2}), tool("c3", "bash", status="running"))
    session.prompt("Again")
    session.says("Broken", error={"name": "MessageAbortedError"})
    session.prompt("Last")
    session.says("Done.")
    steps: list[Any] = [
        {"source": "user", "message": "Look"},
        {"source": "agent", "message": "I look.", "tool_calls": [{"tool_call_id": "c1", "function_name": "ls"}]},
        {"source": "agent", "message": "", "reasoning_content": "Hm", "metrics": {"prompt_tokens": 9}},
        {"source": "user", "message": "More"},
        {"source": "agent", "message": "Done."},
    ]
    steps = [{"step_id": index, "timestamp": stamp(index), **step} for index, step in enumerate(steps, 1)]
    turns = [{"thought": f"Now {name}", "action": name, "observation": "ok"} for name in ("ls", "cat a", "submit")]
    problem = [{"role": "user", "content": "The parser drops the last line"}]
    return [
        Document("opencode", session.messages, lambda found: {"info": session.info, "messages": found}),
        Document("atif", steps, lambda found: {"schema_version": "ATIF-v1.7", "session_id": "s", "steps": found}),
        Document("swe-agent", turns, lambda found: {"trajectory": found, "history": problem, "info": {}}),
    ]


STORIES: list[Transcript] = [
    claude_story(),
    newer_claude_story(),
    codex_story(),
    mixed_claude(),
    joined_codex(),
    with_times(claude_story(), [7]),
    with_times(claude_story(), [50, 3, 40, 41, 2]),
    with_times(newer_claude_story(), [9, 3, 3]),
    with_times(codex_story(), [7, 7, 1]),
]
"""Those of the formats that read on where a file ended."""

OTHER_STORIES: list[Transcript] = [
    pi_story(),
    openhands_story(),
    copilot_story(),
    gemini_story(),
    otlp_story(),
    *documents(),
]


def test_every_format_has_a_story() -> None:
    assert {transcript.format for transcript in STORIES + OTHER_STORIES} == set(FORMATS)


def rows(parsed: Parsed) -> dict[str, bytes]:
    return {entity.id: encode_payload(entity) for graph in parsed.graphs for entity in graph.entities()}


def fixed_rows(parsed: Parsed) -> dict[str, bytes]:
    """The rows that storage never rewrites."""
    return {
        entity.id: encode_payload(entity)
        for graph in parsed.graphs
        for entity in graph.entities()
        if isinstance(entity, (SessionEvent, Artifact))
    }


def awaiting_their_call(parsed: Parsed) -> set[str]:
    """The artifacts of results without a call: with the step, and with the call once the file holds it."""
    steps = [step for graph in parsed.graphs for step in steps_of(graph)]
    return {found.id for step in steps for found in step.artifacts if found.name.startswith(MISSING_CALL)}


@given(st.sampled_from(STORIES + OTHER_STORIES), st.data())
def test_a_longer_file_never_contradicts_a_shorter_one(transcript: Transcript, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(transcript.lines)), max_size=6)) | {len(transcript.lines)})
    kind = transcript.format
    stored: dict[str, bytes] = {}
    checkpoints: tuple[Checkpoint, ...] = ()
    seen = b""
    for cut in cuts:
        fresh = data.draw(st.booleans())
        parsed = read(transcript.until(cut), fresh=fresh, checkpoints=checkpoints, seen=seen, format=kind)
        checkpoints, seen = parsed.checkpoints, parsed.seen
        fixed = fixed_rows(parsed)
        for entity_id, row in fixed.items():
            assert stored.get(entity_id, row) == row
        assert stored.keys() <= fixed.keys()
        stored.update((found, row) for found, row in fixed.items() if found not in awaiting_their_call(parsed))
    at_once = read(transcript.until(len(transcript.lines)), fresh=fresh, format=kind)
    grown, whole = rows(parsed), rows(at_once)
    # Besides the ends that were read on the way, the run is the same as if it had been read at once.
    events = {event.id for graph in parsed.graphs for event in graph.events}
    assert grown.keys() - whole.keys() <= events
    session_ids = {graph.id for graph in parsed.graphs}
    same = (grown.keys() & whole.keys()) - session_ids
    assert {found: grown[found] for found in same} == {found: whole[found] for found in same}
    assert whole.keys() - grown.keys() <= {event.id for graph in at_once.graphs for event in graph.events}


@given(st.sampled_from(STORIES + OTHER_STORIES), st.data())
def test_events_form_a_whole_chain_however_often_the_file_was_read(transcript: Transcript, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(transcript.lines)), max_size=6)) | {len(transcript.lines)})
    kind = transcript.format
    checkpoints: tuple[Checkpoint, ...] = ()
    seen = b""
    for cut in cuts:
        parsed = read(transcript.until(cut), fresh=False, checkpoints=checkpoints, seen=seen, format=kind)
        checkpoints, seen = parsed.checkpoints, parsed.seen
        for graph in parsed.graphs:
            if graph.events:
                assert graph.events[-1].to_state is graph.state
            state = SessionState.CREATED
            for event in sorted(graph.events, key=lambda event: event.timestamp):
                assert event.from_state is state
                state = event.to_state


def test_reading_the_same_lines_again_gives_the_same_rows() -> None:
    for transcript in STORIES:
        first = read(transcript)
        again = read(transcript, checkpoints=first.checkpoints)
        assert rows(first) == rows(again)
        assert first.checkpoints == again.checkpoints
