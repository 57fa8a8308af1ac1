"""The Claude Agent SDK itself, with a transport in place of the program that it starts, which plays its part."""

import asyncio
import gc
import json
import runpy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from acode_tui import recorder
from acode_tui.domain.entities import SessionGraph
from tests.integrations.conftest import Said
from tests.recorder.conftest import Recorded, states

pytest.importorskip("claude_agent_sdk", reason="needs acode-tui[claude-agent-sdk]")

import claude_agent_sdk
from claude_agent_sdk import ClaudeAgentOptions, HookMatcher, Message, Transport, query

from acode_tui.integrations.claude_agent_sdk import record_claude_agent, record_messages

EXAMPLE = Path(__file__).parents[2] / "examples" / "claude_agent.py"
Script = list[tuple[str, dict[str, Any]]]
"""What the program does: messages, and events for the hooks."""


class Program(Transport):
    """Plays a script: sends messages, and waits for the answer to each hook that was registered for an event."""

    def __init__(self, script: Script, session: str = "s1") -> None:
        self._script = script
        self._session = session
        self._hooks: dict[str, list[dict[str, Any]]] = {}
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.answered: list[Any] = []

    async def connect(self) -> None:
        pass

    async def write(self, data: str) -> None:
        said = json.loads(data)
        if said["type"] in ("control_request", "control_response"):
            self._answers.put_nowait(said)

    async def read_messages(self) -> AsyncIterator[dict[str, Any]]:
        asked = await self._answers.get()
        self._hooks = asked["request"]["hooks"] or {}
        answer = {"subtype": "success", "request_id": asked["request_id"], "response": {}}
        yield {"type": "control_response", "response": answer}
        for kind, facts in self._script:
            if kind == "wait":
                await asyncio.Event().wait()
            if kind in ("system", "assistant", "result"):
                yield {"type": kind, "session_id": self._session, "uuid": "u", **facts}
                continue
            event = {
                "hook_event_name": kind,
                "session_id": self._session,
                "cwd": "/src",
                "transcript_path": "",
                **facts,
            }
            for matcher in self._hooks.get(kind, []):
                for number in matcher["hookCallbackIds"]:
                    request = {"subtype": "hook_callback", "callback_id": number, "input": event, "tool_use_id": None}
                    yield {"type": "control_request", "request_id": f"{kind}-{number}", "request": request}
                    self.answered.append((await self._answers.get())["response"]["response"])

    async def close(self) -> None:
        pass

    def is_ready(self) -> bool:
        return True

    async def end_input(self) -> None:
        pass


INIT = ("system", {"subtype": "init"})


def says(
    number: int, *blocks: dict[str, Any], output: int = 5, parent: str | None = None
) -> tuple[str, dict[str, Any]]:
    usage = {
        "input_tokens": 10,
        "output_tokens": output,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 3,
    }
    message = {"id": f"m{number}", "model": "claude-test", "content": list(blocks), "usage": usage}
    return "assistant", {"message": message, "parent_tool_use_id": None}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def uses(number: int, name: str, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"t{number}", "name": name, "input": given}


def event(kind: str, number: int, name: str, *, agent: str | None = None, **facts: Any) -> tuple[str, dict[str, Any]]:
    known = {"tool_name": name, "tool_input": {"path": "x"}, "tool_use_id": f"t{number}", **facts}
    return kind, known if agent is None else {**known, "agent_id": agent, "agent_type": "Explore"}


def result(said: str, *, is_error: bool = False) -> tuple[str, dict[str, Any]]:
    return "result", {
        "subtype": "error_max_turns" if is_error else "success", "is_error": is_error, "result": said,
        "duration_ms": 1, "duration_api_ms": 1, "num_turns": 1, "total_cost_usd": 0.1, "usage": {},
    }  # fmt: skip


def play(script: Script, options: ClaudeAgentOptions, *, messages: bool = True, session: str = "s1") -> Program:
    program = Program(script, session)

    async def read() -> None:
        found: AsyncIterator[Message] = query(prompt="go", options=options, transport=program)
        async for _ in record_messages(found) if messages else found:
            pass

    asyncio.run(read())
    return program


def only(graphs: list[SessionGraph]) -> SessionGraph:
    (graph,) = graphs
    return graph


TURN: Script = [
    INIT,
    ("UserPromptSubmit", {"prompt": "Review x."}),
    says(1, {"type": "thinking", "thinking": "Let me look.", "signature": ""}, output=1),
    says(1, uses(1, "Read", path="x")),
    event("PreToolUse", 1, "Read"),
    event("PostToolUse", 1, "Read", tool_response={"lines": 3}),
    says(2, text("I try it."), uses(2, "Bash")),
    event("PreToolUse", 2, "Bash"),
    event("PermissionRequest", 2, "Bash"),
    event("PostToolUseFailure", 2, "Bash", error="exit 1"),
    says(3, uses(3, "Task")),
    event("PreToolUse", 3, "Task"),
    ("SubagentStart", {"agent_id": "a1", "agent_type": "Explore"}),
    event("PreToolUse", 4, "Grep", agent="a1"),
    event("PostToolUse", 4, "Grep", agent="a1", tool_response="none"),
    ("SubagentStop", {"agent_id": "a1", "agent_type": "Explore", "last_assistant_message": "Nothing there."}),
    event("PostToolUse", 3, "Task", tool_response="Nothing there."),
    says(4, text("It is fine.")),
    ("Stop", {"last_assistant_message": "It is fine."}),
    result("It is fine."),
]


