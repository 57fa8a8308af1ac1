"""What the reader of Claude Code sessions keeps to read on after the lines that it has read."""

from datetime import datetime

import msgspec

from acode_tui.domain.states import SessionState
from acode_tui.ingest.finish import LastSeen
from acode_tui.ingest.resume import SavedReading
from acode_tui.ingest.usage import SavedUsage, Tokens


class ClaudeState(msgspec.Struct, array_like=True):
    """``summaries`` are those whose line is not found yet; ``settled`` are the tokens of messages that are not kept."""

    reading: SavedReading
    last: LastSeen
    planning: bool
    pending_command: tuple[str, str, datetime | None, int] | None
    subagent_prompts: list[bytes]
    agents: dict[str, str]
    usage: list[SavedUsage]
    settled: Tokens
    summaries: list[tuple[str, str, int, SessionState]]
    fields: dict[str, str]
    titles: dict[str, str]


decode_state = msgspec.msgpack.Decoder(ClaudeState).decode
