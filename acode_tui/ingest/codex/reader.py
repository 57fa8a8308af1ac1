"""Reads one Codex session, line by line, and decides what becomes a task, a step, a call and a result.

A prompt is an event where its turn has one, else an item. A step begins with the first output of the model after new
input. A message of the model that appears both as item and as event is read once, from the item. What a file repeats of
the session that it was forked from is not read (``replay``).
"""

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from acode_tui.domain.ids import imported_id
from acode_tui.domain.states import SessionState, ToolCallState
from acode_tui.ingest.codex.events import QUIET_EVENTS, QUIET_ITEMS, QUIET_LINES, images_in, is_injected
from acode_tui.ingest.codex.records import Line, Payload
from acode_tui.ingest.codex.replay import Replay
from acode_tui.ingest.codex.results import (
    attach_output,
    read_output,
    record_changes,
    record_command,
    record_tool,
    spawned_agent,
)
from acode_tui.ingest.codex.state import CodexState, decode_state
from acode_tui.ingest.contents import text_of
from acode_tui.ingest.counts import Counts, SkippedLines
from acode_tui.ingest.draft import CallDraft, ImageDraft, NeedsWholeFileError, RunDraft, StepDraft
from acode_tui.ingest.file_sessions import FileSessions
from acode_tui.ingest.finish import Ending, LastSeen, finish, idle_time
from acode_tui.ingest.format import Parsed, ReadContext
from acode_tui.ingest.graph import Header
from acode_tui.ingest.observe import observer
from acode_tui.ingest.records import label, needs_escape, parse_stamp, parse_text, storable, text
from acode_tui.ingest.resume import encode, restore_reading, save_reading
from acode_tui.ingest.timeline import Bounds, ModelHistory, Timeline
from acode_tui.ingest.usage import Tokens, codex_usage

SOURCE = "codex"
MAX_UNKNOWN = 100
_CONTEXT = "# Context from my IDE setup:"
_REQUEST = "\n## My request for Codex:"
_ROLLOUT = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_CALLS = frozenset({"function_call", "custom_tool_call", "local_shell_call", "tool_search_call"})
_OUTPUTS = frozenset(
    {"function_call_output", "custom_tool_call_output", "local_shell_call_output", "tool_search_output"}
)
_STEPS = _CALLS | {"reasoning", "web_search_call", "image_generation_call"}


RecordNote = Callable[[CallDraft, dict[str, Any], datetime | None], None]
"""Notes a structured record with its call."""


