"""Reads one Claude Code session, line by line, and decides what becomes a task, a step, a call and a result.

The order is that of the lines: time stamps in these files go back and forth, and ``parentUuid`` is not reliable.
"""

import re
from datetime import datetime
from hashlib import blake2b
from typing import Any

from acode_tui.domain.ids import imported_id
from acode_tui.domain.states import SessionState
from acode_tui.ingest.claude import results
from acode_tui.ingest.claude.prompts import Identity, Kind, classify, command_text, identify
from acode_tui.ingest.claude.records import Message, Progress, ProgressLine, Record
from acode_tui.ingest.claude.state import ClaudeState, decode_state
from acode_tui.ingest.contents import has_image, text_of
from acode_tui.ingest.counts import Counts, SkippedLines
from acode_tui.ingest.draft import NeedsWholeFileError, RunDraft, StepDraft
from acode_tui.ingest.finish import Ending, LastSeen, finish, idle_time
from acode_tui.ingest.format import Parsed, ReadContext
from acode_tui.ingest.graph import Header
from acode_tui.ingest.records import LineDecoder, label, needs_escape, parse_stamp, storable, text
from acode_tui.ingest.resume import encode, restore_reading, save_reading
from acode_tui.ingest.timeline import Bounds, ModelHistory, Timeline
from acode_tui.ingest.usage import MessageUsage, Tokens

SOURCE = "claude-code"
NO_MODEL = "<synthetic>"
"""The model of messages that the program itself wrote."""
_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
_APPROVAL_TOOLS = frozenset({"ExitPlanMode", "AskUserQuestion"})
_BLANK = re.compile(r"\s")
_progress = LineDecoder(Progress)


