"""User lines of Claude Code: prompts, words of the program, and the results of tools."""

from datetime import datetime
from typing import Any

from acode_tui.domain.states import ArtifactType, SessionState
from acode_tui.ingest.claude import results
from acode_tui.ingest.claude.facts import TODO_TOOLS
from acode_tui.ingest.claude.prompts import Kind, Understood, file_of_tag, understand
from acode_tui.ingest.claude.records import Message, Record
from acode_tui.ingest.claude.session import ANSWER_TOOL, APPROVAL_TOOLS, ClaudeSession, prompt_key, spoken
from acode_tui.ingest.contents import has_image, text_of
from acode_tui.ingest.draft import (
    ArtifactDraft,
    ImageDraft,
    to_bytes,
)
from acode_tui.ingest.finish import LastSeen
from acode_tui.ingest.observe import because
from acode_tui.ingest.records import label, text


class UserLines(ClaudeSession):
    """The reading of user lines."""

    def _take_user(self, line: int, record: Record, at: datetime | None) -> None:
        self._has_messages = True
        message = record.message or Message()
        content = message.content
        self._note_permission_mode(record)
        has_results = self._take_results(line, record, content, at)
        said = spoken(content)
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
            if record.is_sidechain is True and prompt_key(found.text) in self._subagent_prompts:
                # Older releases write a subagent's messages into its parent's file: this prompt is not the user's.
                because("isSidechain: the prompt of a call that started a subagent")
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
        else:
            because("nothing but tags, or a text that the program puts before others")

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
            if call.name in APPROVAL_TOOLS:
                if call.name == "ExitPlanMode" and call.error is None:
                    self._planning = False
                self._timeline.change_state(SessionState.EXECUTING, f"{call.name} answered", line)
        if self._last is not LastSeen.INTERRUPTION:
            self._last = last
        return True
