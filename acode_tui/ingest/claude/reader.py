"""Reads one Claude Code session, line by line, and decides what becomes a task, a step, a call and a result.

The order is that of the lines: time stamps in these files go back and forth. ``parentUuid`` often points at lines that
say nothing; it is asked only which earlier record a prompt follows (see ``branches``).
"""

import re
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec

from acode_tui.domain.ids import imported_id
from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState
from acode_tui.ingest.claude import results
from acode_tui.ingest.claude.attachments import Event, event_of_attachment, event_of_system
from acode_tui.ingest.claude.branches import QUEUE_KEY, Branches
from acode_tui.ingest.claude.copies import Copies
from acode_tui.ingest.claude.facts import TODO_TOOLS, SessionFacts
from acode_tui.ingest.claude.identity import SOURCE, agent_facts, identify, named_session
from acode_tui.ingest.claude.prompts import Kind, Understood, file_of_tag, is_notification, understand
from acode_tui.ingest.claude.queue import PromptQueue
from acode_tui.ingest.claude.records import Details, Message, Progress, ProgressLine, Record
from acode_tui.ingest.claude.state import ClaudeState, decode_state
from acode_tui.ingest.contents import has_image, text_of
from acode_tui.ingest.counts import Counts, SkippedLines
from acode_tui.ingest.draft import (
    ArtifactDraft,
    CallDraft,
    ImageDraft,
    NeedsWholeFileError,
    RunDraft,
    StepDraft,
    to_bytes,
)
from acode_tui.ingest.file_sessions import FileSessions
from acode_tui.ingest.finish import Ending, LastSeen, finish, idle_time
from acode_tui.ingest.format import Parsed, ReadContext
from acode_tui.ingest.graph import Header
from acode_tui.ingest.observe import observer
from acode_tui.ingest.records import LineDecoder, label, needs_escape, parse_stamp, storable, text
from acode_tui.ingest.resume import encode, restore_reading, save_reading
from acode_tui.ingest.timeline import MAX_REASON_CHARS, Bounds, ModelHistory, Timeline
from acode_tui.ingest.usage import MessageUsage

NO_MODEL = "<synthetic>"
"""The model of messages that the program itself wrote."""
MAX_UNKNOWN = 100
"""So many types of unknown records are counted by name."""
ANSWER_TOOL = "StructuredOutput"
"""A run of the SDK answers by a call of this tool; its arguments are the answer."""
_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
_APPROVAL_TOOLS = frozenset({"ExitPlanMode", "AskUserQuestion"})
SESSION_LINES = frozenset({"custom-title", "ai-title", "agent-name", "pr-link", "continued-in", "cost-state"})
QUIET_LINES = frozenset(
    {
        "mode",
        "last-prompt",
        "file-history-snapshot",
        "file-history-delta",
        "agent-color",
        "agent-setting",
        "tag",
        "task-summary",
        "relocated",
        "worktree-state",
        "bridge-session",
        "atis-latch",
        "frame-link",
        "attribution-snapshot",
        "content-replacement",
        "speculation-accept",
        "fork-context-ref",
        "dev-mods",
        "started",
        "result",
    }
)
"""Lines about the program's own state, which say nothing about the run."""
_BLANK = re.compile(r"\s")
_progress = LineDecoder(Progress)
_details = LineDecoder(Details)


