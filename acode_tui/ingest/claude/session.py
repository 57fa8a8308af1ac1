"""The session that the lines of a Claude Code file build: its prompts, tasks and facts, and its end."""

import re
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec

from acode_tui.domain.ids import imported_id
from acode_tui.domain.states import ArtifactType, SessionState
from acode_tui.ingest.claude.branches import Branches
from acode_tui.ingest.claude.copies import Copies
from acode_tui.ingest.claude.facts import SessionFacts
from acode_tui.ingest.claude.identity import SOURCE, agent_facts, identify, named_session
from acode_tui.ingest.claude.queue import PromptQueue
from acode_tui.ingest.claude.records import Record
from acode_tui.ingest.claude.state import ClaudeState, decode_state
from acode_tui.ingest.contents import text_of
from acode_tui.ingest.counts import Counts, SkippedLines
from acode_tui.ingest.draft import (
    ArtifactDraft,
    RunDraft,
    StepDraft,
    to_bytes,
)
from acode_tui.ingest.file_sessions import FileSessions
from acode_tui.ingest.finish import Ending, LastSeen, finish, idle_time
from acode_tui.ingest.format import Parsed, ReadContext
from acode_tui.ingest.graph import Header
from acode_tui.ingest.observe import observer
from acode_tui.ingest.records import label, storable, text
from acode_tui.ingest.resume import encode, restore_reading, save_reading
from acode_tui.ingest.timeline import MAX_REASON_CHARS, Bounds, ModelHistory, Timeline
from acode_tui.ingest.usage import MessageUsage

MAX_UNKNOWN = 100
"""So many types of unknown records are counted by name."""
ANSWER_TOOL = "StructuredOutput"
"""A run of the SDK answers by a call of this tool; its arguments are the answer."""
APPROVAL_TOOLS = frozenset({"ExitPlanMode", "AskUserQuestion"})
_BLANK = re.compile(r"\s")


