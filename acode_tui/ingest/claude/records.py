"""The records of Claude Code's lines: only the fields that are read, none of them trusted."""

from typing import Any

import msgspec
from msgspec import Raw

EMPTY = Raw(b"")


class Message(msgspec.Struct):
    """``message`` of user and assistant lines."""

    id: Any = None
    model: Any = None
    content: Any = None
    usage: Any = None


class Record(msgspec.Struct, rename="camel"):
    """A line. ``tool_use_result`` and ``data`` are large and rarely needed, so they are decoded on use."""

    type: Any = None
    subtype: Any = None
    uuid: Any = None
    session_id: Any = None
    agent_id: Any = None
    timestamp: Any = None
    cwd: Any = None
    git_branch: Any = None
    version: Any = None
    request_id: Any = None
    is_meta: Any = None
    is_sidechain: Any = None
    is_compact_summary: Any = None
    is_api_error_message: Any = None
    permission_mode: Any = None
    tool_denial_kind: Any = None
    compact_metadata: Any = None
    message: Message | None = None
    tool_use_result: Raw = EMPTY
    data: Raw = EMPTY
    parent_tool_use_id: Any = msgspec.field(default=None, name="parentToolUseID")
    summary: Any = None
    leaf_uuid: Any = None
    custom_title: Any = None
    ai_title: Any = None


class ToolUseResult(msgspec.Struct):
    """``toolUseResult`` where it is an object, for all tools. ``originalFile`` is left out on purpose: it is large."""

    stdout: Any = None
    stderr: Any = None
    interrupted: Any = None
    is_error: Any = None
    background_task_id: Any = msgspec.field(default=None, name="backgroundTaskId")
    file_path: Any = msgspec.field(default=None, name="filePath")
    structured_patch: Any = msgspec.field(default=None, name="structuredPatch")
    content: Any = None
    file: Any = None
    agent_id: Any = msgspec.field(default=None, name="agentId")
    status: Any = None
    total_duration_ms: Any = msgspec.field(default=None, name="totalDurationMs")
    total_tokens: Any = msgspec.field(default=None, name="totalTokens")
    total_tool_use_count: Any = msgspec.field(default=None, name="totalToolUseCount")


class Progress(msgspec.Struct):
    """``data`` of a progress line, of which only the link to a subagent is kept."""

    type: Any = None
    agent_id: Any = msgspec.field(default=None, name="agentId")


class ProgressLine(msgspec.Struct, gc=False):
    """A progress line: a third of a large file, of which only the time and the link to a subagent are used."""

    type: str
    timestamp: str
    data: Progress
    parent_tool_use_id: str = msgspec.field(default="", name="parentToolUseID")
