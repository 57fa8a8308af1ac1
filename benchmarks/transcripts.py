"""Made transcripts of the agents whose readers share ``RunReader``, in the proportions of published ones."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

STEPS = 200
_START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
_WORDS = ("the", "form", "validates", "input", "before", "it", "reaches", "the_store", "and", "returns", "early", "on")
_source = random.Random(20260105)


def _text(characters: int) -> str:
    return " ".join(_source.choices(_WORDS, k=characters // 6))


def _code(characters: int) -> str:
    """Lines as tools print them: indented, with quotes, each of which JSON escapes."""
    lines = []
    while characters > 0:
        lines.append(f'    {_text(24)} = "{_text(18)}"')
        characters -= len(lines[-1]) + 1
    return "\n".join(lines)


def _stamp(step: int, second: int = 0) -> str:
    return (_START + timedelta(seconds=10 * step + second)).isoformat().replace("+00:00", "Z")


def copilot() -> Iterator[Any]:
    """Five kilobytes a step, of which the events of hooks and turns are a fourth."""
    yield {"type": "session.start", "timestamp": _stamp(0), "data": {"sessionId": "s", "context": {"cwd": "/src"}}}
    for step in range(STEPS):
        common = {"id": _text(36), "timestamp": _stamp(step), "parentId": _text(36)}

        def event(kind: str, common: Any = common, **data: Any) -> dict[str, Any]:
            return {"type": kind, "data": data, **common}

        if step % 30 == 0:
            yield event("user.message", content=_text(400), transformedContent=_text(900))
        request = {"toolCallId": f"c{step}", "name": "bash", "arguments": {"command": _text(120)}}
        yield event("assistant.turn_start", turnId=str(step))
        yield event("hook.start", hookType="preToolUse", input=_text(500))
        message: dict[str, Any] = {
            "messageId": f"m{step}",
            "apiCallId": f"r{step}",
            "content": _text(150),
            "outputTokens": 90,
        }
        yield event(
            "assistant.message", model="model-a", toolRequests=[request], encryptedContent=_text(900), **message
        )
        yield event("tool.execution_start", toolCallId=f"c{step}", toolName="bash", arguments=request["arguments"])
        result = {"content": _code(1_500), "detailedContent": _code(1_500)}
        yield event("tool.execution_complete", toolCallId=f"c{step}", success=True, result=result, toolTelemetry={})
        yield event("hook.end", hookType="postToolUse", output=_text(300))


def gemini() -> Iterator[Any]:
    """Seven kilobytes a step; each message of the model is written twice, first without its call."""
    yield {"sessionId": "s", "projectHash": "ab" * 32, "startTime": _stamp(0)}
    for step in range(STEPS):
        if step % 12 == 0:
            yield {"id": f"u{step}", "timestamp": _stamp(step), "type": "user", "content": [{"text": _text(400)}]}
        tokens = {"input": 30_000, "output": 90, "cached": 20_000, "thoughts": 40, "tool": 0, "total": 30_130}
        thoughts = [{"subject": _text(40), "description": _text(300), "timestamp": _stamp(step)}]
        head = {"id": f"m{step}", "timestamp": _stamp(step), "type": "gemini", "content": _text(200)}
        message = {**head, "thoughts": thoughts, "tokens": tokens, "model": "model-a"}
        response = {"functionResponse": {"id": f"c{step}", "name": "read_file", "response": {"output": _code(2_400)}}}
        call = {"id": f"c{step}", "name": "read_file", "args": {"file_path": _text(60)}, "result": [response]}
        yield message
        yield {**message, "toolCalls": [{**call, "status": "success", "resultDisplay": _text(300)}]}
        yield {"id": f"r{step}", "timestamp": _stamp(step), "type": "user", "content": [response]}


def pi() -> Iterator[Any]:
    """Four kilobytes a step: the message of the model and the result of its call."""
    yield {"type": "session", "version": 3, "id": "s", "timestamp": _stamp(0), "cwd": "/src"}
    for step in range(STEPS):
        common = {"type": "message", "parentId": f"{step:08x}", "timestamp": _stamp(step)}
        if step % 12 == 0:
            yield {**common, "id": f"u{step:07x}", "message": {"role": "user", "content": _text(400)}}
        thinking = {"type": "thinking", "thinking": _text(300), "thinkingSignature": _text(600)}
        call = {"type": "toolCall", "id": f"c{step}", "name": "bash", "arguments": {"command": _text(120)}}
        content = [thinking, {"type": "text", "text": _text(150)}, call]
        usage = {"input": 10, "output": 90, "cacheRead": 30_000, "cacheWrite": 0, "cost": {"total": 0.01}}
        answer = {"role": "assistant", "content": content, "model": "model-a", "usage": usage, "stopReason": "toolUse"}
        yield {**common, "id": f"a{step:07x}", "message": answer}
        result = {"role": "toolResult", "toolCallId": f"c{step}", "toolName": "bash", "isError": False}
        yield {
            **common,
            "id": f"r{step:07x}",
            "message": {**result, "content": [{"type": "text", "text": _code(2_400)}]},
        }


def openhands() -> Iterator[Any]:
    """Five kilobytes a step: an action with its thought, and what was observed."""
    for step in range(STEPS):
        common = {"id": f"e{step}", "timestamp": _stamp(step)}
        if step % 30 == 0:
            message = {"role": "user", "content": [{"type": "text", "text": _text(400)}]}
            yield {**common, "source": "user", "kind": "MessageEvent", "llm_message": message}
        arguments = {"command": _text(200)}
        call = {"id": f"c{step}", "name": "terminal", "arguments": json.dumps(arguments)}
        thought: dict[str, Any] = {"thought": [{"type": "text", "text": _text(200)}], "reasoning_content": _text(400)}
        action = {
            "action": {"kind": "TerminalAction", **arguments},
            "tool_name": "terminal",
            "tool_call_id": f"c{step}",
        }
        own: dict[str, Any] = {
            "source": "agent",
            "kind": "ActionEvent",
            "llm_response_id": f"r{step}",
            "tool_call": call,
        }
        yield {**common, **own, **thought, **action}
        observation = {"content": [{"type": "text", "text": _code(3_000)}], "exit_code": 0, "metadata": {"pid": step}}
        seen = {"source": "environment", "kind": "ObservationEvent", "tool_call_id": f"c{step}"}
        yield {**common, "id": f"o{step}", **seen, "observation": observation}


def opencode() -> Iterator[Any]:
    """Four kilobytes a step, as one export."""
    messages = []
    for step in range(STEPS):
        time = {"created": 1_767_614_400_000 + 10_000 * step, "completed": 1_767_614_405_000 + 10_000 * step}
        if step % 12 == 0:
            part = {"id": f"p{step}", "type": "text", "text": _text(400)}
            messages.append({"info": {"id": f"u{step}", "role": "user", "time": time}, "parts": [part]})
        tokens = {"input": 10, "output": 90, "reasoning": 40, "cache": {"read": 30_000, "write": 0}}
        info = {
            "id": f"m{step}",
            "role": "assistant",
            "modelID": "model-a",
            "tokens": tokens,
            "cost": 0.01,
            "time": time,
        }
        state = {"status": "completed", "input": {"command": _text(120)}, "output": _code(1_500), "title": _text(40)}
        state |= {"metadata": {"output": _code(1_500), "exit": 0}, "time": {"start": time["created"], "end": 0}}
        parts: list[dict[str, Any]] = [
            {"type": "step-start", "snapshot": _text(40)},
            {"type": "text", "text": _text(150)},
            {"type": "tool", "callID": f"c{step}", "tool": "bash", "state": state},
            {"type": "step-finish", "reason": "tool-calls", "tokens": tokens},
        ]
        messages.append({"info": info, "parts": [{"id": f"q{step}{n}", **part} for n, part in enumerate(parts)]})
    yield {"info": {"id": "s", "directory": "/src", "time": {"created": 1_767_614_400_000}}, "messages": messages}


def atif() -> Iterator[Any]:
    """Four kilobytes a step, as one document."""
    steps: list[dict[str, Any]] = [{"step_id": 1, "source": "user", "message": _text(400), "timestamp": _stamp(0)}]
    for step in range(2, STEPS + 2):
        call = {"tool_call_id": f"c{step}", "function_name": "shell", "arguments": {"command": _text(200)}}
        results = [{"source_call_id": f"c{step}", "content": _code(3_000)}]
        metrics = {"prompt_tokens": 30_000, "completion_tokens": 90, "cached_tokens": 20_000, "cost_usd": 0.01}
        own = {"step_id": step, "source": "agent", "timestamp": _stamp(step), "message": _text(200), "metrics": metrics}
        more = {"reasoning_content": _text(300), "tool_calls": [call], "observation": {"results": results}}
        steps.append(own | more)
    yield {"schema_version": "ATIF-v1.7", "session_id": "s", "agent": {"name": "a"}, "steps": steps}


def swe_agent() -> Iterator[Any]:
    """Five kilobytes a turn, half of it in the history, as one document."""
    turns, history = [], [{"role": "user", "content": _text(2_000), "agent": "main"}]
    for _ in range(STEPS):
        action, thought, observation = _text(100), _text(300), _code(1_800)
        state = json.dumps({"open_file": "n/a", "working_dir": "/src"})
        turn = {"action": action, "thought": thought, "response": thought, "observation": observation, "state": state}
        turns.append(turn | {"execution_time": 0.5})
        history += [
            {"role": "assistant", "content": thought, "thought": thought, "action": action, "agent": "main"},
            {"role": "user", "content": observation, "agent": "main"},
        ]
    yield {"trajectory": turns, "history": history, "info": {"exit_status": "submitted"}, "environment": "main"}


FORMATS: dict[str, Callable[[], Iterator[Any]]] = {
    "copilot": copilot,
    "gemini": gemini,
    "opencode": opencode,
    "openhands": openhands,
    "pi": pi,
    "atif": atif,
    "swe-agent": swe_agent,
}


def lines_of(format: str) -> list[bytes]:
    """The records of a transcript of this format."""
    return [json.dumps(record).encode() for record in FORMATS[format]()]
