"""Reads one session of OpenCode, message by message.

Ids wrap around every two years, so messages are ordered by their time.
"""

import re
from datetime import UTC, datetime
from typing import Any

from acode_tui.domain.clock import EPOCH
from acode_tui.ingest.counts import SkippedLines
from acode_tui.ingest.draft import ImageDraft, StepDraft, TaskDraft
from acode_tui.ingest.finish import LastSeen
from acode_tui.ingest.format import Parsed, ReadContext
from acode_tui.ingest.opencode.records import Export, Message
from acode_tui.ingest.opencode.results import complete, image_of
from acode_tui.ingest.records import LATEST, label, number, storable, text
from acode_tui.ingest.run_reader import RunReader
from acode_tui.ingest.usage import Tokens

SOURCE = "opencode"
ABORTED = "MessageAbortedError"

_MADE_UP_TITLE = re.compile(r"(?:New|Child) session - \d{4}-")
_QUIET = frozenset({"agent", "compaction", "retry", "snapshot", "step-finish", "step-start", "subtask"})
"""Parts that say nothing about the run that its messages do not say."""


class OpenCodeReader:
    """Reads one session."""

    def __init__(self, context: ReadContext) -> None:
        self._reader = RunReader(SOURCE, context)
        self._reader.approval_tools = frozenset({"question"})

    def read(self, export: Export) -> Parsed:
        """The session of an export."""
        reader = self._reader
        info = export.info
        parent = label(info.get("parentID"))
        is_reverted = False
        reverted = info["revert"].get("messageID") if type(info.get("revert")) is dict else None
        for line, message in enumerate(export.messages, 1):
            if message is None:
                continue
            is_reverted = is_reverted or (reverted is not None and message.info.get("id") == reverted)
            self._take(line, message, is_child=bool(parent), is_reverted=is_reverted)
        title = text(info.get("title"))
        native = label(info.get("id")) or "unnamed"
        metadata: dict[str, Any] = {
            # The same, whether it is read from the database, the tree or an export: their rows must not differ.
            "file": f"{native}.json",
            "cwd": label(info.get("directory"), 1_000),
            "agentVersion": label(info.get("version")),
            "agentName": label(info.get("agent")),
        }
        return reader.finish(
            native,
            metadata,
            SkippedLines(),
            len(export.messages),
            title="" if _MADE_UP_TITLE.match(title) else title,
            parent=parent,
        )

    def _take(self, line: int, message: Message, *, is_child: bool, is_reverted: bool) -> None:
        reader = self._reader
        info = message.info
        times = info["time"] if type(info.get("time")) is dict else {}
        at = reader.at(line, _moment(times.get("created")))
        parts = [part for part in message.parts if type(part) is dict]
        key = text(info.get("id")) or f"message:{line}"
        reader.because("role", info.get("role"))
        if info.get("role") == "user":
            self._take_prompt(line, key, parts, at, is_child=is_child, is_reverted=is_reverted)
        elif info.get("role") == "assistant":
            self._take_answer(line, key, info, parts, at, is_reverted=is_reverted)
        else:
            reader.count_unknown(f"message/{label(info.get('role'))}")

    def _take_prompt(
        self,
        line: int,
        key: str,
        parts: list[dict[str, Any]],
        at: datetime | None,
        *,
        is_child: bool,
        is_reverted: bool,
    ) -> None:
        """A message of the user. Parts that the program added to it are no words of theirs."""
        reader = self._reader
        typed = [text(part.get("text")) for part in parts if part.get("type") == "text" and not part.get("synthetic")]
        prompt = "\n".join(piece for piece in typed if piece)
        images = []
        names = []
        for part in parts:
            if part.get("type") == "file":
                image = image_of(part)
                name = label(part.get("filename"), 255)
                if image is not None:
                    images.append(ImageDraft(name or "image", image.content, image.content_type))
                elif name:
                    names.append(name)
            elif part.get("type") == "compaction":
                reader.note("context compacted", line)
        task: TaskDraft | None = None
        if is_child:
            # The prompt of a subagent is that of the call that started it.
            task = reader.run.begin_task(key, prompt or "(task)", at, line, implicit=True)
            reader.last = LastSeen.PROMPT
        else:
            task = reader.begin_task(key, prompt, at, line, images)
        if task is not None and names:
            task.metadata["attachments"] = names
        if task is not None and is_reverted:
            task.metadata["abandoned"] = True

    def _take_answer(
        self,
        line: int,
        key: str,
        info: dict[str, Any],
        parts: list[dict[str, Any]],
        at: datetime | None,
        *,
        is_reverted: bool,
    ) -> None:
        reader = self._reader
        step = reader.begin_step(key, at, line, label(info.get("modelID")))
        if is_reverted:
            step.metadata["abandoned"] = True
        for index, part in enumerate(parts):
            kind = part.get("type")
            if kind == "text":
                if not part.get("ignored"):
                    reader.say(step, text(part.get("text")), at)
            elif kind == "reasoning":
                reader.run.reason(step, text(part.get("text")), at)
            elif kind == "tool":
                self._take_call(step, f"{key}:{text(part.get('callID')) or index}", part, at)
            elif kind == "patch":
                files = part["files"] if type(part.get("files")) is list else []
                reader.note("files changed", line, ", ".join(label(name, 1_000) for name in files))
            elif type(kind) is not str or (kind != "file" and kind not in _QUIET):
                reader.count_unknown(f"part/{label(kind)}")
        self._note_usage(step, info)
        error = info["error"] if type(info.get("error")) is dict else None
        if error is not None and error.get("name") == ABORTED:
            reader.interrupt("interrupted by the user", line)
        elif error is not None:
            details = error["data"] if type(error.get("data")) is dict else {}
            reader.fail(f"error: {text(details.get('message')) or label(error.get('name')) or 'unknown'}", line)

    def _take_call(self, step: StepDraft, key: str, part: dict[str, Any], at: datetime | None) -> None:
        reader = self._reader
        state = part["state"] if type(part.get("state")) is dict else {}
        times = state["time"] if type(state.get("time")) is dict else {}
        name = label(part.get("tool")) or "(unnamed tool)"
        parameters = storable(state.get("input"), dirty=True)
        call = reader.run.call(step, key, name, parameters, _moment(times.get("start")) or at)
        step.name = step.name or name
        metadata = state["metadata"] if type(state.get("metadata")) is dict else {}
        child = label(metadata.get("sessionId"))
        if name == "task" and child:
            call.facts["childSessionId"] = reader.session_id(child)
        complete(call, state, _moment(times.get("end")) or at)
        reader.last = LastSeen.CALL if call.is_open else LastSeen.RESULT

    def _note_usage(self, step: StepDraft, info: dict[str, Any]) -> None:
        tokens = info.get("tokens")
        if type(tokens) is not dict:
            return
        cache = tokens["cache"] if type(tokens.get("cache")) is dict else {}
        found = Tokens(
            number(tokens.get("input")),
            number(tokens.get("output")) + number(tokens.get("reasoning")),
            number(cache.get("read")),
            number(cache.get("write")),
        )
        self._reader.note_usage(step, found, info.get("cost"))


def _moment(milliseconds: Any) -> datetime | None:
    """A time in milliseconds since 1970; None for what is none."""
    if not isinstance(milliseconds, int | float) or isinstance(milliseconds, bool):
        return None
    try:
        moment = datetime.fromtimestamp(milliseconds / 1_000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if EPOCH <= moment < LATEST else None
