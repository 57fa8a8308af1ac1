"""The records of Copilot CLI: only the fields that are read, none of them trusted."""

from typing import Any

import msgspec
from msgspec import Raw

EMPTY = Raw(b"")


class Event(msgspec.Struct, rename="camel"):
    """A line. ``data`` is decoded on use: half of the lines of a file may be of hooks, which say nothing of the run."""

    type: Any = None
    timestamp: Any = None
    agent_id: Any = None
    data: Raw = EMPTY


class Data(msgspec.Struct, rename="camel"):
    """``data`` of all event types that are read."""

    session_id: Any = None
    copilot_version: Any = None
    context: Any = None
    selected_model: Any = None
    new_model: Any = None
    new_mode: Any = None
    content: Any = None
    source: Any = None
    attachments: Any = None
    message_id: Any = None
    api_call_id: Any = None
    interaction_id: Any = None
    model: Any = None
    output_tokens: Any = None
    reasoning_text: Any = None
    tool_requests: Any = None
    tool_call_id: Any = None
    tool_name: Any = None
    mcp_server_name: Any = None
    arguments: Any = None
    success: Any = None
    result: Any = None
    error: Any = None
    shell_execution: Any = None
    request_id: Any = None
    usage: Any = None
    model_metrics: Any = None
    accounting_snapshot: Any = None
    message: Any = None
    reason: Any = None
    summary: Any = None
    summary_content: Any = None
    agent_name: Any = None
    agent_display_name: Any = None
    operation: Any = None
    error_message: Any = None
    path: Any = None
    name: Any = None
