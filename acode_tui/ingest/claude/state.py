"""What the reader of Claude Code sessions keeps to read on after the lines that it has read."""

from datetime import datetime
from typing import Any

import msgspec

from acode_tui.domain.states import SessionState
from acode_tui.ingest.claude.queue import Queued
from acode_tui.ingest.file_sessions import SavedSessions
from acode_tui.ingest.finish import LastSeen
from acode_tui.ingest.resume import SavedReading
from acode_tui.ingest.usage import SavedUsage, Tokens


class ClaudeState(msgspec.Struct, array_like=True):
    """``summaries`` are those whose line is not found yet; ``settled`` and ``settled_cost`` are of messages not kept.

    ``records`` are the latest ones, with the number of tasks begun by then (see ``branches``).
    """

    reading: SavedReading
    last: LastSeen
    planning: bool
    pending_command: tuple[str, str, datetime | None, int, str] | None
    subagent_prompts: list[bytes]
    agents: dict[str, str]
    usage: list[SavedUsage]
    settled: Tokens
    settled_cost: float | None
    summaries: list[tuple[str, str, int, SessionState]]
    fields: dict[str, str]
    titles: dict[str, str]
    todos: list[dict[str, Any]]
    reported_cost: float | None
    queued: list[Queued]
    queue_given: list[str]
    records: list[tuple[str, int]]
    origin: str
    is_settled: bool
    has_answer: bool
    unknown: dict[str, int]
    sessions: SavedSessions


decode_state = msgspec.msgpack.Decoder(ClaudeState).decode