def test_a_turn_with_its_messages(folder: Path, recorded: Recorded, said: Said) -> None:
    seen: list[str] = []

    async def own(given: Any, tool_use_id: Any, context: Any) -> Any:
        seen.append(given["tool_name"])
        return {"continue_": True}

    given = ClaudeAgentOptions(hooks={"PreToolUse": [HookMatcher(hooks=[own])]})
    options = record_claude_agent(given, folder)
    assert len((given.hooks or {})["PreToolUse"]) == 1, "the options that were given stay as they are"
    program = play(TURN, options)
    assert seen == ["Read", "Bash", "Task", "Grep"]
    assert [answer for answer in program.answered if answer] == [{"continue": True}] * 4, "the recorder decides nothing"
    recorder.close()
    run = only(recorded())
    (task,) = run.tasks
    assert (run.task_description, str(task.state)) == ("Review x.", "Completed")
    steps = [
        (step.name, str(step.state), [(c.tool_name, str(c.state)) for c in step.tool_calls]) for step in task.steps
    ]
    assert steps == [
        ("Think", "Completed", [("Read", "Succeeded")]),
        ("I try it.", "Skipped", [("Bash", "Failed")]),
        ("Use Task", "Completed", [("Task", "Succeeded")]),
        ("Subagent Explore", "Completed", [("Grep", "Succeeded")]),
        ("It is fine.", "Completed", []),
    ]
    assert said(run) == [
        ("UserPrompt", "Review x."), ("Reasoning", "Let me look."), ("ModelResponse", "I try it."),
        ("ModelResponse", "Nothing there."), ("ModelResponse", "It is fine."),
    ]  # fmt: skip
    assert [str(event.to_state) for event in run.events] == [
        "Planning", "Executing", "AwaitingApproval", "Executing", "Paused",
    ]  # fmt: skip
    facts = run.metadata or {}
    assert facts["tokens"] == {"input": 40, "output": 20, "cacheRead": 400, "cacheWrite": 12}
    assert (facts["agent"], facts["nativeId"], facts["cwd"]) == ("claude-agent-sdk", "s1", "/src")


def test_hooks_alone_and_a_second_turn_and_one_that_fails(folder: Path, recorded: Recorded, said: Said) -> None:
    options = record_claude_agent(path=folder)
    play(TURN, options, messages=False)
    play([INIT, ("UserPromptSubmit", {"prompt": "And y?"}), result("too long", is_error=True)], options)
    recorder.close()
    play(TURN, options, session="s2")
    recorder.close()
    first, other = recorded()
    assert [(task.title, str(task.state)) for task in first.tasks] == [("Review x.", "Completed"), ("And y?", "Failed")]
    assert (str(first.state), first.events[-1].reason) == ("Failed", "too long")
    assert said(first)[-2:] == [("ModelResponse", "It is fine."), ("UserPrompt", "And y?")]
    assert str(other.state) == "Paused"


def test_a_database_that_fails_harms_no_turn(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged workspace: each hook is answered as with a sound one, and one line of the log says so."""
    sound = play(TURN, record_claude_agent(path=folder)).answered
    recorder.close()
    (folder / ".agent" / "workspace.db").write_bytes(b"not a database" * 100)
    assert play(TURN, record_claude_agent(path=folder), session="s2").answered == sound != []
    recorder.close()
    assert len([record for record in caplog.records if record.name == "acode_tui.recorder"]) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_turn_that_is_given_up_and_events_that_are_garbage(folder: Path, recorded: Recorded) -> None:
    options = record_claude_agent(path=folder)

    async def give_up() -> None:
        script: Script = [*TURN[:6], says(2, text("And now?")), ("wait", {})]
        messages = record_messages(query(prompt="go", options=options, transport=Program(script)))
        async for message in messages:
            if isinstance(message, claude_agent_sdk.AssistantMessage) and message.message_id == "m2":
                break
        await messages.aclose()  # type: ignore[attr-defined]
        late: Any = {"hook_event_name": "PreToolUse", "session_id": "s1", "tool_name": "Late", "tool_use_id": "t9"}
        await (options.hooks or {})["PreToolUse"][0].hooks[0](late, None, {"signal": None})

    asyncio.run(give_up())
    recorder.close()
    gc.collect()  # here, where the warning about a stream that the SDK leaves open is ignored
    loop: dict[str, Any] = {"blob": "x" * 10**6, "nul": "\0"}
    garbage: Script = [
        ("PostToolUse", {}),
        ("PreToolUse", {"tool_name": None, "tool_input": [[[loop]]], "tool_use_id": 7}),
        ("SubagentStop", {"agent_id": None}),
        ("Stop", {"session_id": 5}),
        ("Stop", {}),
    ]
    play(garbage, options, messages=False, session="s2")
    recorder.close()
    given_up, garbled = recorded()
    assert states(given_up)["call Read"] == "Succeeded"
    assert "call Late" not in states(given_up)
    assert (str(given_up.state), given_up.events[-1].reason) == ("Paused", "the turn was given up")
    assert states(garbled)["call None"] == "Cancelled"


def test_the_example_runs(
    folder: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    real = claude_agent_sdk.query
    monkeypatch.setattr(claude_agent_sdk, "query", lambda **given: real(**given, transport=Program(TURN)))
    runpy.run_path(str(EXAMPLE))
    assert capsys.readouterr().out == "It is fine.\n"
    recorder.close()
    assert states(only(recorded()))["call Read"] == "Succeeded"
