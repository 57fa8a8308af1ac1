"""The records of a pi session's lines: only the fields that are read, none of them trusted."""

from typing import Any

import msgspec


class Message(msgspec.Struct, rename="camel"):
    """``message`` of an entry, for all roles."""

    role: Any = None
    content: Any = None
    provider: Any = None
    model: Any = None
    usage: Any = None
    stop_reason: Any = None
    error_message: Any = None
    response_id: Any = None
    tool_call_id: Any = None
    tool_name: Any = None
    details: Any = None
    is_error: Any = None
    command: Any = None
    output: Any = None
    exit_code: Any = None
    cancelled: Any = None


class Entry(msgspec.Struct, rename="camel"):
    """A line: the session's header, or an entry of its tree."""

    type: str | None = None
    id: str | None = None
    parent_id: str | None = None
    timestamp: str | None = None
    message: Message | None = None
    cwd: Any = None
    version: Any = None
    parent_session: Any = None
    branched_from: Any = None
    provider: Any = None
    model_id: Any = None
    summary: Any = None
    custom_type: Any = None
    content: Any = None
    name: Any = None
    label: Any = None