class ClaudeSession:
    """What is known of the session so far. ``finish`` turns it into the session's rows."""

    def __init__(self, context: ReadContext) -> None:
        self._context = context
        self._run = RunDraft()
        self._bounds = Bounds()
        self._timeline = Timeline(self._bounds, context.checkpoints)
        self._last = LastSeen.NOTHING
        self._planning = False
        self._pending_command: tuple[str, str, datetime | None, int, str] | None = None
        self._prompts: dict[str, list[str]] = {}
        self._subagent_prompts: set[bytes] = set()
        self._agents: dict[str, str] = {}
        self._usage = MessageUsage()
        self._models = ModelHistory(self._timeline)
        self._branches = Branches()
        self._copies = Copies(context.path)
        self._queue = PromptQueue()
        self._summaries: list[tuple[str, str, int, SessionState]] = []
        self._facts = SessionFacts()
        self._sessions = FileSessions(self._run, self._timeline, named_session(context.path))
        self._notes: list[ArtifactDraft] = []
        self._has_answer = False
        self._unknown: dict[str, int] = {}
        self._has_messages = False
        self.skipped, self.last_line = SkippedLines(), 0
        """Those of the lines before, where the reading is resumed."""
        if context.resume:
            self._resume(decode_state(context.resume))

    def _resume(self, state: ClaudeState) -> None:
        restore_reading(state.reading, self._run, self._bounds, self._timeline, self._models)
        self.skipped, self.last_line = state.reading.skipped, state.reading.last_line
        self._last = state.last
        self._planning = state.planning
        self._pending_command = state.pending_command
        self._subagent_prompts = set(state.subagent_prompts)
        self._agents = state.agents
        self._usage.restore(state.usage, state.settled, state.settled_cost)
        self._summaries = state.summaries
        self._facts.fields, self._facts.titles, self._facts.todos = state.fields, state.titles, state.todos
        self._facts.reported_cost = state.reported_cost
        self._queue = PromptQueue(state.queued, state.queue_given)
        self._branches = Branches(state.records, is_resumed=True)
        self._copies = Copies(self._context.path, state.origin, is_settled=state.is_settled)
        self._has_answer = state.has_answer
        self._unknown = state.unknown
        self._sessions.restore(state.sessions)
        self._has_messages = True

    def _note(self, about: str, line: int, content: str = "") -> None:
        """An event that changes no state. Its text is also kept whole, with the task, where an event cannot hold it."""
        self._timeline.note(f"{about}: {content}" if content else about, line)
        if len(content) > MAX_REASON_CHARS // 2:
            kind, at = ArtifactType.MODEL_RESPONSE, self._bounds.current
            note = ArtifactDraft(f"note {line}", kind, label(about), to_bytes(content), "text/markdown", at)
            # What comes before the first prompt belongs to the first task.
            (self._run.task.artifacts if self._run.task is not None else self._notes).append(note)

    def _count_unknown(self, kind: Any) -> None:
        name = label(kind) or "(without a type)"
        if (watching := observer()) is not None:
            watching.unknown(name)
        if name in self._unknown or len(self._unknown) < MAX_UNKNOWN:
            self._unknown[name] = self._unknown.get(name, 0) + 1

    def _add_prompt(self, uuid: str, prompt: str, at: datetime | None, line: int, parent: str) -> bool:
        """Begin a task; False for a prompt that was read before."""
        # An id with blanks in it is a placeholder, and identifies nothing.
        key = uuid if uuid and not _BLANK.search(uuid) else f"line:{line}"
        known = self._prompts.setdefault(key, [])
        if prompt in known:
            return False
        known.append(prompt)
        if len(known) > 1:
            # Not a replay: another prompt under the same id.
            key = f"{key}:{line}"
        self._begin_task(key, prompt, at, line)
        left = self._branches.begin(self._run, parent)
        if left:
            self._note(
                f"the user went back: {left} earlier {'prompt is' if left == 1 else 'prompts are'} superseded", line
            )
        return True

    def _begin_task(self, key: str, prompt: str, at: datetime | None, line: int) -> None:
        task = self._run.begin_task(key, prompt, at, line)
        task.artifacts += self._notes
        self._notes = []
        self._has_answer = False
        self._last = LastSeen.PROMPT
        if self._planning or self._timeline.state is SessionState.CREATED:
            self._timeline.change_state(SessionState.PLANNING, "plan mode" if self._planning else "first prompt", line)
        else:
            self._timeline.change_state(SessionState.EXECUTING, "new prompt", line)

    def _add_interruption(self, line: int) -> None:
        self._run.interrupt()
        self._last = LastSeen.INTERRUPTION
        self._timeline.change_state(SessionState.PAUSED, "interrupted by the user", line)

    def _note_permission_mode(self, record: Record) -> None:
        if type(record.permission_mode) is str:
            self._planning = record.permission_mode == "plan"
            self._facts.note_mode(record.permission_mode)

    def _answer(self, step: StepDraft | None, value: Any, at: datetime | None) -> None:
        """The value that a run returns; the call and the attachment both hold it."""
        if step is None or self._has_answer:
            return
        self._has_answer = True
        try:
            content = msgspec.json.encode(storable(value, dirty=True))
        except (ValueError, TypeError, OverflowError, RecursionError):
            content = to_bytes(text_of(value))
        kind = ArtifactType.MODEL_RESPONSE
        step.artifacts.append(ArtifactDraft("answer", kind, "structured output", content, "application/json", at))

    def _current_step(self) -> StepDraft | None:
        task = self._run.task
        return task.steps[-1] if task is not None and task.steps else None

    def finish(self, skipped: SkippedLines, last_line: int) -> Parsed:
        """The session of the lines read; none for a file without any message."""
        identity = identify(self._context.path, self._facts.fields)
        if not self._has_messages:
            return Parsed(counts=Counts(), skipped=skipped, unknown=self._unknown)
        self._note_summaries()
        for key, agent in self._agents.items():
            call = self._run.calls.get(key)
            if call is not None:
                call.facts["agentId"] = agent
                call.facts["childSessionId"] = imported_id(SOURCE, identity.root, agent)
        total, claimed = self._usage.count(self._context.claims, identity.session_id, self._context.claimed)
        self._usage.note_steps(self._run.steps)
        metadata: dict[str, Any] = {
            "source": SOURCE,
            "nativeId": identity.native_id,
            "file": label(self._context.path.name, 255),
            **self._facts.metadata(identity, self._copies.origin),
            **self._sessions.facts(),
            "models": self._models.names,
            "tokens": total.plain(),
            "firstTime": self._bounds.earliest,
            "lastTime": self._bounds.latest,
        }
        cost = self._usage.cost
        if cost is None and not self._copies.origin:
            # A copy's own count begins with the cost of its origin.
            cost = self._facts.reported_cost
        if cost is not None:
            metadata["cost"] = cost
        if identity.agent_id is not None:
            metadata |= agent_facts(self._context.path)
        header = Header(
            source=SOURCE,
            session_id=identity.session_id,
            workspace_id=self._context.workspace_id,
            user_id=self._context.user_id,
            limits=self._context.limits,
            metadata=metadata,
            title=self._facts.title or self._own_summary(),
            first_seen=self._bounds.first,
            first=self._bounds.earliest,
            last=self._bounds.latest,
        )
        idle = idle_time(self._context, self._bounds)
        ending = Ending(self._last, planning=self._planning, approval_tools=APPROVAL_TOOLS, idle=idle)
        other_calls = [key for key in self._agents if key not in self._run.calls]
        parsed = finish(
            self._context, self._run, self._timeline, header, ending, skipped, last_line, claimed, other_calls
        )
        parsed.unknown = self._unknown
        if self._context.resumable:
            parsed.resume = self._state(skipped, last_line)
        return parsed

    def _state(self, skipped: SkippedLines, last_line: int) -> bytes:
        """What is kept to read on after these lines; empty where that is not possible."""
        leaves = self._branches.task_of
        unresolved = [found for found in self._summaries if found[1] not in leaves]
        if self._notes or (self._summaries and not self._run.description):
            # The texts wait for the first task, and one of the summaries is the title until there is a prompt.
            return b""
        reading = save_reading(self._run, self._bounds, self._timeline, self._models, skipped, last_line)
        if reading is None:
            return b""
        kept = {step.key for task in reading.run.tasks for step in task.steps}
        usage, settled, settled_cost = self._usage.save(kept)
        calls = self._run.calls
        return encode(
            ClaudeState(
                reading=reading,
                last=self._last,
                planning=self._planning,
                pending_command=self._pending_command,
                subagent_prompts=list(self._subagent_prompts),
                agents={key: agent for key, agent in self._agents.items() if key not in calls or calls[key].is_open},
                usage=usage,
                settled=settled,
                settled_cost=settled_cost,
                summaries=unresolved,
                fields=self._facts.fields,
                titles=self._facts.titles,
                todos=self._facts.todos,
                reported_cost=self._facts.reported_cost,
                queued=self._queue.removed,
                queue_given=self._queue.given,
                records=self._branches.recent(),
                origin=self._copies.origin,
                is_settled=self._copies.is_settled,
                has_answer=self._has_answer,
                unknown=self._unknown,
                sessions=self._sessions.save(),
            )
        )

    def _note_summaries(self) -> None:
        # A summary belongs to this session only if its leaf is in the file; older releases write other sessions' too.
        for summary, leaf, line, state in self._summaries:
            if summary and leaf in self._branches.task_of:
                self._timeline.note_past(state, f"summary: {summary}", line, self._bounds.first)

    def _own_summary(self) -> str:
        own = [summary for summary, leaf, _, _ in self._summaries if leaf in self._branches.task_of]
        every = (summary for summary, *_ in self._summaries)
        return next((summary for summary in [*own, *every] if summary.strip()), "")


def spoken(content: Any) -> str:
    """The text blocks of a message, joined by newlines: not those of the results in it."""
    if type(content) is not list:
        return text(content)
    parts = [block if type(block) is str else _text_block(block) for block in content]
    return "\n".join(part for part in parts if part)


def _text_block(block: Any) -> str:
    return text(block.get("text")) if type(block) is dict and block.get("type", "text") == "text" else ""


def prompt_key(prompt: str) -> bytes:
    """Eight bytes of the hash of a prompt."""
    return blake2b(prompt.encode("utf-8", "surrogatepass"), digest_size=8).digest()
