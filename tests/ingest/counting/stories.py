"""Makes the same story in each format: prompts, answers, calls that succeed, fail, are refused or get no result."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.ingest.builders import SESSION, Claude, Codex, stamp
from tests.ingest.copilot.builder import Copilot
from tests.ingest.counting.tally import compress
from tests.ingest.gemini.builder import Gemini, call
from tests.ingest.opencode.builder import Session, tool
from tests.ingest.openhands.builder import OldOpenHands, OpenHands
from tests.ingest.otlp.builder import Requests, assistant, chat, returned, user
from tests.ingest.otlp.builder import tool as tool_span
from tests.ingest.pi.builder import Pi

FORK = "77777777-2222-4333-8444-555555555555"


class Event(NamedTuple):
    """Something that happens in a story: ``what`` is prompt, answer, ok, failed, refused, open or lost."""

    what: str
    text: str


TOOLS = {
    "claude-code": ("Bash", "Read", "Write", "Edit", "Grep", "WebFetch", "Agent"),
    "copilot": ("bash", "view", "create", "edit", "grep", "web_fetch", "task"),
    "gemini": ("run_shell_command", "read_file", "write_file", "replace", "glob", "web_fetch", "invoke_agent"),
    "pi": ("bash", "read", "write", "edit", "grep", "web", "subagent"),
    "opencode": ("bash", "read", "write", "edit", "grep", "webfetch", "task"),
}
"""Tools that give artifacts of every type, one of each."""


def tool_of(format: str, number: int, what: str) -> str:
    """The tool of an event: a shell where its exit code is to say that it failed."""
    names = TOOLS[format]
    return names[number % len(names)] if what in ("ok", "refused") else names[0]


Write = Callable[[Path, Sequence[Event]], Path]
"""Writes a story into a folder and returns the transcript's path."""


def claude(folder: Path, story: Sequence[Event]) -> Path:
    found = Claude()
    for number, (what, text) in enumerate(story):
        key = f"c{number}"
        usage = {"input_tokens": number, "output_tokens": 2, "cache_read_input_tokens": 7}
        if what == "prompt":
            found.user(text)
        elif what == "answer":
            found.says(f"m{number}", text, usage=usage)
            found.says(f"m{number}", text, usage={**usage, "output_tokens": 9})
        elif what == "lost":
            found.result(key, text)
        else:
            found.calls(f"m{number}", key, tool_of("claude-code", number, what), {"command": text})
            if what == "refused":
                found.result(key, "The user doesn't want to proceed with this tool use", is_error=True)
            elif what != "open":
                found.result(key, text, is_error=what == "failed" or None)
    return found.write(folder / f"{SESSION}.jsonl")


def newer_claude(folder: Path, story: Sequence[Event]) -> Path:
    """What the program attaches, queues and notes beside the conversation; its long texts are kept whole."""
    found = Claude(version="2.1.170")
    for number, (what, text) in enumerate(story):
        hook = {"hookName": f"PostToolUse:{number}", "hookEvent": "PostToolUse"}
        if what == "prompt":
            found.user(text)
        elif what == "answer":
            found.says(f"m{number}", text)
            found.attach("nested_memory", path="CLAUDE.md", content={"path": "CLAUDE.md", "content": text})
            found.attach("todo_reminder", content=[{"content": text, "status": "pending"}], itemCount=1)
        elif what == "lost":
            found.queue("enqueue", text)
            found.queue("popAll", text)
            found.attach("hook_additional_context", content=[text, text], **hook)
            found.attach("invoked_skills", skills=[{"name": "deploy", "path": "s.md", "content": text}])
        else:
            found.calls(f"m{number}", f"c{number}", "Bash", {"command": text})
            found.attach("hook_success", content=text, stdout=text, stderr="", exitCode=0, **hook)
            found.attach("hook_blocking_error", blockingError={"blockingError": text, "command": "check"}, **hook)
            found.attach("diagnostics", files=[{"uri": "a.py", "diagnostics": [{"message": text}]}], isNew=True)
            found.record("system", subtype="away_summary", content=text)
            found.record(
                "system", subtype="local_command", content=f"<local-command-stdout>{text}</local-command-stdout>"
            )
            if what != "open":
                found.result(f"c{number}", text, is_error=what == "failed" or None)
    return found.write(folder / f"{SESSION}.jsonl")