class ClaudeReader:
    """Collects the records of one file; ``finish`` turns them into the session."""

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

    def take(self, line: int, raw: bytes, record: Record | ProgressLine) -> None:
        """Read one record. Nothing in it is trusted; an unknown shape is ignored."""
        copies = self._copies
        if not copies.is_settled and (copies.count if isinstance(record, ProgressLine) else copies.is_copy(record)):
            return
        at = parse_stamp(record.timestamp)
        if line > self._timeline.next_checkpoint:
            self._timeline.pass_checkpoint(line)
        at = self._bounds.note(at)
        if isinstance(record, ProgressLine):
            self._take_progress(record.data, record.parent_tool_use_id)
            return
        kind = text(record.type)
        if kind == "progress":
            # A progress line that the fast decoder did not recognise.
            self._take_progress(_progress.decode(bytes(record.data)), text(record.parent_tool_use_id))
            return
        self._facts.note_header(record)
        if record.session_id != self._sessions.current:
            self._sessions.note_session(record.session_id, line)
        if record.version != self._sessions.version:
            self._sessions.note_version(record.version, line)
        if kind == "assistant":
            self._take_assistant(line, raw, record, at)
        elif kind == "user":
            self._take_user(line, record, at)
        elif kind not in QUIET_LINES:
            self._take_other(line, raw, record, at)
        if type(record.uuid) is str and " " not in record.uuid:
            self._branches.task_of.setdefault(record.uuid, self._run.task_count)

    def _take_progress(self, data: Progress | None, call: str) -> None:
        if data is not None and data.type == "agent_progress" and label(data.agent_id):
            self._agents.setdefault(call, label(data.agent_id))

    # -- lines that are neither the user's nor the model's

    def _take_other(self, line: int, raw: bytes, record: Record, at: datetime | None) -> None:
        kind = text(record.type)
        if kind == "permission-mode":
            self._note_permission_mode(record)
            return
        details = _details.decode(raw) or Details()
        if kind == "system":
            self._take_system(line, record, details)
        elif kind == "attachment":
            self._take_attachment(line, record, details.attachment, at)
        elif kind == "queue-operation":
            self._take_queue_operation(line, details, at)
        elif kind == "summary":
            if self._run.is_resumed:
                # Whether its leaf is in the file is not known of the lines before.
                raise NeedsWholeFileError
            self._summaries.append((text(details.summary), text(details.leaf_uuid), line, self._timeline.state))
        elif kind in SESSION_LINES:
            self._facts.note_line(kind, details)
        else:
            self._count_unknown(kind)

    def _take_system(self, line: int, record: Record, details: Details) -> None:
        try:
            event = event_of_system(details)
        except (KeyError, TypeError):
            self._count_unknown(f"system/{label(details.subtype)}")
            return
        if event is not None and details.subtype == "local_command":
            found = understand(record, event.content)
            about = "slash command" if found.kind is Kind.COMMAND else found.about
            event = Event(about, found.text) if about else None
        if event is not None:
            self._note(event.about, line, event.content)

    def _take_attachment(self, line: int, record: Record, attachment: Any, at: datetime | None) -> None:
        if type(attachment) is not dict:
            self._count_unknown("attachment")
            return
        kind = attachment.get("type")
        if kind == "queued_command":
            self._take_queued(line, record, attachment, at)
        elif kind == "structured_output":
            self._answer(self._current_step(), attachment.get("data"), at)
            self._last = LastSeen.ANSWER
        else:
            try:
                event = event_of_attachment(attachment)
            except (KeyError, TypeError):
                self._count_unknown(f"attachment/{label(kind)}")
                return
            if event is not None:
                self._note(event.about, line, event.content)

    def _take_queued(self, line: int, record: Record, attachment: dict[str, Any], at: datetime | None) -> None:
        """A prompt, or a notification, that went into the running turn (2.1.100 on)."""
        prompt = attachment.get("prompt")
        said = _spoken(prompt)
        record.origin = attachment.get("origin")
        record.is_meta = record.is_meta is True or attachment.get("isMeta") is True
        found = understand(record, said)
        mode = attachment.get("commandMode")
        if mode not in ("prompt", None) and found.kind is Kind.PROMPT:
            found = Understood(Kind.INJECTED, found.text, "notification", found.tags)
        if not self._queue.attach(said.strip()):
            return
        self._take_words(line, record, found, prompt, at)

    def _take_queue_operation(self, line: int, details: Details, at: datetime | None) -> None:
        """What enters the queue and leaves it (2.0 on). A prompt that was taken back is none."""
        queued = text(details.content).strip()
        if not queued or is_notification(queued):
            return
        if details.operation == "enqueue":
            self._note("prompt queued", line, queued)
        elif details.operation == "remove" and not queued.startswith("/"):
            self._queue.remove(queued, at, line)
        elif details.operation == "popAll":
            self._note("queued prompts taken back", line, queued)

    def _count_unknown(self, kind: Any) -> None:
        name = label(kind) or "(without a type)"
        if (watching := observer()) is not None:
            watching.unknown(name)
        if name in self._unknown or len(self._unknown) < MAX_UNKNOWN:
            self._unknown[name] = self._unknown.get(name, 0) + 1

    def _note(self, about: str, line: int, content: str = "") -> None:
        """An event that changes no state. Its text is also kept whole, with the task, where an event cannot hold it."""
        self._timeline.note(f"{about}: {content}" if content else about, line)
        if len(content) > MAX_REASON_CHARS // 2:
            kind, at = ArtifactType.MODEL_RESPONSE, self._bounds.current
            note = ArtifactDraft(f"note {line}", kind, label(about), to_bytes(content), "text/markdown", at)
            # What comes before the first prompt belongs to the first task.
            (self._run.task.artifacts if self._run.task is not None else self._notes).append(note)

    # -- user lines: prompts, and the results of tools

    def _take_user(self, line: int, record: Record, at: datetime | None) -> None:
        self._has_messages = True
        message = record.message or Message()
        content = message.content
        self._note_permission_mode(record)
        has_results = self._take_results(line, record, content, at)
        said = _spoken(content)
        if not has_results and not bytes(record.tool_use_result):
            self._take_words(line, record, understand(record, said), content, at)
        elif said.strip():
            found = understand(record, said)
            if found.kind is Kind.INTERRUPTION:
                self._add_interruption(line)
            elif record.is_meta is not True:
                self._note_tags(line, found)
                if found.text:
                    self._note("text beside a result", line, found.text)

    def _take_words(self, line: int, record: Record, found: Understood, content: Any, at: datetime | None) -> None:
        """The words of a user line or of a queued prompt, once it is known whose they are."""
        kind = found.kind
        if kind is Kind.NOTHING and has_image(content) and record.is_meta is not True:
            kind, found = Kind.PROMPT, found._replace(text="[image]")
        if kind is not Kind.PROMPT:
            self._note_tags(line, found)
        if kind is Kind.PROMPT:
            if record.is_sidechain is True and _prompt_key(found.text) in self._subagent_prompts:
                # Older releases write a subagent's messages into its parent's file: this prompt is not the user's.
                return
            self._pending_command = None
            self._queue.attach(found.text.strip())
            self._note_tags(line, found)
            if self._add_prompt(text(record.uuid), found.text, at, line, text(record.parent_uuid)):
                self._complete_prompt(record, found, content, at)
        elif kind is Kind.COMMAND:
            self._note("slash command", line, found.text)
            self._pending_command = (text(record.uuid), found.text, at, line, text(record.parent_uuid))
        elif kind is Kind.INTERRUPTION:
            self._add_interruption(line)
        elif kind is Kind.SUMMARY:
            self._note("summary after compaction", line, found.text)
        elif kind is Kind.INJECTED:
            self._note(found.about, line, found.text)

    def _note_tags(self, line: int, found: Understood) -> None:
        for about, content in found.tags:
            self._note(about, line, content)

    def _complete_prompt(self, record: Record, found: Understood, content: Any, at: datetime | None) -> None:
        """Add what came with a prompt to its task: images, the files of the IDE, the plan that it carries out."""
        task = self._run.task
        if task is None:
            return
        images = [ImageDraft("image", image.content, image.content_type) for image in results.image_blocks(content)]
        self._run.add_images(task, images, at)
        files = [name for about, tag in found.tags if (name := label(file_of_tag(about, tag), 1_000))]
        if files:
            task.metadata["ideFiles"] = list(dict.fromkeys(files))
        plan = text(record.plan_content)
        if plan.strip():
            kind = ArtifactType.MODEL_RESPONSE
            task.artifacts.append(ArtifactDraft("plan", kind, "plan", to_bytes(plan), "text/markdown", at))

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

    def _take_results(self, line: int, record: Record, content: Any, at: datetime | None) -> bool:
        if type(content) is not list:
            return False
        blocks = [block for block in content if type(block) is dict and block.get("type") == "tool_result"]
        if not blocks:
            return False
        result_text, details = results.read_details(record.tool_use_result) if len(blocks) == 1 else ("", None)
        denied = record.tool_denial_kind == "user-rejected"
        last = LastSeen.RESULT
        for index, block in enumerate(blocks):
            key = text(block.get("tool_use_id")) or f"result:{line}:{index}"
            call = self._run.result_of(key, at, line)
            results.attach_result(call, block, result_text, details, denied, at, self._context.path)
            if details is not None and label(details.agent_id):
                self._agents[key] = label(details.agent_id)
            if call.name == ANSWER_TOOL and call.error is None:
                last = LastSeen.ANSWER
            if call.name in TODO_TOOLS and call.error is None:
                self._facts.note_todo(call.name, call.parameters, text_of(block.get("content")))
            if call.name in _APPROVAL_TOOLS:
                if call.name == "ExitPlanMode" and call.error is None:
                    self._planning = False
                self._timeline.change_state(SessionState.EXECUTING, f"{call.name} answered", line)
        if self._last is not LastSeen.INTERRUPTION:
            self._last = last
        return True

    def _note_permission_mode(self, record: Record) -> None:
        if type(record.permission_mode) is str:
            self._planning = record.permission_mode == "plan"
            self._facts.note_mode(record.permission_mode)

    # -- assistant lines: text and calls of the model

    def _take_assistant(self, line: int, raw: bytes, record: Record, at: datetime | None) -> None:
        self._has_messages = True
        message = record.message or Message()
        content = message.content
        by_model = message.model != NO_MODEL
        if self._pending_command is not None and by_model:
            uuid, prompt, prompt_at, prompt_line, parent = self._pending_command
            self._pending_command = None
            self._add_prompt(uuid, prompt, prompt_at, prompt_line, parent)
        key = text(message.id) or text(record.uuid) or f"line:{line}"
        step = self._run.steps.get(key)
        if step is None:
            if by_model:
                for queued in self._queue.take():
                    self._begin_task(f"{QUEUE_KEY}{queued.line}", queued.text, queued.at, queued.line)
                    self._branches.begin(self._run, "")
            step = self._run.begin_step(key, at, line)
            step.metadata["messageId"] = label(key)
            self._note_model(message, step, line)
            # A session in plan mode executes only after its plan is accepted.
            if not self._planning:
                self._timeline.change_state(SessionState.EXECUTING, "the model set to work", line)
        if by_model:
            self._note_usage(key, message, record)
        if type(content) is str:
            content = [{"type": "text", "text": content}]
        if type(content) is list:
            for index, block in enumerate(content):
                if type(block) is dict:
                    self._take_block(step, block, line, index, raw, at)
        if record.is_api_error_message is True:
            self._run.interrupt("API error")
            self._last = LastSeen.ERROR
            self._timeline.change_state(SessionState.FAILED, f"API error: {text_of(content)}", line)

    def _take_block(
        self, step: StepDraft, block: dict[str, Any], line: int, index: int, raw: bytes, at: datetime | None
    ) -> None:
        kind = block.get("type")
        if kind == "text":
            response = text(block.get("text"))
            if response:
                self._run.respond(step, response, at)
                self._last = LastSeen.ANSWER
        elif kind == "thinking":
            self._run.reason(step, text(block.get("thinking")), at)
            self._last = LastSeen.WORK
        elif type(kind) is not str:
            return
        elif kind in _CALLS:
            self._add_call(step, block, f"call:{line}:{index}", raw, line, at)
        elif kind.endswith("_tool_result"):
            # Results of server-side tools are blocks of the same message.
            key = text(block.get("tool_use_id")) or f"result:{line}:{index}"
            call = self._run.result_of(key, at, line)
            results.attach_result(call, block, "", None, False, at, self._context.path)
        elif kind not in ("redacted_thinking", "image", "container_upload"):
            self._count_unknown(f"content/{label(kind)}")

    def _add_call(
        self, step: StepDraft, block: dict[str, Any], fallback: str, raw: bytes, line: int, at: datetime | None
    ) -> None:
        key = text(block.get("id")) or fallback
        if key in self._run.calls:
            return
        name = label(block.get("name")) or "(unnamed tool)"
        arguments = block.get("input")
        parameters = storable(arguments, dirty=needs_escape(raw)) if arguments is not None else {}
        call = self._run.call(step, key, name, parameters, at)
        if not step.name:
            step.name = name
        self._last = LastSeen.CALL
        if name in ("Task", "Agent") and type(arguments) is dict:
            self._subagent_prompts.add(_prompt_key(text(arguments.get("prompt"))))
        self._note_arguments(step, call, arguments, at)
        if call.done_at is not None:
            return
        if name in _APPROVAL_TOOLS:
            self._timeline.change_state(SessionState.AWAITING_APPROVAL, f"{name} asks the user", line)
        elif name == "EnterPlanMode":
            self._planning = True
            self._timeline.change_state(SessionState.PLANNING, "plan mode", line)

    def _note_arguments(self, step: StepDraft, call: CallDraft, arguments: Any, at: datetime | None) -> None:
        """Keep as such what some tools are given: a plan, a todo list, the answer of the run."""
        if call.name == "ExitPlanMode" and (plan := results.plan_of(arguments)):
            kind = ArtifactType.MODEL_RESPONSE
            call.add_artifact(ArtifactDraft("plan", kind, "plan", to_bytes(plan), "text/markdown", at))
        elif call.name == "TodoWrite" and type(arguments) is dict:
            self._facts.note_todos(arguments.get("todos"))
        elif call.name == ANSWER_TOOL:
            self._answer(step, arguments, at)
            if call.state is ToolCallState.SUCCEEDED:
                self._last = LastSeen.ANSWER

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

    def _note_model(self, message: Message, step: StepDraft, line: int) -> None:
        model = label(message.model)
        if not model:
            return
        step.metadata["model"] = model
        if model != NO_MODEL:
            self._models.note(model, line)

    def _note_usage(self, key: str, message: Message, record: Record) -> None:
        if message.usage is not None:
            request = text(record.request_id) if type(message.id) is str else None
            self._usage.note(key, message.usage, request, record.cost_usd)

    # -- the end of the file

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
        ending = Ending(self._last, planning=self._planning, approval_tools=_APPROVAL_TOOLS, idle=idle)
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


def _spoken(content: Any) -> str:
    """The text blocks of a message, joined by newlines: not those of the results in it."""
    if type(content) is not list:
        return text(content)
    parts = [block if type(block) is str else _text_block(block) for block in content]
    return "\n".join(part for part in parts if part)


def _text_block(block: Any) -> str:
    return text(block.get("text")) if type(block) is dict and block.get("type", "text") == "text" else ""


def _prompt_key(prompt: str) -> bytes:
    """Eight bytes of the hash of a prompt."""
    return blake2b(prompt.encode("utf-8", "surrogatepass"), digest_size=8).digest()
