"""What the readers of all newer formats share: prompts, steps, usage, and the end of a session.

A reader goes through the records in order and calls these methods; ``finish`` builds the session.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from acode_tui.domain.ids import imported_id
from acode_tui.domain.states import SessionState
from acode_tui.ingest.counts import Counts, SkippedLines
from acode_tui.ingest.draft import ImageDraft, RunDraft, StepDraft, TaskDraft, shorten
from acode_tui.ingest.file_sessions import FileSessions
from acode_tui.ingest.finish import Ending, LastSeen, finish, idle_time
from acode_tui.ingest.format import Parsed, ReadContext
from acode_tui.ingest.graph import Header
from acode_tui.ingest.observe import observer
from acode_tui.ingest.records import label
from acode_tui.ingest.timeline import Bounds, ModelHistory, Timeline
from acode_tui.ingest.usage import StepUsage, Tokens

# Bound once: until Python 3.12, finding a member in its enum takes longer than most of what is done with it.
_EXECUTING = SessionState.EXECUTING
_WORK, _ANSWER = LastSeen.WORK, LastSeen.ANSWER
MAX_UNKNOWN = 100
"""So many types of unknown records are counted by name."""


class RunReader:
    """One session under construction. ``last`` is the kind of the last record that decides how the session ends."""

    def __init__(self, source: str, context: ReadContext) -> None:
        self.source = source
        self.context = context
        self.run = RunDraft()
        self.bounds = Bounds()
        self.timeline = Timeline(self.bounds, context.checkpoints)
        self.models = ModelHistory(self.timeline)
        self.usage = StepUsage()
        self.unknown: dict[str, int] = {}
        self.last = LastSeen.NOTHING
        self.sessions = FileSessions(self.run, self.timeline)
        self.has_records = False
        self.approval_tools: frozenset[str] = frozenset()
        self._observer = observer()

    def session_id(self, native_id: str) -> str:
        """The id of the session that the agent calls by this native id."""
        return imported_id(self.source, native_id)

    def at(self, line: int, moment: datetime | None) -> datetime | None:
        """Note that a record begins, and its time. Returns the time, or that of the record before."""
        self.has_records = True
        if self._observer is not None:
            self._observer.begin_record(line, None)
        if line > self.timeline.next_checkpoint:
            self.timeline.pass_checkpoint(line)
        return self.bounds.note(moment)

    def count_unknown(self, type_: Any) -> None:
        """Count a record of a type that the reader does not know."""
        name = label(type_) or "(without a type)"
        if self._observer is not None:
            self._observer.unknown(name)
        if name in self.unknown or len(self.unknown) < MAX_UNKNOWN:
            self.unknown[name] = self.unknown.get(name, 0) + 1

    def begin_record(self, line: int) -> None:
        """Say that a record begins. ``at`` says so too; this is for one that may turn out to be no part of the run."""
        if self._observer is not None:
            self._observer.begin_record(line, None)

    def because(self, rule: str, value: object = None) -> None:
        """Say why the current record is understood as it is, where more than its type decided: the field, its value."""
        if self._observer is not None:
            self._observer.because(rule if value is None else f"{rule}={label(value)}")

    def begin_task(
        self, key: str, prompt: str, at: datetime | None, line: int, images: Iterable[ImageDraft] = ()
    ) -> TaskDraft | None:
        """A prompt of the user. Returns None for one that is empty."""
        images = tuple(images)
        if not prompt.strip():
            if not images:
                return None
            prompt = "[image]"
        task = self.run.begin_task(key, prompt, at, line)
        self.run.add_images(task, images, at)
        self.last = LastSeen.PROMPT
        if self.timeline.state is SessionState.CREATED:
            self.timeline.change_state(SessionState.PLANNING, "first prompt", line)
        else:
            self.timeline.change_state(SessionState.EXECUTING, "new prompt", line)
        return task

    def begin_step(self, key: str, at: datetime | None, line: int, model: str = "") -> StepDraft:
        """The step with this native id: one message of the model. It begins with its first record.

        The model's name is a ``label``.
        """
        step = self.run.steps.get(key)
        if step is None:
            step = self.run.begin_step(key, at, line)
            self.timeline.change_state(_EXECUTING, "the model set to work", line)
        if model:
            self.models.note(model, line)
            step.metadata["model"] = model
        self.last = _WORK
        return step

    def say(self, step: StepDraft, text: str, at: datetime | None) -> None:
        """A piece of the model's answer."""
        if text.strip():
            self.run.respond(step, text, at)
            self.last = _ANSWER

    def note(self, reason: str, line: int, content: str = "") -> None:
        """An event that changes no state. Its text is also kept whole, with the task, where an event cannot hold it."""
        self.run.keep_text(label(reason), content, line, self.bounds.current)
        self.timeline.note(f"{reason}: {content}" if content else reason, line)

    def interrupt(self, reason: str, line: int) -> None:
        """The user broke off the current task."""
        self.run.interrupt()
        self.last = LastSeen.INTERRUPTION
        self.timeline.change_state(SessionState.PAUSED, reason, line)

    def fail(self, reason: str, line: int) -> None:
        """The current task ended with an error."""
        self.run.interrupt("error")
        self.last = LastSeen.ERROR
        self.timeline.change_state(SessionState.FAILED, reason, line)

    def finish(
        self,
        native_id: str,
        metadata: dict[str, Any],
        skipped: SkippedLines,
        last_line: int,
        *,
        title: str = "",
        parent: str = "",
        planning: bool = False,
    ) -> Parsed:
        """The session of the records read; none where there was no record of a message.

        ``parent`` is the native id of the session that started this one. Metadata that is None or empty is left out.
        """
        if self._observer is not None:
            self._observer.end_records()
        if not self.has_records or not (self.run.task_count or self.run.step_count):
            return Parsed(counts=Counts(), skipped=skipped, unknown=self.unknown)
        session_id = self.session_id(native_id)
        total, cost, claimed = self.usage.count(self.context.claims, session_id, self.run.steps)
        facts: dict[str, Any] = {
            "source": self.source,
            "nativeId": native_id,
            "file": label(self.context.path.name, 255),
            **{name: value for name, value in metadata.items() if value not in (None, "", [], {})},
            **self.sessions.facts(),
            "models": self.models.names,
            "tokens": total.plain(),
            "firstTime": self.bounds.earliest,
            "lastTime": self.bounds.latest,
        }
        if cost is not None:
            facts["cost"] = cost
        if parent and parent != native_id:
            facts["parentNativeId"] = parent
            facts["parentSessionId"] = self.session_id(parent)
        if title.strip():
            facts["title"] = shorten(title, 200)
        header = Header(
            source=self.source,
            session_id=session_id,
            workspace_id=self.context.workspace_id,
            user_id=self.context.user_id,
            limits=self.context.limits,
            metadata=facts,
            title=title,
            first_seen=self.bounds.first,
            first=self.bounds.earliest,
            last=self.bounds.latest,
        )
        idle = idle_time(self.context, self.bounds)
        ending = Ending(self.last, planning=planning, approval_tools=self.approval_tools, idle=idle)
        parsed = finish(self.context, self.run, self.timeline, header, ending, skipped, last_line, claimed)
        return msgspec.structs.replace(parsed, unknown=self.unknown)

    def note_usage(self, step: StepDraft, tokens: Tokens, cost: Any = None, claim: bytes | None = None) -> None:
        """The usage of a step's model call (see ``StepUsage.note``). A cost that is no number is none."""
        self.usage.note(step.key, tokens, float(cost) if type(cost) in (int, float) else None, claim)

    def is_pending(self) -> bool:
        """Whether a call has no result yet."""
        return any(call.is_open for call in self.run.calls.values())