def codex(folder: Path, story: Sequence[Event]) -> Path:
    found = Codex()
    outputs = {
        "ok": json.dumps({"output": "x", "metadata": {"exit_code": 0}}),
        "failed": json.dumps({"output": "x", "metadata": {"exit_code": 3}}),
        "refused": "exec command rejected by user",
        "lost": "text",
    }
    total = 0
    for number, (what, text) in enumerate(story):
        if what == "prompt":
            found.prompt(text)
        elif what == "answer":
            found.says(text)
            total += 30 + number
            spent = {"input_tokens": 20 + number, "cached_input_tokens": 15, "output_tokens": 10}
            for _ in range(2):
                info = {"total_token_usage": {"total_tokens": total}, "last_token_usage": spent}
                found.event("token_count", info=info)
        else:
            if what != "lost":
                found.calls(f"c{number}")
            if what in outputs:
                found.output(f"c{number}", outputs[what])
    return found.write(folder / f"rollout-2026-01-05T12-00-00-{SESSION}.jsonl")


def newer_codex(folder: Path, story: Sequence[Event]) -> Path:
    """As releases from 0.148 on write it: completed items hold the prompts, and how commands and changes ended."""
    return _newer_codex(SESSION, story).write(folder / f"rollout-2026-01-05T12-00-00-{SESSION}.jsonl")


def packed_codex(folder: Path, story: Sequence[Event]) -> Path:
    """The same, packed as a whole."""
    path = folder / f"rollout-2026-01-05T12-00-00-{SESSION}.jsonl.zst"
    path.write_bytes(compress(_newer_codex(SESSION, story).data))
    return path


def forked_codex(folder: Path, story: Sequence[Event]) -> list[Path]:
    """A session and a fork of it, which begins with its lines under the time at which it was forked."""
    origin, fork = _newer_codex(SESSION, story), Codex(FORK, meta=False)
    fork.line("session_meta", id=FORK, timestamp=origin.now, cwd="/src/shop", forked_from_id=SESSION)
    for line in origin.lines:
        fork.add({**json.loads(line), "timestamp": stamp(900.0)})
    fork.lines += _newer_codex(FORK, story, after=1_000).lines[1:]
    names = (f"rollout-2026-01-05T12-00-00-{SESSION}.jsonl", f"rollout-2026-01-05T12-15-00-{FORK}.jsonl")
    return [found.write(folder / name) for found, name in zip((origin, fork), names, strict=True)]


def _newer_codex(session: str, story: Sequence[Event], after: int = 0) -> Codex:
    """``after`` so many seconds the session begins; what it says of the calls' ids is its own."""
    found = Codex(session)
    begun = 0.0 + after
    for number, (what, text) in enumerate(story):
        key = f"{session[:4]}-{number}"
        if what == "prompt":
            if number:
                found.event("task_complete", turn_id="before")
            found.event("task_started", turn_id=key)
            found.item("message", role="user", content=[{"type": "input_text", "text": text}])
            found.event("item_completed", item={"type": "UserMessage", "content": [{"type": "Text", "text": text}]})
        elif what == "answer":
            found.says(f"{text} of {key}")
            found.tokens(10 * number + after + 1, number + 1)
        elif what == "lost":
            found.output(key, "text")
        else:
            found.calls(key, "mcp__files__get" if number % 3 == 0 else "exec")
            if what == "open":
                continue
            if number % 3 == 0:
                result = {"Err": "no"} if what == "failed" else {"Ok": {"content": [], "isError": False}}
                found.event("mcp_tool_call_end", call_id=key, result=result)
            else:
                status = "declined" if what == "refused" else "completed"
                command = {"id": f"exec-{key}", "exit_code": 7 if what == "failed" else 0, "status": status}
                found.event("item_completed", item={"type": "CommandExecution", **command})
            found.output(key, "Script completed\nOutput:\n" + ("aborted by user" if what == "refused" else text))
    for index, line in enumerate(found.lines):
        found.lines[index] = json.dumps({**json.loads(line), "timestamp": stamp(begun + index)}).encode()
    return found


def copilot(folder: Path, story: Sequence[Event]) -> Path:
    found = Copilot()
    for number, (what, text) in enumerate(story):
        key = f"c{number}"
        if what == "prompt":
            found.prompt(text)
            found.event("user.message", content="from the program", source="system")
        elif what == "answer":
            found.says("", request=f"r{number}", reasoningText=text)
            found.says(text, request=f"r{number}", outputTokens=number)
        else:
            if what != "lost":
                found.calls(key, tool_of("copilot", number, what))
            if what == "refused":
                found.result(key, success=False, result=None, error={"code": "denied", "message": "no"})
            elif what == "failed" and number % 2:
                found.result(key, success=False, result=None, error={"code": "failure", "message": text})
            elif what == "failed":
                found.result(key, f"{text}\n<shellId: 1 completed with exit code 2>")
            elif what != "open":
                found.result(key, text)
    usage = {"inputTokens": 90, "outputTokens": 7, "cacheReadTokens": 50, "cacheWriteTokens": 10}
    found.event("session.shutdown", modelMetrics={"model-a": {"usage": usage}})
    return found.write(folder / SESSION / "events.jsonl")


