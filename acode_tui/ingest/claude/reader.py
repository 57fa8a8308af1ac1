"""Reads one Claude Code session, line by line. What becomes a task, a step, a call and a result is decided here.

Order is the file's: stamps in these files run back and forth, and ``parentUuid`` points anywhere.
"""

import re
from datetime import datetime
from typing import Any

from acode_tui.domain.ids import imported_id
from acode_tui.domain.states import SessionState
from acode_tui.ingest.claude import results
from acode_tui.ingest.claude.prompts import Identity, Kind, classify, command_text, identify
from acode_tui.ingest.claude.records import Message, Progress, ProgressLine, Record
from acode_tui.ingest.contents import has_image, text_of
from acode_tui.ingest.draft import RunDraft, StepDraft
from acode_tui.ingest.finish import Ending, LastSeen, finish
from acode_tui.ingest.format import Counts, Parsed, ReadContext, SkippedLines
from acode_tui.ingest.graph import Header
from acode_tui.ingest.records import Bounds, LineDecoder, label, needs_escape, parse_stamp, storable, text
from acode_tui.ingest.timeline import Timeline
from acode_tui.ingest.usage import Tokens, claim_key, claude_usage

SOURCE = "claude-code"
SYNTHETIC = "<synthetic>"
MAX_MODELS = 50
_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
_ASKING = frozenset({"ExitPlanMode", "AskUserQuestion"})
_BLANK = re.compile(r"\s")
_progress = LineDecoder(Progress)


