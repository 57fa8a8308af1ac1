"""Reads one session of Gemini CLI.

A message is written more than once, first without its calls: its later records add what the first one lacks. When a
session is taken up again, the program writes the model's context as a list of messages with new times and without
tokens and calls. Of such a list only messages that were not read before are taken.
"""

from datetime import datetime
from typing import Any

from acode_tui.domain.states import SessionState, ToolCallState
from acode_tui.ingest.contents import image_of
from acode_tui.ingest.counts import SkippedLines
from acode_tui.ingest.draft import ImageDraft, StepDraft
from acode_tui.ingest.finish import LastSeen
from acode_tui.ingest.format import Parsed, ReadContext
from acode_tui.ingest.gemini.records import Record
from acode_tui.ingest.gemini.results import complete
from acode_tui.ingest.records import LineDecoder, label, number, parse_stamp, storable, text
from acode_tui.ingest.run_reader import RunReader
from acode_tui.ingest.usage import Tokens

SOURCE = "gemini"
_INJECTED = ("<session_context>", "<hook_context>")
"""How a message begins that the program wrote as the user; the program's own list of what is no prompt."""
_COMMANDS = ("/", "?")
_CANCELLED = "Request cancelled."
_LAST_CALL = "complete_task"
"""The call with which a subagent hands over its result."""

_message = LineDecoder(Record)


