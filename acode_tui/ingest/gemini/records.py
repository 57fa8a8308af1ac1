"""The records of Gemini CLI: only the fields that are read, none of them trusted."""

from typing import Any

import msgspec


class Record(msgspec.Struct, rename="camel"):
    """A whole session (older versions), or a line: a header, a message, or a change of what came before."""

    id: Any = None
    type: Any = None
    timestamp: Any = None
    content: Any = None
    model: Any = None
    thoughts: Any = None
    tokens: Any = None
    tool_calls: Any = None
    session_id: Any = None
    project_hash: Any = None
    start_time: Any = None
    kind: Any = None
    summary: Any = None
    directories: Any = None
    messages: Any = None
    set: Any = msgspec.field(default=None, name="$set")
    rewind_to: Any = msgspec.field(default=None, name="$rewindTo")
