"""Reads one Codex session, line by line. What becomes a task, a step, a call and a result is decided here.

A prompt is an ``event_msg`` where the file has those; a step is the first thing the model puts out after
something was put in. Messages that appear both as item and as event are taken once, from the item.
"""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from acode_tui.domain.ids import imported_id
from acode_tui.domain.states import SessionState, ToolCallState
from acode_tui.ingest.codex.records import Line, Payload
from acode_tui.ingest.codex.results import read_output, settle
from acode_tui.ingest.contents import text_of
from acode_tui.ingest.draft import RunDraft, StepDraft
from acode_tui.ingest.finish import Ending, LastSeen, finish
from acode_tui.ingest.format import Counts, Parsed, ReadContext, SkippedLines
from acode_tui.ingest.graph import Header
from acode_tui.ingest.records import Bounds, label, needs_escape, parse_stamp, parse_text, storable, text
from acode_tui.ingest.timeline import Timeline
from acode_tui.ingest.usage import Tokens, codex_usage

_CONTEXT = "# Context from my IDE setup:"
_REQUEST = "\n## My request for Codex:"


def request_of(prompt: str) -> str:
    """The prompt without the editor's list of open files; as it is where it has none, or asks for nothing."""
    if not prompt.startswith(_CONTEXT):
        return prompt
    asked = prompt.partition(_REQUEST)[2]
    return asked if asked.strip() else prompt


SOURCE = "codex"
MAX_MODELS = 50
_ROLLOUT = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_CALLS = frozenset({"function_call", "custom_tool_call", "local_shell_call", "tool_search_call"})
_OUTPUTS = frozenset(
    {"function_call_output", "custom_tool_call_output", "local_shell_call_output", "tool_search_output"}
)
_INPUTS = (
    "<environment_context>",
    "<user_instructions>",
    "<turn_aborted>",
    "# AGENTS.md instructions",
    "<INSTRUCTIONS>",
)
_STEPS = _CALLS | {"reasoning", "web_search_call", "image_generation_call"}