class ClaudeReader:
    def __init__(self, context: ReadContext) -> None:
        self._context = context
        self._run = RunDraft()
        self._bounds = Bounds()
        self._timeline = Timeline(self._bounds, context.checkpoints)
        self._last = LastSeen.NOTHING
        self._planning = False
        self._command: tuple[str, str, datetime | None, int] | None = None
        self._prompts: dict[str, list[str]] = {}
        self._briefs: set[str] = set()
        self._agents: dict[str, str] = {}
        self._tokens: dict[str, Tokens] = {}
        self._claim_keys: dict[str, bytes] = {}
        self._models: list[str] = []
        self._model = ""
        self._leaves: set[str] = set()
        self._summaries: list[tuple[str, str, int, SessionState]] = []
        self._seen: dict[str, str] = {}
        self._titles: dict[str, str] = {}
        self._talk = False

    def take(self, line: int, raw: bytes, record: Record | ProgressLine) -> None:
        """One record. Nothing in it is trusted; what is no known shape is passed over."""
        at = parse_stamp(record.timestamp)
        if line > self._timeline.next_checkpoint:
            self._timeline.pass_checkpoint(line)
        at = self._bounds.see(at)
        if isinstance(record, ProgressLine):
            self._take_progress(record.data, record.parent_tool_use_id)
            return
        kind = record.type
        if kind == "progress":
            # One that is not written as usual.
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
            self._summaries.append((text(record.summary), text(record.leaf_uuid), line, self._timeline.live))
        elif kind in ("custom-title", "ai-title"):
            found = label(record.custom_title) or label(record.ai_title)
            if found:
                self._titles.setdefault(kind, found)
        elif kind == "permission-mode":
            self._mind_mode(record)

    def _note_header(self, record: Record) -> None:
        seen = self._seen
        if "session" not in seen:
            self._see("session", record.session_id)
        if "cwd" not in seen:
            self._see("cwd", record.cwd)
        if "gitBranch" not in seen:
            self._see("gitBranch", record.git_branch)
        if "agentVersion" not in seen:
            self._see("agentVersion", record.version)
        if record.agent_id is not None and "agent" not in seen:
            self._see("agent", record.agent_id)
        if type(record.uuid) is str:
            self._leaves.add(record.uuid)

    def _see(self, name: str, value: Any) -> None:
        if type(value) is str and value:
            self._seen[name] = label(value, 1_000)

    def _take_progress(self, data: Progress | None, call: str) -> None:
        if data is not None and data.type == "agent_progress" and label(data.agent_id):
            self._agents.setdefault(call, label(data.agent_id))

    def _take_system(self, line: int, record: Record, at: datetime | None) -> None:
        if record.subtype == "compact_boundary":
            details = record.compact_metadata if type(record.compact_metadata) is dict else {}
            trigger = label(details.get("trigger"))
            self._timeline.note(f"context compacted{f' ({trigger})' if trigger else ''}", line)

    # -- what the person said, and what tools answered

    def _take_user(self, line: int, record: Record, at: datetime | None) -> None:
        self._talk = True
        message = record.message or Message()
        content = message.content
        self._mind_mode(record)
        answered = self._take_results(line, record, content, at)
        said = text_of(content)
        if record.is_meta is True:
            return
        if record.is_compact_summary is True:
            self._timeline.note(f"summary after compaction: {said}", line)
            return
        kind = classify(said)
        if kind is Kind.INTERRUPTION:
            self._interrupt(line, at)
        elif answered or bytes(record.tool_use_result):
            return
        elif kind is Kind.COMMAND:
            self._command = (text(record.uuid), command_text(said), at, line)
        elif kind is Kind.PROMPT or (kind is Kind.NOISE and not said.strip() and has_image(content)):
            if record.is_sidechain is True and said in self._briefs:
                # An older release writes a subagent's talk into its parent's file: that is no person's prompt.
                return
            self._command = None
            self._prompt(text(record.uuid), said if said.strip() else "[image]", at, line)

    def _prompt(self, uuid: str, said: str, at: datetime | None, line: int) -> None:
        # An id with blanks in it is a placeholder, and names nothing.
        key = uuid if uuid and not _BLANK.search(uuid) else f"line:{line}"
        known = self._prompts.setdefault(key, [])
        if said in known:
            return
        known.append(said)
        if len(known) > 1:
            # Not a replay: the same id says something else.
            key = f"{key}:{line}"
        self._run.begin_task(key, said, at, line)
        self._last = LastSeen.PROMPT
        if self._planning or self._timeline.live is SessionState.CREATED:
            self._timeline.move(SessionState.PLANNING, "plan mode" if self._planning else "first prompt", line)
        else:
            self._timeline.move(SessionState.EXECUTING, "new prompt", line)

    def _interrupt(self, line: int, at: datetime | None) -> None:
        self._run.interrupt()
        self._last = LastSeen.INTERRUPTION
        self._timeline.move(SessionState.PAUSED, "interrupted by the user", line)

    def _take_results(self, line: int, record: Record, content: Any, at: datetime | None) -> bool:
        if type(content) is not list:
            return False
        blocks = [block for block in content if type(block) is dict and block.get("type") == "tool_result"]
        if not blocks:
            return False
        said, details = results.read_details(record.tool_use_result) if len(blocks) == 1 else ("", None)
        denied = record.tool_denial_kind == "user-rejected"
        for index, block in enumerate(blocks):
            key = text(block.get("tool_use_id")) or f"result:{line}:{index}"
            call = self._run.result_of(key, at, line)
            results.settle(call, block, said, details, denied, at)
            if details is not None and label(details.agent_id):
                self._agents[key] = label(details.agent_id)
            if call.name in _ASKING:
                if call.name == "ExitPlanMode" and call.error is None:
                    self._planning = False
                self._timeline.move(SessionState.EXECUTING, f"{call.name} answered", line)
        if self._last is not LastSeen.INTERRUPTION:
            self._last = LastSeen.RESULT
        return True

    def _mind_mode(self, record: Record) -> None:
        if type(record.permission_mode) is str:
            self._planning = record.permission_mode == "plan"

    # -- what the model said and called

    def _take_assistant(self, line: int, raw: bytes, record: Record, at: datetime | None) -> None:
        self._talk = True
        message = record.message or Message()
        content = message.content
        synthetic = message.model == SYNTHETIC
        if self._command is not None and not synthetic:
            uuid, said, asked, asked_line = self._command
            self._command = None
            self._prompt(uuid, said, asked, asked_line)
        key = text(message.id) or text(record.uuid) or f"line:{line}"
        step = self._run.steps.get(key)
        if step is None:
            step = self._run.begin_step(key, at, line)
            step.metadata = {"messageId": label(key)}
            self._note_model(message, step, line, at)
            # A planning session gets to work only once its plan is accepted.
            if not self._planning:
                self._timeline.move(SessionState.EXECUTING, "the model set to work", line)
        if not synthetic:
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
            self._timeline.move(SessionState.FAILED, f"API error: {text_of(content)}", line)

    def _take_block(
        self, step: StepDraft, block: dict[str, Any], line: int, index: int, raw: bytes, at: datetime | None
    ) -> None:
        kind = block.get("type")
        if kind == "text":
            said = text(block.get("text"))
            if said:
                self._run.respond(step, said, at)
                self._last = LastSeen.ANSWER
        elif kind == "thinking":
            self._last = LastSeen.WORK
        elif type(kind) is not str:
            return
        elif kind in _CALLS:
            self._call(step, block, f"call:{line}:{index}", raw, line, at)
        elif kind.endswith("_tool_result"):
            # Server-side tools answer within the message itself.
            key = text(block.get("tool_use_id")) or f"result:{line}:{index}"
            results.settle(self._run.result_of(key, at, line), block, "", None, False, at)

    def _call(
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
            self._briefs.add(text(arguments.get("prompt")))
        if call.done_at is not None:
            return
        if name in _ASKING:
            self._timeline.move(SessionState.AWAITING_APPROVAL, f"{name} asks the user", line)
        elif name == "EnterPlanMode":
            self._planning = True
            self._timeline.move(SessionState.PLANNING, "plan mode", line)

    def _note_model(self, message: Message, step: StepDraft, line: int, at: datetime | None) -> None:
        model = label(message.model)
        if not model:
            return
        step.metadata["model"] = model
        if model == SYNTHETIC or model == self._model:
            return
        if self._model:
            self._timeline.note(f"model changed from {self._model} to {model}", line)
        self._model = model
        if model not in self._models and len(self._models) < MAX_MODELS:
            self._models.append(model)

    def _note_usage(self, key: str, message: Message, record: Record) -> None:
        if message.usage is None:
            return
        self._tokens.setdefault(key, Tokens()).raise_to(*claude_usage(message.usage))
        if type(message.id) is str and key not in self._claim_keys:
            self._claim_keys[key] = claim_key(key, text(record.request_id))

    # -- the end of the file

    def finish(self, skipped: SkippedLines, last_line: int) -> Parsed:
        """The session as its whole lines tell it; a file without any talk gives none."""
        identity = identify(self._context.path, self._seen)
        if not self._talk:
            return Parsed(counts=Counts(), skipped=skipped)
        self._note_summaries()
        for key, agent in self._agents.items():
            call = self._run.calls.get(key)
            if call is not None:
                call.facts["agentId"] = agent
                call.facts["childSessionId"] = imported_id(SOURCE, identity.root, agent)
        total, claimed = self._settle_tokens(identity)
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
        ending = Ending(self._last, planning=self._planning, asking=_ASKING, fresh=self._context.fresh)
        return finish(self._run, self._timeline, header, ending, skipped, last_line, claimed)

    def _note_summaries(self) -> None:
        # A summary is this session's own only if its leaf is in the file; older releases leave others' behind.
        for said, leaf, line, live in self._summaries:
            if said and leaf in self._leaves:
                self._timeline.note_past(live, f"summary: {said}", line, self._bounds.first)

    def _own_summary(self) -> str:
        own = [said for said, leaf, _, _ in self._summaries if leaf in self._leaves]
        return next((said for said in [*own, *(said for said, *_ in self._summaries)] if said.strip()), "")

    def _settle_tokens(self, identity: Identity) -> tuple[Tokens, bytes]:
        keys = list(self._claim_keys)
        mine = self._context.claims.claim(identity.session_id, [self._claim_keys[key] for key in keys])
        counted = {key for key, is_mine in zip(keys, mine, strict=True) if is_mine}
        total = Tokens()
        for key, tokens in self._tokens.items():
            if key in counted or key not in self._claim_keys:
                total.add(tokens.input, tokens.output, tokens.cache_read, tokens.cache_write)
        return total, b"".join(self._claim_keys[key] for key in keys if key in counted)

    def _metadata(self, identity: Identity, total: Tokens) -> dict[str, Any]:
        seen = self._seen
        metadata: dict[str, Any] = {
            "source": SOURCE,
            "nativeId": identity.native_id,
            "file": label(self._context.path.name, 255),
            "cwd": seen.get("cwd"),
            "gitBranch": seen.get("gitBranch"),
            "agentVersion": seen.get("agentVersion"),
            "models": self._models,
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