class CodexReader:
    """Collects the records of one file; ``finish`` turns them into the session."""

    def __init__(self, context: ReadContext) -> None:
        self._context = context
        self._run = RunDraft()
        self._bounds = Bounds()
        self._timeline = Timeline(self._bounds, context.checkpoints)
        self._last = LastSeen.NOTHING
        self._meta: dict[str, Any] | None = None
        self._turn: str | None = None
        self._turn_has_prompt = False
        self._has_turns = False
        self._has_events = False
        self._is_wrapped = False
        self._item_prompt: tuple[str, datetime | None, int] | None = None
        self._has_new_input = True
        self._step: StepDraft | None = None
        self._calls_without_id = 0
        self._tokens = Tokens()
        self._last_total: Any = None
        self._models = ModelHistory(self._timeline)
        self._cwd = ""
        self._facts: dict[str, Any] = {}
        self._has_messages = False
        self._request: str | None = None
        self._title = ""
        self._replay = Replay()
        self._sessions = FileSessions(self._run, self._timeline)
        self._images: list[ImageDraft] = []
        self.unknown: dict[str, int] = {}
        self.skipped, self.last_line = SkippedLines(), 0
        """Those of the lines before, where the reading is resumed."""
        if context.resume:
            self._resume(decode_state(context.resume))

    def _resume(self, state: CodexState) -> None:
        restore_reading(state.reading, self._run, self._bounds, self._timeline, self._models)
        self.skipped, self.last_line = state.reading.skipped, state.reading.last_line
        self._last = state.last
        self._meta = state.meta
        self._turn, self._turn_has_prompt, self._has_turns = state.turn, state.turn_has_prompt, state.has_turns
        self._has_events, self._item_prompt = state.has_events, state.item_prompt
        self._is_wrapped = self._has_messages = True
        self._has_new_input = state.has_new_input
        self._step = self._run.steps.get(state.step or "")
        self._calls_without_id = state.calls_without_id
        self._tokens, self._last_total = state.tokens, state.last_total
        self._cwd, self._request, self._title = state.cwd, state.request, state.title
        self._facts = state.facts
        self._sessions.restore(state.sessions)

    def take(self, line: int, raw: bytes, record: Line) -> None:
        """Read one record. Nothing in it is trusted; an unknown shape is ignored."""
        at = parse_stamp(record.timestamp)
        if line > self._timeline.next_checkpoint:
            self._timeline.pass_checkpoint(line)
        payload = record.payload
        kind = record.type
        if self._replay.is_on and payload is not None:
            event = payload.type if kind == "event_msg" else None
            is_prompt = event == "user_message" or (payload.role == "user" and kind == "response_item")
            if self._replay.repeats(at, begins_turn=event == "task_started", is_prompt=is_prompt):
                if event == "token_count" and type(payload.info) is dict:
                    self._last_total = payload.info.get("total_token_usage")
                return
        at = self._bounds.note(at)
        if payload is None:
            # In old files without wrappers, the first line is the session and the others are its items.
            if kind is None and record.id is not None:
                self._take_meta(line, record)
            else:
                self._take_item(line, raw, record, at)
            return
        # In a wrapped file the event of a prompt may follow its item.
        self._is_wrapped = True
        if kind == "response_item":
            self._take_item(line, raw, payload, at)
        elif kind == "event_msg":
            self._take_event(line, payload, at)
        elif kind == "turn_context":
            self._note_context(payload, line)
        elif kind == "session_meta":
            self._take_meta(line, payload)
        elif kind == "compacted":
            self._note_text("context compacted", text(payload.message), line)
        elif type(kind) is not str or kind not in QUIET_LINES:
            self._count_unknown(kind)

    def _count_unknown(self, *names: Any) -> None:
        name = "/".join(label(part) or "(without a type)" for part in names)
        if (watching := observer()) is not None:
            watching.unknown(name)
        if name in self.unknown or len(self.unknown) < MAX_UNKNOWN:
            self.unknown[name] = self.unknown.get(name, 0) + 1

    def _note_text(self, reason: str, content: str, line: int) -> None:
        self._run.keep_text(reason, content, line, self._bounds.current)
        self._timeline.note(f"{reason}: {content}" if content else reason, line)

    def _take_meta(self, line: int, meta: Payload) -> None:
        if self._meta is not None:
            # A fork repeats the meta lines of its origin, before any message: the first one is the file's own.
            if self._has_messages:
                self._sessions.note_session(meta.id, line)
                self._sessions.note_version(meta.cli_version, line)
            elif label(meta.id) != self._meta["id"]:
                self._sessions.origins.append(label(meta.id))
                if self._meta["parent"]:
                    self._replay.begin()
            return
        self._sessions.note_session(meta.id, line)
        self._sessions.note_version(meta.cli_version, line)
        git = meta.git if type(meta.git) is dict else {}
        spawn = _spawn_of(meta.source)
        self._meta = {
            "id": label(meta.id),
            "cwd": label(meta.cwd, 1_000),
            "version": label(meta.cli_version),
            "branch": label(git.get("branch"), 1_000),
            "originator": label(meta.originator),
            "parent": label(spawn.get("parent_thread_id"))
            or label(meta.parent_thread_id)
            or label(meta.forked_from_id),
            "relation": "fork" if meta.forked_from_id and not spawn else "subagent",
            "agentName": label(spawn.get("agent_nickname")),
            "agentRole": label(spawn.get("agent_role")),
        }
        self._bounds.note(parse_stamp(meta.timestamp))

    # -- events: turns and prompts

    def _take_event(self, line: int, event: Payload, at: datetime | None) -> None:
        kind = text(event.type)
        if kind == "user_message":
            pictures = images_in([*_list(event.images), *_list(event.local_images)])
            self._take_prompt_event(text(event.message), pictures, line, at)
        elif kind == "item_completed":
            self._take_completed(line, event.item if type(event.item) is dict else {}, at)
        elif kind == "token_count":
            self._count_tokens(event.info)
        elif kind == "task_started":
            self._has_turns = True
            self._turn = label(event.turn_id)
            # The prompt may be on the line before its turn.
            self._turn_has_prompt = self._last is LastSeen.PROMPT
        elif kind == "task_complete":
            self._turn = None
            if event.error is not None:
                self._add_failure(event.error, line, at)
            elif self._last not in (LastSeen.INTERRUPTION, LastSeen.ERROR, LastSeen.NOTHING):
                self._last = LastSeen.ANSWER
        elif kind == "turn_aborted":
            self._turn = None
            reason = label(event.reason) or "interrupted"
            self._run.interrupt(reason)
            self._last = LastSeen.INTERRUPTION
            self._timeline.change_state(SessionState.PAUSED, f"turn aborted: {reason}", line)
        elif kind == "context_compacted":
            self._timeline.note("context compacted", line)
        elif kind == "error":
            self._add_failure(event.message, line, at)
        elif kind == "thread_rolled_back":
            self._roll_back(event.num_turns, line)
        elif kind == "thread_name_updated":
            self._title = label(event.thread_name) or self._title
        elif kind == "exec_command_end":
            self._record(text(event.call_id), record_command, msgspec.to_builtins(event), at)
        elif kind == "patch_apply_end":
            self._record(text(event.call_id), record_changes, msgspec.to_builtins(event), at)
        elif kind == "mcp_tool_call_end":
            self._record(text(event.call_id), record_tool, msgspec.to_builtins(event), at)
        elif kind not in QUIET_EVENTS:
            self._count_unknown("event_msg", kind)

    def _take_prompt_event(self, prompt: str, images: list[ImageDraft], line: int, at: datetime | None) -> None:
        self._has_messages = True
        self._has_events = True
        self._item_prompt = None
        self._images = images
        self._add_prompt(prompt, bool(images), line, at)
        self._images = []

    def _take_completed(self, line: int, item: dict[str, Any], at: datetime | None) -> None:
        """A completed item of newer versions (0.148): the structured form of what items and outputs say as text."""
        kind = text(item.get("type"))
        if kind == "UserMessage":
            content = item.get("content")
            self._take_prompt_event(text_of(content), images_in(_list(content)), line, at)
        elif kind == "CommandExecution":
            self._record(text(item.get("id")).removeprefix("exec-"), record_command, item, at)
        elif kind == "FileChange":
            # Its id is not that of the call.
            self._record("", record_changes, item, at)
        elif kind == "McpToolCall":
            self._record(text(item.get("id")), record_tool, item, at)
        elif kind not in QUIET_ITEMS:
            self._count_unknown("item_completed", kind)

    def _record(self, key: str, note: RecordNote, record: dict[str, Any], at: datetime | None) -> None:
        """Note a structured record with its call: the one that it names, else the one that is under way."""
        calls = self._run.calls
        call = calls.get(key)
        if call is None and self._run.is_resumed and key:
            # A call that has ended is not kept, and the record may be about it.
            raise NeedsWholeFileError
        if call is None:
            call = next((found for found in reversed(calls.values()) if found.is_open), None)
        if call is not None:
            note(call, record, at)
        elif self._run.is_resumed:
            raise NeedsWholeFileError

    def _roll_back(self, turns: Any, line: int) -> None:
        count = turns if type(turns) is int and 0 < turns < 10_000 else 0
        tasks = self._run.supersede(count)
        names = ", ".join(task.title for task in reversed(tasks))
        self._timeline.note(f"rolled back {count} turn{'' if count == 1 else 's'}: {names}", line)

    def _add_failure(self, error: Any, line: int, at: datetime | None) -> None:
        message = error.get("message") if type(error) is dict else error
        self._run.interrupt("error")
        self._last = LastSeen.ERROR
        self._timeline.change_state(SessionState.FAILED, f"error: {text(message) or 'unknown'}", line)

    def _add_prompt(self, prompt: str, images: bool, line: int, at: datetime | None) -> None:
        if not prompt.strip():
            if not images:
                return
            prompt = "[image]"
        # The model's next output answers this prompt, also where no item repeats it.
        self._has_new_input = True
        if self._turn is not None and self._turn_has_prompt:
            self._timeline.note(f"steering: {prompt}", line)
            return
        self._turn_has_prompt = True
        request = request_of(prompt)
        task = self._run.begin_task(f"prompt:{self._run.task_count}", prompt, at, line, request=request)
        self._run.add_images(task, self._images, at)
        if self._request is None:
            self._request = label(request) if request is not prompt else ""
        self._last = LastSeen.PROMPT
        if self._timeline.state is SessionState.CREATED:
            self._timeline.change_state(SessionState.PLANNING, "first prompt", line)
        else:
            self._timeline.change_state(SessionState.EXECUTING, "new prompt", line)

    # -- items: input and output of the model

    def _take_item(self, line: int, raw: bytes, item: Payload, at: datetime | None) -> None:
        kind = item.type
        if kind == "message":
            self._has_messages = True
            if item.role == "assistant":
                self._add_answer(line, item, at)
                return
            self._has_new_input = True
            if item.role == "user" and not is_injected(item):
                # It is a prompt where its turn has no event of it, which may follow.
                prompt = text_of(item.content)
                if prompt.strip():
                    self._item_prompt = (prompt, at, line)
        elif type(kind) is str and kind in _OUTPUTS:
            self._has_new_input = True
            self._add_result(line, item, at)
        elif type(kind) is str and kind in _STEPS:
            self._has_messages = True
            step = self._current_step(line, at)
            if kind == "reasoning":
                self._run.reason(step, text_of(item.summary) or text_of(item.content), at)
                self._last = LastSeen.WORK
            elif kind in _CALLS:
                self._add_call(step, line, raw, item, at)
            else:
                self._add_call_without_id(step, kind, raw, item, at)
        elif type(kind) is not str or kind not in QUIET_ITEMS:
            self._count_unknown("response_item", kind)

    def _current_step(self, line: int, at: datetime | None) -> StepDraft:
        self._take_item_prompt()
        if self._step is None or self._has_new_input:
            if self._turn is not None and not self._turn_has_prompt:
                self._turn_has_prompt = True
                self._run.begin_task(f"prompt:{self._run.task_count}", "(turn without a prompt)", at, line)
            self._step = self._run.begin_step(f"step:{self._run.step_count}", at, line)
            if self._models.current:
                self._step.metadata["model"] = self._models.current
            self._timeline.change_state(SessionState.EXECUTING, "the model set to work", line)
        self._has_new_input = False
        return self._step

    def _take_item_prompt(self) -> None:
        if self._item_prompt is None:
            return
        prompt, prompt_at, line = self._item_prompt
        is_turn_without_prompt = self._turn is not None and not self._turn_has_prompt
        if not self._has_events or is_turn_without_prompt:
            self._item_prompt = None
            self._add_prompt(prompt, False, line, prompt_at)

    def _add_answer(self, line: int, item: Payload, at: datetime | None) -> None:
        step = self._current_step(line, at)
        response = text_of(item.content)
        if response:
            self._run.respond(step, response, at)
        self._last = LastSeen.WORK if self._turn is not None and self._has_turns else LastSeen.ANSWER

    def _add_call(self, step: StepDraft, line: int, raw: bytes, item: Payload, at: datetime | None) -> None:
        key = text(item.call_id) or text(item.id) or f"call:{line}"
        if key in self._run.calls:
            return
        dirty = needs_escape(raw)
        name = label(item.name) or text(item.type).removesuffix("_call") or "call"
        given = item.arguments if item.arguments is not None else item.input if item.input is not None else item.action
        parameters: Any = {}
        if type(given) is str:
            parsed = parse_text(given) if given[:1] in "{[" else None
            parameters = (
                storable(parsed, dirty=dirty) if parsed is not None else {"input": storable(given, dirty=dirty)}
            )
        elif given is not None:
            parameters = storable(given, dirty=dirty)
        self._run.call(step, key, name, parameters, at)
        self._last = LastSeen.CALL
        if not step.name:
            step.name = name

    def _add_call_without_id(self, step: StepDraft, kind: str, raw: bytes, item: Payload, at: datetime | None) -> None:
        # These calls have no id and no output: their number in the file identifies them.
        self._calls_without_id += 1
        parameters = storable(item.action, dirty=needs_escape(raw)) if item.action is not None else {}
        name = kind.removesuffix("_call")
        call = self._run.call(step, f"{kind}:{self._calls_without_id}", name, parameters, at)
        if item.status in (None, "completed"):
            call.complete(ToolCallState.SUCCEEDED, at)
        elif item.status in ("failed", "incomplete"):
            call.complete(ToolCallState.FAILED, at, f"{name} {item.status}")
        self._last = LastSeen.WORK
        if not step.name:
            step.name = name

    def _add_result(self, line: int, item: Payload, at: datetime | None) -> None:
        key = text(item.call_id) or f"result:{line}"
        call = self._run.result_of(key, at, line)
        output = item.output if item.output is not None else item.tools
        if type(output) is list and item.type == "tool_search_output":
            output = ", ".join(label(tool.get("name")) for tool in output if type(tool) is dict)
        found = read_output(output)
        attach_output(call, found, at)
        agent = spawned_agent(found) if call.name == "spawn_agent" else ""
        if agent:
            call.facts["agentId"] = agent
            call.facts["childSessionId"] = imported_id(SOURCE, agent)
        if self._last is not LastSeen.INTERRUPTION:
            self._last = LastSeen.RESULT

    def _note_context(self, context: Payload, line: int) -> None:
        self._cwd = self._cwd or label(context.cwd, 1_000)
        sandbox = context.sandbox_policy.get("type") if type(context.sandbox_policy) is dict else context.sandbox_policy
        for name, value in (
            ("approvalPolicy", context.approval_policy),
            ("sandbox", sandbox),
            ("effort", context.effort),
        ):
            if label(value):
                self._facts[name] = label(value)
        if context.model != self._models.current:
            self._models.note(label(context.model), line)

    def _count_tokens(self, info: Any) -> None:
        # Counts are repeated, and their totals may start over: each change of the total adds the last usage.
        if type(info) is not dict:
            return
        total = info.get("total_token_usage")
        if total != self._last_total:
            self._last_total = total
            used = codex_usage(info.get("last_token_usage"))
            self._tokens.add(*used)
            if self._step is not None:
                kept = self._step.metadata.get("tokens")
                step = Tokens.of(kept) if kept else Tokens()
                step.add(*used)
                self._step.metadata = {**self._step.metadata, "tokens": step.plain()}

    # -- the end of the file

    def finish(self, skipped: SkippedLines, last_line: int) -> Parsed:
        """The session of the lines read; none for a file without any message."""
        if not self._is_wrapped:
            self._take_item_prompt()
        if not self._has_messages:
            return Parsed(counts=Counts(), skipped=skipped)
        meta = self._meta or {}
        native = meta.get("id") or _native_id(self._context.path)
        metadata: dict[str, Any] = {
            "source": SOURCE,
            "nativeId": native,
            "file": label(self._context.path.name, 255),
            "cwd": meta.get("cwd") or self._cwd or None,
            "gitBranch": meta.get("branch") or None,
            "agentVersion": meta.get("version") or None,
            "models": self._models.names,
            "tokens": self._tokens.plain(),
            "firstTime": self._bounds.earliest,
            "lastTime": self._bounds.latest,
            **self._sessions.facts(),
        }
        given = {
            **self._facts,
            "request": self._request,
            "title": self._title,
            "entrypoint": meta.get("originator"),
            "agentName": meta.get("agentName"),
            "agentRole": meta.get("agentRole"),
        }
        metadata.update((name, value) for name, value in given.items() if value)
        if meta.get("parent") and meta["parent"] != native:
            metadata["parentNativeId"] = meta["parent"]
            metadata["parentSessionId"] = imported_id(SOURCE, meta["parent"])
            metadata["relation"] = meta.get("relation")
        header = Header(
            source=SOURCE,
            session_id=imported_id(SOURCE, native),
            workspace_id=self._context.workspace_id,
            user_id=self._context.user_id,
            limits=self._context.limits,
            metadata=metadata,
            title=self._title,
            first_seen=self._bounds.first,
            first=self._bounds.earliest,
            last=self._bounds.latest,
        )
        ending = Ending(self._last, planning=False, approval_tools=(), idle=idle_time(self._context, self._bounds))
        parsed = finish(self._context, self._run, self._timeline, header, ending, skipped, last_line)
        parsed.unknown = self.unknown
        if self._context.resumable:
            parsed.resume = self._state(skipped, last_line)
        return parsed

    def _state(self, skipped: SkippedLines, last_line: int) -> bytes:
        """What is kept to read on after these lines; empty where that is not possible."""
        reading = save_reading(self._run, self._bounds, self._timeline, self._models, skipped, last_line)
        # In a file without wrappers the end of the file has decided about the last prompt, and may have to undo it.
        if reading is None or not self._is_wrapped or self._replay.is_on:
            return b""
        step = self._step.key if self._step is not None else None
        if step is not None and all(step != kept.key for task in reading.run.tasks for kept in task.steps):
            return b""
        return encode(
            CodexState(
                reading=reading,
                last=self._last,
                meta=self._meta,
                turn=self._turn,
                turn_has_prompt=self._turn_has_prompt,
                has_turns=self._has_turns,
                has_events=self._has_events,
                item_prompt=self._item_prompt,
                has_new_input=self._has_new_input,
                step=step,
                calls_without_id=self._calls_without_id,
                tokens=self._tokens,
                last_total=self._last_total,
                cwd=self._cwd,
                request=self._request,
                title=self._title,
                facts=self._facts,
                sessions=self._sessions.save(),
            )
        )


def _spawn_of(source: Any) -> dict[str, Any]:
    """How a subagent was started: by which thread, and as whom; empty for any other session."""
    subagent = source.get("subagent") if type(source) is dict else None
    spawn = subagent.get("thread_spawn") if type(subagent) is dict else None
    return spawn if type(spawn) is dict else {}


def _list(value: Any) -> list[Any]:
    return value if type(value) is list else []


def request_of(prompt: str) -> str:
    """The prompt without the list of open files that an editor puts before it; unchanged where there is none."""
    if not prompt.startswith(_CONTEXT):
        return prompt
    request = prompt.partition(_REQUEST)[2]
    return request if request.strip() else prompt


def _native_id(path: Path) -> str:
    stem = path.name.removesuffix(".jsonl")
    found = _ROLLOUT.search(stem)
    return found.group().lower() if found else label(stem) or "unnamed"