def gemini(folder: Path, story: Sequence[Event]) -> Path:
    return _gemini(story).write(folder / "chats" / f"session-2026-01-05T12-00-{SESSION[:8]}.jsonl")


def gemini_document(folder: Path, story: Sequence[Event]) -> Path:
    path = folder / "chats" / f"session-2026-01-05T12-00-{SESSION[:8]}.json"
    path.parent.mkdir()
    path.write_bytes(_gemini(story).document)
    return path


def _gemini(story: Sequence[Event]) -> Gemini:
    found = Gemini()
    found.message("user", [{"text": "<session_context>Monday"}])
    for number, (what, text) in enumerate(story):
        key = f"a{number}"
        status = {"failed": "error", "refused": "cancelled", "open": "executing"}.get(what, "success")
        if what == "prompt":
            found.prompt(text)
        elif what == "answer":
            found.says(text, key=key, thoughts=[{"subject": "S", "description": text}])
        elif what == "lost":
            found.message("user", [{"functionResponse": {"id": key, "response": {"output": text}}}])
        else:
            found.says("", key=key)
            tool_name = tool_of("gemini", number, what)
            made = call(f"c{number}", tool_name, f"{text}\nExit Code: 0", status=status)
            if what == "failed" and number % 2:
                made = call(f"c{number}", "run_shell_command", f"{text}\nExit Code: 4")
            found.says("", made, key=key)
    return found


def pi(folder: Path, story: Sequence[Event]) -> Path:
    found = Pi(parentSession=f"/p/2026-01-04T12-00-00-000Z_{SESSION[::-1]}.jsonl")
    for number, (what, text) in enumerate(story):
        if what == "prompt":
            found.prompt(text)
        elif what == "answer":
            found.says(text, {"type": "thinking", "thinking": text})
        else:
            if what != "lost":
                found.calls(f"c{number}", tool_of("pi", number, what))
            if what == "refused":
                found.result(f"c{number}", "Operation aborted", isError=True)
            elif what == "failed" and number % 2:
                found.result(f"c{number}", text, details={"exitCode": 2})
            elif what != "open":
                found.result(f"c{number}", text, isError=what == "failed")
    return found.write(folder / f"2026-01-05T12-00-00-000Z_{SESSION}.jsonl")


def openhands(folder: Path, story: Sequence[Event]) -> Path:
    found = OpenHands()
    for number, (what, text) in enumerate(story):
        key, response = f"c{number}", f"r{number}"
        if what == "prompt":
            found.prompt(text)
        elif what == "answer":
            found.says(text, response, reasoning_content=text)
        else:
            if what != "lost":
                found.calls(key, response, thought=text)
            if what == "refused":
                found.event("UserRejectObservation", "user", tool_call_id=key, rejection_reason=text)
            elif what == "failed" and number % 2:
                found.event("AgentErrorEvent", tool_call_id=key, error=text)
            elif what != "open":
                found.result(key, text, exit_code=2 if what == "failed" else 0)
    path = found.write(folder / SESSION.replace("-", ""))
    usage = {"prompt_tokens": 900, "completion_tokens": 40, "cache_read_tokens": 500, "cache_write_tokens": 100}
    metrics = {"agent": {"accumulated_token_usage": usage, "accumulated_cost": 0.5}}
    (path / "base_state.json").write_text(json.dumps({"stats": {"usage_to_metrics": metrics}}))
    return path


def older_openhands(folder: Path, story: Sequence[Event]) -> Path:
    found = OldOpenHands()
    for number, (what, text) in enumerate(story):
        if what == "prompt":
            found.prompt(text)
        elif what == "answer":
            found.calls("message", f"r{number}", content=text)
        elif what == "lost":
            found.result(99_999, "run", text)
        else:
            made = found.calls("run", f"r{number}", "execute_bash", command=text, thought=text)
            if what == "failed" and number % 2:
                found.result(made, "error", text)
            elif what in ("ok", "failed"):
                found.result(made, "run", text, metadata={"exit_code": 0 if what == "ok" else 2})
    path = folder / SESSION
    (path / "events").mkdir(parents=True)
    for number, line in enumerate(found.lines):
        (path / "events" / f"{number}.json").write_bytes(line)
    return path


def _opencode(story: Sequence[Event]) -> Session:
    found = Session(parent=None)
    for number, (what, text) in enumerate(story):
        if what == "prompt":
            found.prompt(text)
        elif what == "answer":
            found.says(text, {"type": "reasoning", "text": text})
        elif what == "lost":
            found.message("user", [{"type": "text", "text": text, "synthetic": True}])
        else:
            name = tool_of("opencode", number, what)
            made = tool("same", name, text, metadata={"exit": 0})
            if what == "refused":
                made = tool("same", name, "Tool execution aborted", status="error")
            elif what == "failed":
                made = tool("same", "bash", text, **({"metadata": {"exit": 1}} if number % 2 else {"status": "error"}))
            elif what == "open":
                made = tool("same", "bash", text, status="running")
            found.says("", made)
    return found