class CodexReader:
    def __init__(self, context: ReadContext) -> None:
        self._context = context
        self._run = RunDraft()
        self._bounds = Bounds()
        self._timeline = Timeline(self._bounds, context.checkpoints)
        self._last = LastSeen.NOTHING
        self._meta: dict[str, Any] | None = None
        self._turn: str | None = None
        self._turn_has_prompt = False
        self._turns = False
        self._events = False
        self._wrapped = False
        self._said: tuple[str, datetime | None, int] | None = None
        self._fresh_input = True
        self._step: StepDraft | None = None
        self._searches = 0
        self._tokens = Tokens()
        self._total: Any = None
        self._models: list[str] = []
        self._model = ""
        self._cwd = ""
        self._talk = False
        self._request: str | None = None

    def take(self, line: int, raw: bytes, record: Line) -> None:
        """One record. Nothing in it is trusted; what is no known shape is passed over."""
        at = parse_stamp(record.timestamp)
        if line > self._timeline.next_checkpoint:
            self._timeline.pass_checkpoint(line)
        at = self._bounds.see(at)
        payload = record.payload
        kind = record.type
        if payload is None:
            # Before lines had a wrapper, the first was the session and the others were its items.
            if kind is None and record.id is not None:
                self._take_meta(record)
            else:
                self._take_item(line, raw, record, at)
            return
        # In a wrapped file the event of a prompt may still be on its way.
        self._wrapped = True
        if kind == "response_item":
            self._take_item(line, raw, payload, at)
        elif kind == "event_msg":
            self._take_event(line, payload, at)
        elif kind == "turn_context":
            self._note_model(payload, line, at)
        elif kind == "session_meta":
            self._take_meta(payload)
        elif kind == "compacted":
            self._timeline.note("context compacted", line)

    def _take_meta(self, meta: Payload) -> None:
        # A fork repeats the session it came from: the first one owns the file.
        if self._meta is not None:
            return
        git = meta.git if type(meta.git) is dict else {}
        self._meta = {
            "id": label(meta.id),
            "cwd": label(meta.cwd, 1_000),
            "version": label(meta.cli_version),
            "branch": label(git.get("branch"), 1_000),
            "originator": label(meta.originator),
            "parent": label(meta.parent_thread_id) or label(meta.forked_from_id),
        }
        self._bounds.see(parse_stamp(meta.timestamp))

    # -- turns and what the person said

    def _take_event(self, line: int, event: Payload, at: datetime | None) -> None:
        kind = event.type
        if kind == "user_message":
            self._talk = True
            self._events = True
            self._said = None
            self._prompt(text(event.message), bool(event.images), line, at)
        elif kind == "token_count":
            self._count_tokens(event.info)
        elif kind == "task_started":
            self._turns = True
            self._turn = label(event.turn_id)
            # The prompt may stand on the line before its turn.
            self._turn_has_prompt = self._last is LastSeen.PROMPT
        elif kind == "task_complete":
            self._turn = None
            if event.error is not None:
                self._fail(event.error, line, at)
            elif self._last not in (LastSeen.INTERRUPTION, LastSeen.ERROR, LastSeen.NOTHING):
                self._last = LastSeen.ANSWER
        elif kind == "turn_aborted":
            self._turn = None
            reason = label(event.reason) or "interrupted"
            self._run.interrupt(reason)
            self._last = LastSeen.INTERRUPTION
            self._timeline.move(SessionState.PAUSED, f"turn aborted: {reason}", line)
        elif kind == "context_compacted":
            self._timeline.note("context compacted", line)
        elif kind == "error":
            self._fail(event.message, line, at)

    def _fail(self, error: Any, line: int, at: datetime | None) -> None:
        said = error.get("message") if type(error) is dict else error
        self._run.interrupt("error")
        self._last = LastSeen.ERROR
        self._timeline.move(SessionState.FAILED, f"error: {text(said) or 'unknown'}", line)

    def _prompt(self, said: str, images: bool, line: int, at: datetime | None) -> None:
        if not said.strip():
            if not images:
                return
            said = "[image]"
        # What the model says next answers this, also where no item of its own repeats it.
        self._fresh_input = True
        if self._turn is not None and self._turn_has_prompt:
            self._timeline.note(f"steering: {said}", line)
            return
        self._turn_has_prompt = True
        asked = request_of(said)
        self._run.begin_task(f"prompt:{len(self._run.tasks)}", said, at, line, asked=asked)
        if self._request is None:
            self._request = label(asked) if asked is not said else ""
        self._last = LastSeen.PROMPT
        if self._timeline.live is SessionState.CREATED:
            self._timeline.move(SessionState.PLANNING, "first prompt", line)
        else:
            self._timeline.move(SessionState.EXECUTING, "new prompt", line)

    # -- items: what went into the model and what came out

    def _take_item(self, line: int, raw: bytes, item: Payload, at: datetime | None) -> None:
        kind = item.type
        if kind == "message":
            self._talk = True
            if item.role == "assistant":
                self._answer(line, item, at)
                return
            self._fresh_input = True
            said = text_of(item.content)
            if item.role == "user" and not self._events and not said.lstrip().startswith(_INPUTS) and said.strip():
                # Only a file without events is read by its items: wait for what follows.
                self._said = (said, at, line)
        elif type(kind) is str and kind in _OUTPUTS:
            self._fresh_input = True
            self._result(line, item, at)
        elif type(kind) is str and kind in _STEPS:
            self._talk = True
            step = self._begin(line, at)
            if kind == "reasoning":
                self._last = LastSeen.WORK
            elif kind in _CALLS:
                self._call(step, line, raw, item, at)
            else:
                self._lone_call(step, kind, raw, item, at)

    def _begin(self, line: int, at: datetime | None) -> StepDraft:
        self._take_said()
        if self._step is None or self._fresh_input:
            if self._turn is not None and not self._turn_has_prompt:
                self._turn_has_prompt = True
                self._run.begin_task(f"prompt:{len(self._run.tasks)}", "(turn without a prompt)", at, line)
            self._step = self._run.begin_step(f"step:{len(self._run.steps)}", at, line)
            if self._model:
                self._step.metadata = {"model": self._model}
            self._timeline.move(SessionState.EXECUTING, "the model set to work", line)
        self._fresh_input = False
        return self._step

    def _take_said(self) -> None:
        if self._said is not None and not self._events:
            said, asked, line = self._said
            self._said = None
            self._prompt(said, False, line, asked)

    def _answer(self, line: int, item: Payload, at: datetime | None) -> None:
        step = self._begin(line, at)
        said = text_of(item.content)
        if said:
            self._run.respond(step, said, at)
        self._last = LastSeen.WORK if self._turn is not None and self._turns else LastSeen.ANSWER

    def _call(self, step: StepDraft, line: int, raw: bytes, item: Payload, at: datetime | None) -> None:
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

    def _lone_call(self, step: StepDraft, kind: str, raw: bytes, item: Payload, at: datetime | None) -> None:
        # These have no call id and no output: their place among their like names them.
        self._searches += 1
        parameters = storable(item.action, dirty=needs_escape(raw)) if item.action is not None else {}
        name = kind.removesuffix("_call")
        call = self._run.call(step, f"{kind}:{self._searches}", name, parameters, at)
        if item.status in (None, "completed"):
            call.settle(ToolCallState.SUCCEEDED, at)
        elif item.status in ("failed", "incomplete"):
            call.settle(ToolCallState.FAILED, at, f"{name} {item.status}")
        self._last = LastSeen.WORK
        if not step.name:
            step.name = name

    def _result(self, line: int, item: Payload, at: datetime | None) -> None:
        key = text(item.call_id) or f"result:{line}"
        call = self._run.result_of(key, at, line)
        output = item.output if item.output is not None else item.tools
        if type(output) is list and item.type == "tool_search_output":
            output = ", ".join(label(tool.get("name")) for tool in output if type(tool) is dict)
        settle(call, read_output(output), at)
        if self._last is not LastSeen.INTERRUPTION:
            self._last = LastSeen.RESULT

    def _note_model(self, context: Payload, line: int, at: datetime | None) -> None:
        self._cwd = self._cwd or label(context.cwd, 1_000)
        if context.model == self._model:
            return
        model = label(context.model)
        if not model or model == self._model:
            return
        if self._model:
            self._timeline.note(f"model changed from {self._model} to {model}", line)
        self._model = model
        if model not in self._models and len(self._models) < MAX_MODELS:
            self._models.append(model)

    def _count_tokens(self, info: Any) -> None:
        # The count is repeated, and its totals may start over: what counts is each change of the total.
        if type(info) is not dict:
            return
        total = info.get("total_token_usage")
        if total != self._total:
            self._total = total
            self._tokens.add(*codex_usage(info.get("last_token_usage")))

    # -- the end of the file

    def finish(self, skipped: SkippedLines, last_line: int) -> Parsed:
        """The session as its whole lines tell it; a file without any talk gives none."""
        if not self._wrapped:
            self._take_said()
        if not self._talk:
            return Parsed(counts=Counts(), skipped=skipped)
        meta = self._meta or {}
        native = meta.get("id") or _named(self._context.path)
        metadata: dict[str, Any] = {
            "source": SOURCE,
            "nativeId": native,
            "file": label(self._context.path.name, 255),
            "cwd": meta.get("cwd") or self._cwd or None,
            "gitBranch": meta.get("branch") or None,
            "agentVersion": meta.get("version") or None,
            "models": self._models,
            "tokens": self._tokens.plain(),
            "firstTime": self._bounds.earliest,
            "lastTime": self._bounds.latest,
        }
        if self._request:
            metadata["request"] = self._request
        if meta.get("parent") and meta["parent"] != native:
            metadata["parentNativeId"] = meta["parent"]
            metadata["parentSessionId"] = imported_id(SOURCE, meta["parent"])
        header = Header(
            source=SOURCE,
            session_id=imported_id(SOURCE, native),
            workspace_id=self._context.workspace_id,
            user_id=self._context.user_id,
            limits=self._context.limits,
            metadata=metadata,
            title="",
            first_seen=self._bounds.first,
            first=self._bounds.earliest,
            last=self._bounds.latest,
        )
        ending = Ending(self._last, planning=False, asking=(), fresh=self._context.fresh)
        return finish(self._run, self._timeline, header, ending, skipped, last_line)


def _named(path: Path) -> str:
    stem = path.name.removesuffix(".jsonl")
    found = _ROLLOUT.search(stem)
    return found.group().lower() if found else label(stem) or "unnamed"
