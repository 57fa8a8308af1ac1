"""The session that the lines of a Codex rollout build: its prompts, steps and facts, and its end."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from acode_tui.domain.ids import imported_id
from acode_tui.domain.states import SessionState
from acode_tui.ingest.codex.replay import Replay
from acode_tui.ingest.codex.state import CodexState, decode_state
from acode_tui.ingest.counts import Counts, SkippedLines
from acode_tui.ingest.draft import ImageDraft, RunDraft, StepDraft
from acode_tui.ingest.file_sessions import FileSessions
from acode_tui.ingest.finish import Ending, LastSeen, finish, idle_time
from acode_tui.ingest.format import Parsed, ReadContext
from acode_tui.ingest.graph import Header
from acode_tui.ingest.observe import observer
from acode_tui.ingest.records import label
from acode_tui.ingest.resume import encode, restore_reading, save_reading
from acode_tui.ingest.timeline import Bounds, ModelHistory, Timeline
from acode_tui.ingest.usage import Tokens

SOURCE = "codex"
MAX_UNKNOWN = 100
_CONTEXT = "# Context from my IDE setup:"
_REQUEST = "\n## My request for Codex:"
_ROLLOUT = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")


class CodexSession:
    """What is known of the session so far. ``finish`` turns it into the session's rows."""

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

    def _count_unknown(self, *names: Any) -> None:
        name = "/".join(label(part) or "(without a type)" for part in names)
        if (watching := observer()) is not None:
            watching.unknown(name)
        if name in self.unknown or len(self.unknown) < MAX_UNKNOWN:
            self.unknown[name] = self.unknown.get(name, 0) + 1

    def _note_text(self, reason: str, content: str, line: int) -> None:
        self._run.keep_text(reason, content, line, self._bounds.current)
        self._timeline.note(f"{reason}: {content}" if content else reason, line)

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
