"""Records runs of the Claude Agent SDK: ``record_claude_agent(options)`` adds hooks, ``record_messages`` adds answers.

A session of Claude is a session, each prompt a task, each answer a step, each tool use a call; a subagent is a step
with its calls. Needs ``acode-tui[claude-agent-sdk]``.
"""

import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from claude_agent_sdk import (
    AssistantMessage,
    ClaudeAgentOptions,
    HookContext,
    HookInput,
    HookMatcher,
    Message,
    ResultMessage,
    ServerToolResultBlock,
    ServerToolUseBlock,
    SystemMessage,
    TextBlock,
    ThinkingBlock,
)
from claude_agent_sdk.types import HookEvent, HookJSONOutput

from acode_tui.integrations.conversations import Conversations, Turn, harmless
from acode_tui.recorder.run import Call, Step, Task
from acode_tui.recorder.values import title

M = TypeVar("M", bound=Message)

_NAME_CHARS = 200
_EVENTS: tuple[HookEvent, ...] = (
    "UserPromptSubmit",
    "PreToolUse",
    "PostToolUse",
    "PostToolUseFailure",
    "PermissionRequest",
    "SubagentStart",
    "SubagentStop",
    "Stop",
)
_MAIN = ""
"""The key of the main agent's step among those of its subagents."""


def record_claude_agent(
    options: ClaudeAgentOptions | None = None, path: str | Path | None = None
) -> ClaudeAgentOptions:
    """The options with hooks that record, behind those that are there; the given ones stay as they are.

    Records in the workspace in the folder ``path``, else in the one that commands use here. The hooks decide nothing.
    """
    given = options or ClaudeAgentOptions()
    recording = _Recording(path)

    async def record(event: HookInput, tool_use_id: str | None, context: HookContext) -> HookJSONOutput:
        recording.hook(cast("dict[str, Any]", event))
        return {}

    hooks = dict(given.hooks or {})
    for name in _EVENTS:
        hooks[name] = [*hooks.get(name, ()), HookMatcher(hooks=[record])]
    return replace(given, hooks=hooks)


async def record_messages(messages: AsyncIterator[M]) -> AsyncIterator[M]:
    """The messages of ``query(...)`` or ``client.receive_response()``, unchanged; what only they tell is recorded.

    That is each answer, thought and model, its tokens, and how the turn ended. Does nothing for a session without the
    hooks.
    """
    session_id: str | None = None
    try:
        async for message in messages:
            if (found := _session_of(message)) is not None:
                session_id = found
                _read.add(found)
            _record(session_id, message)
            yield message
    finally:
        if (close := getattr(messages, "aclose", None)) is not None:
            # Now, not when it is collected: the program would go on after the turn was given up.
            await close()
        _abandon(session_id)


class _Session:
    """A session of Claude while one of its turns is under way."""

    def __init__(self, recording: "_Recording", turn: Turn, task: Task) -> None:
        self.recording = recording
        self.turn = turn
        self.task = task
        self.steps: dict[str, _Answer] = {}
        """The open steps: of the main agent, and of each subagent by its id."""
        self.calls: dict[str, tuple[Call, _Answer | None]] = {}
        self.waits = False

    def goes_on(self) -> None:
        """An approval that was awaited was given."""
        if self.waits:
            self.waits = False
            self.turn.run.approve("the agent went on")


class _Answer:
    """A step, with the facts of its message so far. A message comes in pieces that repeat its usage."""

    def __init__(self, step: Step, message_id: str | None = None) -> None:
        self.step = step
        self.message_id = message_id
        self.model: str | None = None
        self.usage: dict[str, Any] = {}
        self.failed_calls = 0

    def end(self) -> None:
        if self.model is not None or self.usage:
            self.step.usage(
                model=self.model,
                input=self.usage.get("input_tokens") or 0,
                output=self.usage.get("output_tokens") or 0,
                cache_read=self.usage.get("cache_read_input_tokens") or 0,
                cache_write=self.usage.get("cache_creation_input_tokens") or 0,
            )
        if self.failed_calls:
            # The agent saw the failure and went on.
            self.step.skip()
        self.step.end()