def opencode(folder: Path, story: Sequence[Event]) -> Path:
    path = folder / "export.json"
    path.write_bytes(_opencode(story).export)
    return path


def opencode_database(folder: Path, story: Sequence[Event]) -> Path:
    return _opencode(story).into_database(folder / "opencode.db")


def opencode_tree(folder: Path, story: Sequence[Event]) -> Path:
    return _opencode(story).into_tree(folder / "opencode" / "storage")


def atif(folder: Path, story: Sequence[Event]) -> Path:
    steps: list[dict[str, Any]] = []
    for number, (what, text) in enumerate(story, 1):
        step: dict[str, Any] = {"step_id": number, "timestamp": stamp(number), "source": "agent", "message": ""}
        if what == "prompt":
            step |= {"source": "user", "message": text}
        elif what == "answer":
            metrics = {"prompt_tokens": 50 + number, "completion_tokens": 4, "cached_tokens": 30}
            step |= {"message": text, "reasoning_content": text, "metrics": metrics}
        elif what == "lost":
            step |= {"source": "user", "message": text, "is_copied_context": True}
        else:
            # The same ids again in each step.
            step["tool_calls"] = [{"tool_call_id": "call", "function_name": "shell", "arguments": {}}]
            if what != "open":
                named = {"source_call_id": "call"} if number % 2 else {}
                step["observation"] = {"results": [{**named, "content": text}]}
        steps.append(step)
    path = folder / "run.trajectory.json"
    document = {"schema_version": "ATIF-v1.7", "session_id": SESSION, "agent": {"name": "x"}, "steps": steps}
    path.write_text(json.dumps(document))
    return path


def swe_agent(folder: Path, story: Sequence[Event]) -> Path:
    turns = []
    for number, (what, text) in enumerate(story):
        turn: dict[str, Any] = {"thought": text, "action": "ls", "observation": text, "execution_time": number / 4}
        if what in ("prompt", "answer", "lost"):
            turn["action"] = ""
        elif what == "failed":
            turn["observation"] = f"COMMAND TIMED OUT after {number} s"
        elif what == "open":
            turn["observation"] = None
        turns.append(turn)
    history = [{"role": "user", "content": "How others did it", "is_demo": True}, {"role": "user", "content": "Fix it"}]
    stats = {"tokens_sent": 500, "tokens_received": 40, "instance_cost": 0.1}
    path = folder / "parser-7.traj"
    document = {"trajectory": turns, "history": history, "info": {"model_stats": stats}, "environment": "main"}
    path.write_text(json.dumps(document))
    return path


def otlp(folder: Path, story: Sequence[Event]) -> Path:
    found = Requests()
    for number, (what, text) in enumerate(story):
        # A trace for each event, all of them of one conversation.
        common: dict[str, Any] = {"trace": f"{number + 1:032x}", "gen_ai__conversation__id": SESSION}
        usage = {"gen_ai__usage__input_tokens": 20 + number, "gen_ai__usage__output_tokens": 3}
        key = f"c{number}"
        calls = assistant("", (key, "shell", {"command": text}))
        if what in ("prompt", "answer"):
            said = [{**assistant(text), "parts": [{"type": "reasoning", "content": text}, *assistant(text)["parts"]]}]
            found.spans(chat(1, number, given=text if what == "prompt" else None, said=said, **common, **usage))
        elif what == "lost":
            found.spans(tool_span(1, number, result=text, **common))
        elif what == "ok" and number % 2:
            # The result is in the messages of the next turn alone.
            found.spans(chat(1, number, given=text, said=[calls], **common))
            found.spans(chat(2, number + 0.5, given=[user(text), calls, returned(key, text)], **common))
        else:
            found.spans(chat(1, number, said=[calls], **common))
            if what != "open":
                error = {"error": text} if what in ("failed", "refused") else {}
                found.spans(tool_span(2, number + 0.5, key, result=text, **error, **common))
    return found.write(folder / "spans.jsonl")


WRITERS: dict[str, tuple[Write, ...]] = {
    "claude-code": (claude,),
    "codex": (codex,),
    "copilot": (copilot,),
    "gemini": (gemini, gemini_document),
    "opencode": (opencode, opencode_database, opencode_tree),
    "openhands": (openhands, older_openhands),
    "pi": (pi,),
    "atif": (atif,),
    "swe-agent": (swe_agent,),
    "otlp": (otlp,),
}
"""The stories of each format, for tests of everything."""

NEWER: tuple[Callable[[Path, Sequence[Event]], Path | list[Path]], ...] = (
    newer_claude,
    newer_codex,
    packed_codex,
    forked_codex,
)
"""Further stories to count."""
