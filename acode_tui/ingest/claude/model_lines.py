"""Assistant lines of Claude Code: text, reasoning and calls of the model, and what they used."""

from datetime import datetime
from typing import Any

from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState
from acode_tui.ingest.claude import results
from acode_tui.ingest.claude.branches import QUEUE_KEY
from acode_tui.ingest.claude.records import Message, Record
from acode_tui.ingest.claude.session import ANSWER_TOOL, APPROVAL_TOOLS, ClaudeSession, prompt_key
from acode_tui.ingest.contents import text_of
from acode_tui.ingest.draft import (
    ArtifactDraft,
    CallDraft,
    StepDraft,
    to_bytes,
)
from acode_tui.ingest.finish import LastSeen
from acode_tui.ingest.records import label, needs_escape, storable, text

NO_MODEL = "<synthetic>"
"""The model of messages that the program itself wrote."""
_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})


class ModelLines(ClaudeSession):
    """The reading of assistant lines."""

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
        elif kind not in ("redacted_thinking", "image", "container_upload", "fallback"):
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
            self._subagent_prompts.add(prompt_key(text(arguments.get("prompt"))))
        self._note_arguments(step, call, arguments, at)
        if call.done_at is not None:
            return
        if name in APPROVAL_TOOLS:
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
