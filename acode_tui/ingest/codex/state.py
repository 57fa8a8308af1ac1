"""What the reader of Codex sessions keeps to read on after the lines that it has read."""

from datetime import datetime
from typing import Any

import msgspec

from acode_tui.ingest.file_sessions import SavedSessions
from acode_tui.ingest.finish import LastSeen
from acode_tui.ingest.resume import SavedReading
from acode_tui.ingest.usage import Tokens


class CodexState(msgspec.Struct, array_like=True):
    """``step`` is the key of the current step; ``last_total`` is the last total of tokens, as it was read."""

    reading: SavedReading
    last: LastSeen
    meta: dict[str, Any] | None
    turn: str | None
    turn_has_prompt: bool
    has_turns: bool
    has_events: bool
    item_prompt: tuple[str, datetime | None, int] | None
    has_new_input: bool
    step: str | None
    calls_without_id: int
    tokens: Tokens
    last_total: Any
    cwd: str
    request: str | None
    title: str
    facts: dict[str, Any]
    sessions: SavedSessions


decode_state = msgspec.msgpack.Decoder(CodexState).decode