class ClaudeReader:
    """Collects the records of one file; ``finish`` turns them into the session."""

    def __init__(self, context: ReadContext) -> None:
        self._context = context
        self._run = RunDraft()
        self._bounds = Bounds()
        self._timeline = Timeline(self._bounds, context.checkpoints)
        self._last = LastSeen.NOTHING
        self._planning = False
        self._pending_command: tuple[str, str, datetime | None, int] | None = None
        self._prompts: dict[str, list[str]] = {}
        self._subagent_prompts: set[bytes] = set()
        self._agents: dict[str, str] = {}
        self._usage = MessageUsage()
        self._models = ModelHistory(self._timeline)
        self._leaves: set[str] = set()
        self._summaries: list[tuple[str, str, int, SessionState]] = []
        self._fields: dict[str, str] = {}
        self._titles: dict[str, str] = {}
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
        self._usage.restore(state.usage, state.settled)
        self._summaries = state.summaries
        self._fields, self._titles = state.fields, state.titles
        self._has_messages = True

    def take(self, line: int, raw: bytes, record: Record | ProgressLine) -> None:
        """Read one record. Nothing in it is trusted; an unknown shape is ignored."""
        at = parse_stamp(record.timestamp)
        if line > self._timeline.next_checkpoint:
            self._timeline.pass_checkpoint(line)
        at = self._bounds.note(at)
        if isinstance(record, ProgressLine):
            self._take_progress(record.data, record.parent_tool_use_id)
            return
        kind = record.type
        if kind == "progress":
            # A progress line that the fast decoder did not recognise.
            self._take_progress(_progress.decode(bytes(record.data)), text(record.parent_tool_use_id))
            return
        self._note_header(record)
        if kind == "assistant":
            self._take_assistant(line, raw, record, at)
        elif kind == "user":
            self._take_user(line, record, at)
        elif kind == "system":
            self._take_system(line, record, at)
        elif kind == "summary":
            if self._run.is_resumed:
                # Whether its leaf is in the file is not known of the lines before.
                raise NeedsWholeFileError
            self._summaries.append((text(record.summary), text(record.leaf_uuid), line, self._timeline.state))
        elif kind in ("custom-title", "ai-title"):
            found = label(record.custom_title) or label(record.ai_title)
            if found:
                self._titles.setdefault(kind, found)
        elif kind == "permission-mode":
            self._note_permission_mode(record)

    def _note_header(self, record: Record) -> None:
        fields = self._fields
        if "session" not in fields:
            self._note_field("session", record.session_id)
        if "cwd" not in fields:
            self._note_field("cwd", record.cwd)
        if "gitBranch" not in fields:
            self._note_field("gitBranch", record.git_branch)
        if "agentVersion" not in fields:
            self._note_field("agentVersion", record.version)
        if record.agent_id is not None and "agent" not in fields:
            self._note_field("agent", record.agent_id)
        if type(record.uuid) is str:
            self._leaves.add(record.uuid)

    def _note_field(self, name: str, value: Any) -> None:
        if type(value) is str and value:
            self._fields[name] = label(value, 1_000)

    def _take_progress(self, data: Progress | None, call: str) -> None:
        if data is not None and data.type == "agent_progress" and label(data.agent_id):
            self._agents.setdefault(call, label(data.agent_id))

    def _take_system(self, line: int, record: Record, at: datetime | None) -> None:
        if record.subtype == "compact_boundary":
            details = record.compact_metadata if type(record.compact_metadata) is dict else {}
            trigger = label(details.get("trigger"))
            self._timeline.note(f"context compacted{f' ({trigger})' if trigger else ''}", line)

    # -- user lines: prompts, and the results of tools

    def _take_user(self, line: int, record: Record, at: datetime | None) -> None:
        self._has_messages = True
        message = record.message or Message()
        content = message.content
        self._note_permission_mode(record)
        has_results = self._take_results(line, record, content, at)
        prompt = text_of(content)
        if record.is_meta is True:
            return
        if record.is_compact_summary is True:
            self._timeline.note(f"summary after compaction: {prompt}", line)
            return
        kind = classify(prompt)
        if kind is Kind.INTERRUPTION:
            self._add_interruption(line, at)
        elif has_results or bytes(record.tool_use_result):
            return
        elif kind is Kind.COMMAND:
            self._pending_command = (text(record.uuid), command_text(prompt), at, line)
        elif kind is Kind.PROMPT or (kind is Kind.NOISE and not prompt.strip() and has_image(content)):
            if record.is_sidechain is True and _prompt_key(prompt) in self._subagent_prompts:
                # Older releases write a subagent's messages into its parent's file: this prompt is not the user's.
                return
            self._pending_command = None
            self._add_prompt(text(record.uuid), prompt if prompt.strip() else "[image]", at, line)

    def _add_prompt(self, uuid: str, prompt: str, at: datetime | None, line: int) -> None:
        # An id with blanks in it is a placeholder, and identifies nothing.
        key = uuid if uuid and not _BLANK.search(uuid) else f"line:{line}"
        known = self._prompts.setdefault(key, [])
        if prompt in known:
            return
        known.append(prompt)
        if len(known) > 1:
            # Not a replay: another prompt under the same id.
            key = f"{key}:{line}"
        self._run.begin_task(key, prompt, at, line)
        self._last = LastSeen.PROMPT
        if self._planning or self._timeline.state is SessionState.CREATED:
            self._timeline.change_state(SessionState.PLANNING, "plan mode" if self._planning else "first prompt", line)
        else:
            self._timeline.change_state(SessionState.EXECUTING, "new prompt", line)

    def _add_interruption(self, line: int, at: datetime | None) -> None:
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
        for index, block in enumerate(blocks):
            key = text(block.get("tool_use_id")) or f"result:{line}:{index}"
            call = self._run.result_of(key, at, line)
            results.attach_result(call, block, result_text, details, denied, at)
            if details is not None and label(details.agent_id):
                self._agents[key] = label(details.agent_id)
            if call.name in _APPROVAL_TOOLS:
                if call.name == "ExitPlanMode" and call.error is None:
                    self._planning = False
                self._timeline.change_state(SessionState.EXECUTING, f"{call.name} answered", line)
        if self._last is not LastSeen.INTERRUPTION:
            self._last = LastSeen.RESULT
        return True

    def _note_permission_mode(self, record: Record) -> None:
        if type(record.permission_mode) is str:
            self._planning = record.permission_mode == "plan"

    # -- assistant lines: text and calls of the model

    def _take_assistant(self, line: int, raw: bytes, record: Record, at: datetime | None) -> None:
        self._has_messages = True
        message = record.message or Message()
        content = message.content
        by_model = message.model != NO_MODEL
        if self._pending_command is not None and by_model:
            uuid, prompt, prompt_at, prompt_line = self._pending_command
            self._pending_command = None
            self._add_prompt(uuid, prompt, prompt_at, prompt_line)
        key = text(message.id) or text(record.uuid) or f"line:{line}"
        step = self._run.steps.get(key)
        if step is None:
            step = self._run.begin_step(key, at, line)
            step.metadata = {"messageId": label(key)}
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
            self._last = LastSeen.WORK
        elif type(kind) is not str:
            return
        elif kind in _CALLS:
            self._add_call(step, block, f"call:{line}:{index}", raw, line, at)
        elif kind.endswith("_tool_result"):
            # Results of server-side tools are blocks of the same message.
            key = text(block.get("tool_use_id")) or f"result:{line}:{index}"
            results.attach_result(self._run.result_of(key, at, line), block, "", None, False, at)

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
        if call.done_at is not None:
            return
        if name in _APPROVAL_TOOLS:
            self._timeline.change_state(SessionState.AWAITING_APPROVAL, f"{name} asks the user", line)
        elif name == "EnterPlanMode":
            self._planning = True
            self._timeline.change_state(SessionState.PLANNING, "plan mode", line)

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
            self._usage.note(key, message.usage, request)

    # -- the end of the file

    def finish(self, skipped: SkippedLines, last_line: int) -> Parsed:
        """The session of the lines read; none for a file without any message."""
        identity = identify(self._context.path, self._fields)
        if not self._has_messages:
            return Parsed(counts=Counts(), skipped=skipped)
        self._note_summaries()
        for key, agent in self._agents.items():
            call = self._run.calls.get(key)
            if call is not None:
                call.facts["agentId"] = agent
                call.facts["childSessionId"] = imported_id(SOURCE, identity.root, agent)
        total, claimed = self._usage.count(self._context.claims, identity.session_id, self._context.claimed)
        header = Header(
            source=SOURCE,
            session_id=identity.session_id,
            workspace_id=self._context.workspace_id,
            user_id=self._context.user_id,
            limits=self._context.limits,
            metadata=self._metadata(identity, total),
            title=self._titles.get("custom-title") or self._titles.get("ai-title") or self._own_summary(),
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
        if self._context.resumable:
            parsed.resume = self._state(skipped, last_line)
        return parsed

    def _state(self, skipped: SkippedLines, last_line: int) -> bytes:
        """What is kept to read on after these lines; empty where that is not possible."""
        unresolved = [found for found in self._summaries if found[1] not in self._leaves]
        if self._summaries and not self._run.description:
            # One of them is the session's title until there is a prompt.
            return b""
        reading = save_reading(self._run, self._bounds, self._timeline, self._models, skipped, last_line)
        if reading is None:
            return b""
        kept = {step.key for task in reading.run.tasks for step in task.steps}
        usage, settled = self._usage.save(kept)
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
                summaries=unresolved,
                fields=self._fields,
                titles=self._titles,
            )
        )

    def _note_summaries(self) -> None:
        # A summary belongs to this session only if its leaf is in the file; older releases write other sessions' too.
        for summary, leaf, line, state in self._summaries:
            if summary and leaf in self._leaves:
                self._timeline.note_past(state, f"summary: {summary}", line, self._bounds.first)

    def _own_summary(self) -> str:
        own = [summary for summary, leaf, _, _ in self._summaries if leaf in self._leaves]
        every = (summary for summary, *_ in self._summaries)
        return next((summary for summary in [*own, *every] if summary.strip()), "")

    def _metadata(self, identity: Identity, total: Tokens) -> dict[str, Any]:
        fields = self._fields
        metadata: dict[str, Any] = {
            "source": SOURCE,
            "nativeId": identity.native_id,
            "file": label(self._context.path.name, 255),
            "cwd": fields.get("cwd"),
            "gitBranch": fields.get("gitBranch"),
            "agentVersion": fields.get("agentVersion"),
            "models": self._models.names,
            "tokens": total.plain(),
            "firstTime": self._bounds.earliest,
            "lastTime": self._bounds.latest,
        }
        if identity.parent_native_id is not None:
            metadata["agentId"] = identity.agent_id
            metadata["parentNativeId"] = identity.parent_native_id
            metadata["parentSessionId"] = imported_id(SOURCE, identity.parent_native_id)
        if self._titles:
            metadata["title"] = self._titles.get("custom-title") or self._titles.get("ai-title")
        return metadata


def _prompt_key(prompt: str) -> bytes:
    """Eight bytes of the hash of a prompt."""
    return blake2b(prompt.encode("utf-8", "surrogatepass"), digest_size=8).digest()
