"""Lines of Claude Code that are neither the user's nor the model's: events, attachments, queued prompts."""

from datetime import datetime
from typing import Any

from acode_tui.ingest.claude.attachments import Event, event_of_attachment, event_of_system
from acode_tui.ingest.claude.prompts import Kind, Understood, is_notification, understand
from acode_tui.ingest.claude.records import Details, Record
from acode_tui.ingest.claude.session import spoken
from acode_tui.ingest.claude.user_lines import UserLines
from acode_tui.ingest.draft import (
    NeedsWholeFileError,
)
from acode_tui.ingest.finish import LastSeen
from acode_tui.ingest.records import LineDecoder, label, text

SESSION_LINES = frozenset({"custom-title", "ai-title", "agent-name", "pr-link", "continued-in", "cost-state"})
_details = LineDecoder(Details)


class OtherLines(UserLines):
    """The reading of lines that are neither the user's nor the model's."""

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
        said = spoken(prompt)
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