_sessions: dict[str, _Session] = {}
_read: set[str] = set()
"""The sessions whose messages are read by ``record_messages``: their turns end with a result message."""

_given_up: set[str] = set()
"""The sessions whose reader went away in the middle of a turn. What still comes of that turn is not recorded."""

_lock = threading.RLock()


class _Recording:
    """What the hooks of one agent do."""

    def __init__(self, path: str | Path | None) -> None:
        self._conversations = Conversations(path, "claude-agent-sdk")

    @harmless
    def hook(self, event: dict[str, Any]) -> None:
        """Record an event. Unknown ones, and those without a session, are ignored."""
        session_id = event.get("session_id")
        handler = _HANDLERS.get(str(event.get("hook_event_name")))
        if handler is None or not isinstance(session_id, str):
            return
        with _lock:
            if handler is _prompt:
                _given_up.discard(session_id)
            if session_id not in _given_up:
                handler(self, session_id, event)

    def begin(self, session_id: str, event: dict[str, Any]) -> _Session:
        """A prompt begins a turn; the turn before was interrupted if it is open still."""
        before = _sessions.pop(session_id, None)
        if before is not None:
            _leave(before, cancelled="the turn was interrupted")
        prompt = str(event.get("prompt") or "")
        name = title(prompt.strip() or "Claude", limit=_NAME_CHARS)
        facts = {"nativeId": session_id, "cwd": event.get("cwd")}
        turn = self._conversations.enter(name, session_id, is_conversation=True, metadata=facts)
        session = _sessions[session_id] = _Session(self, turn, turn.run.task(name).start())
        if prompt:
            session.task.say(prompt=prompt)
        return session

    def known(self, session_id: str, event: dict[str, Any]) -> _Session:
        """The session's turn; one that no prompt began, such as the answer to a background task, begins here."""
        found = _sessions.get(session_id) or self.begin(session_id, {"cwd": event.get("cwd")})
        found.goes_on()
        return found

    def leave(self, session: _Session, *, failure: str | None = None, cancelled: str | None = None) -> None:
        self._conversations.leave(session.turn, failure=failure, cancelled=cancelled)


def _prompt(recording: _Recording, session_id: str, event: dict[str, Any]) -> None:
    recording.begin(session_id, event)


def _tool_begins(recording: _Recording, session_id: str, event: dict[str, Any]) -> None:
    session = recording.known(session_id, event)
    agent = str(event.get("agent_id") or _MAIN)
    answer = session.steps.get(agent)
    if answer is None and agent != _MAIN:
        answer = _subagent(session, event)
    holder = session.task if answer is None else answer.step
    call = holder.tool(str(event.get("tool_name")), event.get("tool_input")).start()
    session.calls[str(event.get("tool_use_id"))] = call, answer


def _tool_ends(recording: _Recording, session_id: str, event: dict[str, Any]) -> None:
    session = _sessions.get(session_id)
    if session is None:
        return
    session.goes_on()
    call, answer = session.calls.pop(str(event.get("tool_use_id")), (None, None))
    if call is None:
        return
    if event.get("hook_event_name") == "PostToolUse":
        call.result(event.get("tool_response"))
    elif event.get("is_interrupt"):
        call.cancel(str(event.get("error") or "interrupted"))
    else:
        call.fail(str(event.get("error") or "failed"))
        if answer is not None:
            answer.failed_calls += 1
    call.end()


def _asks(recording: _Recording, session_id: str, event: dict[str, Any]) -> None:
    session = recording.known(session_id, event)
    session.waits = True
    session.turn.run.await_approval(f"{event.get('tool_name')} waits for a permission")


def _subagent_begins(recording: _Recording, session_id: str, event: dict[str, Any]) -> None:
    _subagent(recording.known(session_id, event), event)


def _subagent_ends(recording: _Recording, session_id: str, event: dict[str, Any]) -> None:
    session = recording.known(session_id, event)
    answer = session.steps.pop(str(event.get("agent_id")), None) or _subagent(session, event)
    session.steps.pop(str(event.get("agent_id")), None)
    if said := event.get("last_assistant_message"):
        answer.step.say(answer=str(said))
    answer.end()