class GeminiReader:
    """Collects the messages of one session; ``finish`` turns them into the run."""

    def __init__(self, context: ReadContext) -> None:
        self._reader = RunReader(SOURCE, context)
        self._keys: dict[str, datetime | None] = {}
        self._last_line = 0
        self._header = Record()
        self._facts: dict[str, Any] = {}

    def take(self, line: int, raw: bytes, record: Record) -> None:
        """Read one record. Nothing in it is trusted; an unknown shape is counted."""
        if record.rewind_to is not None:
            self._reader.because("$rewindTo: what follows that message is left behind")
            self._rewind(text(record.rewind_to))
        elif type(record.set) is dict:
            self._reader.because("$set: facts of the session, or messages given to the model again")
            self._facts.update({name: value for name, value in record.set.items() if name != "messages"})
            self._add_messages(line, record.set.get("messages"), is_context=True)
        elif record.session_id is not None:
            self._reader.because("sessionId: the session's header")
            self._reader.sessions.note_session(record.session_id, line)
            if self._header.session_id is None:
                self._header = record
            if type(record.summary) is str:
                self._facts["summary"] = record.summary
            self._add_messages(line, record.messages, is_context=False)
        elif record.type is not None:
            self._add(line, record)
        else:
            self._reader.count_unknown(record.type)

    def _add_messages(self, line: int, messages: Any, *, is_context: bool) -> None:
        for index, message in enumerate(messages if type(messages) is list else ()):
            record = _message.of(message)
            if record is not None and not (is_context and text(record.id) in self._keys):
                # Each message of a document counts as a line, so that a longer document goes on where this one ends.
                if not is_context:
                    self._reader.begin_record(index + 1)
                    self._reader.because(f"type={label(record.type)}")
                self._add(line if is_context else index + 1, record)

    def _add(self, line: int, record: Record) -> None:
        key = text(record.id) or f"message:{len(self._keys)}"
        at = self._keys.setdefault(key, parse_stamp(record.timestamp))
        self._last_line = max(self._last_line, line)
        self._take_message(line, key, record, at)

    def _rewind(self, key: str) -> None:
        """The user went back to before a message: it and all later ones are no part of the conversation any more."""
        keys = list(self._keys)
        left = set(keys[keys.index(key) :]) if key in self._keys else set()
        for task in self._reader.run.tasks:
            if task.key in left:
                task.metadata["abandoned"] = True
        for step in self._reader.run.steps.values():
            if step.key in left:
                step.metadata["abandoned"] = True

    def finish(self, skipped: SkippedLines, last_line: int, *, folder: str) -> Parsed:
        """The session of the records read. ``folder`` is the project's, where it is known."""
        reader = self._reader
        header = self._header
        kind = label(header.kind)
        directories = header.directories if type(header.directories) is list else []
        metadata: dict[str, Any] = {
            "cwd": label(folder, 1_000) or next((label(item, 1_000) for item in directories if label(item)), ""),
            "projectHash": label(header.project_hash),
            "kind": kind,
        }
        native = label(header.session_id) or label(reader.context.path.name.partition(".")[0]) or "unnamed"
        parent = label(reader.context.path.parent.name) if kind == "subagent" else ""
        summary = text(self._facts.get("summary"))
        return reader.finish(
            native,
            metadata,
            skipped,
            max(last_line, self._last_line),
            title="" if kind == "subagent" else summary,
            parent=parent if parent != "chats" else "",
        )

    def _take_message(self, line: int, key: str, message: Record, at: datetime | None) -> None:
        reader = self._reader
        kind = message.type
        if kind == "user":
            self._take_user(line, key, message, at)
        elif kind == "gemini":
            self._take_answer(line, key, message, reader.at(line, at))
        elif kind in ("info", "warning", "error"):
            reader.at(line, at)
            content = _text(message.content)
            if content.strip() == _CANCELLED:
                reader.interrupt("interrupted by the user", line)
            else:
                reader.note(str(kind), line, content)
        else:
            reader.count_unknown(kind)

    def _take_user(self, line: int, key: str, message: Record, at: datetime | None) -> None:
        reader = self._reader
        reader.bounds.note(at)
        parts = message.content if type(message.content) is list else []
        if any(type(part) is dict and "functionResponse" in part for part in parts):
            # A result: the call's own record has it too.
            reader.because("content has a functionResponse, which the call's own record has too")
            return
        prompt = _text(message.content)
        start = prompt.lstrip()
        if start.startswith(_INJECTED):
            reader.because(f"content begins with {start.partition('>')[0]}>: the program wrote it")
            return
        if any(task.key == key for task in reader.run.tasks):
            reader.because("id of a prompt that was read before")
            return
        at = reader.at(line, at)
        if start.startswith(_COMMANDS):
            reader.because(f"content begins with {start[0]}: a command of the program")
            reader.note("command", line, prompt)
        else:
            reader.begin_task(key, prompt, at, line, _images(parts))

    def _take_answer(self, line: int, key: str, message: Record, at: datetime | None) -> None:
        reader = self._reader
        step = reader.begin_step(key, at, line, label(message.model))
        if step.reasonings == 0:
            for thought in message.thoughts if type(message.thoughts) is list else ():
                if type(thought) is dict:
                    pieces = (text(thought.get("subject")), text(thought.get("description")))
                    reader.run.reason(step, "\n\n".join(piece for piece in pieces if piece), at)
        if step.texts == 0:
            reader.say(step, _text(message.content), at)
        elif not step.calls:
            reader.last = LastSeen.ANSWER
        tokens = message.tokens
        if type(tokens) is dict:
            cached = number(tokens.get("cached"))
            output = number(tokens.get("output")) + number(tokens.get("thoughts"))
            reader.note_usage(step, Tokens(max(number(tokens.get("input")) - cached, 0), output, cached))
        for index, call in enumerate(message.tool_calls if type(message.tool_calls) is list else ()):
            if type(call) is dict:
                self._add_call(step, call, f"{key}:{index}", line, at)

    def _add_call(self, step: StepDraft, record: dict[str, Any], fallback: str, line: int, at: datetime | None) -> None:
        reader = self._reader
        name = label(record.get("name")) or "(unnamed tool)"
        call = reader.run.call(
            step, text(record.get("id")) or fallback, name, storable(record.get("args"), dirty=True), at
        )
        step.name = step.name or name
        if label(record.get("agentId")):
            call.facts["agentId"] = label(record.get("agentId"))
            call.facts["childSessionId"] = reader.session_id(label(record.get("agentId")))
        # The time of a call's record is that of its end.
        complete(call, record, parse_stamp(record.get("timestamp")) or at)
        reader.last = LastSeen.CALL if call.is_open else LastSeen.RESULT
        if name == _LAST_CALL and call.state is ToolCallState.SUCCEEDED:
            reader.last = LastSeen.ANSWER
        if record.get("status") == "awaiting_approval":
            reader.approval_tools |= {name}
            reader.timeline.change_state(SessionState.AWAITING_APPROVAL, f"{name} asks the user", line)


def _text(content: Any) -> str:
    """The text of a message: a string, or the text of its parts."""
    if type(content) is str:
        return content
    parts = content if type(content) is list else [content]
    found = [part if type(part) is str else text(part.get("text")) for part in parts if type(part) in (str, dict)]
    return "\n".join(piece for piece in found if piece)


def _images(parts: list[Any]) -> list[ImageDraft]:
    found = []
    for part in parts:
        data = part.get("inlineData") if type(part) is dict else None
        if type(data) is dict and text(data.get("mimeType")).startswith("image/"):
            image = image_of(data.get("data"), data.get("mimeType"))
            found.append(ImageDraft("image", image.content, image.content_type))
    return found