def _stops(recording: _Recording, session_id: str, event: dict[str, Any]) -> None:
    session = _sessions.get(session_id)
    if session is None:
        return
    session.goes_on()
    if session_id in _read:
        return  # the result message follows
    if said := event.get("last_assistant_message"):
        step = session.task.step("Answer").start()
        step.say(answer=str(said))
        step.end()
    del _sessions[session_id]
    _leave(session)


_HANDLERS: dict[str, Callable[[_Recording, str, dict[str, Any]], None]] = {
    "UserPromptSubmit": _prompt,
    "PreToolUse": _tool_begins,
    "PostToolUse": _tool_ends,
    "PostToolUseFailure": _tool_ends,
    "PermissionRequest": _asks,
    "SubagentStart": _subagent_begins,
    "SubagentStop": _subagent_ends,
    "Stop": _stops,
}


def _subagent(session: _Session, event: dict[str, Any]) -> _Answer:
    agent = str(event.get("agent_id"))
    kind = str(event.get("agent_type") or "agent")
    answer = _Answer(session.task.step(f"Subagent {kind}", metadata={"agentId": agent, "agentType": kind}).start())
    session.steps[agent] = answer
    return answer


def _leave(session: _Session, *, failure: str | None = None, cancelled: str | None = None) -> None:
    for call, _ in session.calls.values():
        call.cancel("the turn ended first")
        call.end()
    for answer in session.steps.values():
        answer.end()
    if failure is not None:
        session.task.fail()
    session.task.end()
    session.recording.leave(session, failure=failure, cancelled=cancelled)


@harmless
def _record(session_id: str | None, message: Any) -> None:
    with _lock:
        session = None if session_id is None else _sessions.get(session_id)
        if session is None or session_id is None:
            return
        if isinstance(message, AssistantMessage):
            _answer(session, message)
        elif isinstance(message, ResultMessage):
            del _sessions[session_id]
            what = message.result or "; ".join(message.errors or ()) or message.subtype
            _leave(session, failure=what if message.is_error else None)


@harmless
def _abandon(session_id: str | None) -> None:
    """The messages have ended; without a result, the turn was given up."""
    with _lock:
        if session_id is None:
            return
        _read.discard(session_id)
        session = _sessions.pop(session_id, None)
        if session is not None:
            _given_up.add(session_id)
            _leave(session, cancelled="the turn was given up")


def _answer(session: _Session, message: AssistantMessage) -> None:
    key = f"message of {message.parent_tool_use_id}" if message.parent_tool_use_id else _MAIN
    answer = session.steps.get(key)
    if answer is None or message.message_id is None or answer.message_id != message.message_id:
        if answer is not None:
            answer.end()
        step = session.task.step(_name_of(message)).start()
        answer = session.steps[key] = _Answer(step, message.message_id)
    answer.model = message.model or answer.model
    # The last piece has the whole of the output's tokens.
    answer.usage = message.usage or answer.usage
    for block in message.content:
        if isinstance(block, TextBlock):
            answer.step.say(answer=block.text)
        elif isinstance(block, ThinkingBlock):
            answer.step.say(reasoning=block.thinking)
        elif isinstance(block, ServerToolUseBlock):
            session.calls[block.id] = answer.step.tool(str(block.name), block.input).start(), answer
        elif isinstance(block, ServerToolResultBlock):
            call, _ = session.calls.pop(block.tool_use_id, (None, None))
            if call is not None:
                call.result(block.content)
                call.end()


def _name_of(message: AssistantMessage) -> str:
    """The beginning of an answer, or what it does."""
    for block in message.content:
        if isinstance(block, TextBlock) and block.text.strip():
            return title(block.text.strip(), limit=_NAME_CHARS)
    names = [name for block in message.content if isinstance(name := getattr(block, "name", None), str)]
    return f"Use {names[0]}" if names else "Think"


def _session_of(message: Any) -> str | None:
    found = message.data.get("session_id") if isinstance(message, SystemMessage) else None
    found = found or getattr(message, "session_id", None)
    return found if isinstance(found, str) else None
