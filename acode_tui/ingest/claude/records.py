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
    uuid: Any = None
    parent_uuid: Any = None
    session_id: Any = None
    agent_id: Any = None
    timestamp: Any = None
    cwd: Any = None
    git_branch: Any = None
    version: Any = None
    entrypoint: Any = None
    session_kind: Any = None
    forked_from: Any = None
    request_id: Any = None
    origin: Any = None
    prompt_source: Any = None
    source_tool_use_id: Any = msgspec.field(default=None, name="sourceToolUseID")
    is_meta: Any = None
    is_sidechain: Any = None
    is_compact_summary: Any = None
    is_visible_in_transcript_only: Any = None
    is_api_error_message: Any = None
    permission_mode: Any = None
    tool_denial_kind: Any = None
    plan_content: Any = None
    cost_usd: Any = msgspec.field(default=None, name="costUSD")
    message: Message | None = None
    tool_use_result: Raw = EMPTY
    data: Raw = EMPTY
    parent_tool_use_id: Any = msgspec.field(default=None, name="parentToolUseID")


class Details(msgspec.Struct, rename="camel"):
    """The fields of lines that are neither a user's nor the model's. Such a line is decoded a second time."""

    subtype: Any = None
    content: Any = None
    operation: Any = None
    reason: Any = None
    attachment: Any = None
    compact_metadata: Any = None
    hook_errors: Any = None
    hook_additional_context: Any = None
    prevented_continuation: Any = None
    stop_reason: Any = None
    error: Any = None
    retry_attempt: Any = None
    summary: Any = None
    leaf_uuid: Any = None
    custom_title: Any = None
    ai_title: Any = None
    agent_name: Any = None
    pr_url: Any = None
    continued_in_session_id: Any = None
    total_cost_usd: Any = msgspec.field(default=None, name="totalCostUSD")


class ToolUseResult(msgspec.Struct, rename="camel"):
    """``toolUseResult`` where it is an object, for all tools. ``originalFile`` is left out on purpose: it is large."""

    stdout: Any = None
    stderr: Any = None
    interrupted: Any = None
    is_error: Any = None
    background_task_id: Any = None
    persisted_output_path: Any = None
    file_path: Any = None
    structured_patch: Any = None
    content: Any = None
    file: Any = None
    plan: Any = None
    agent_id: Any = None
    run_id: Any = None
    status: Any = None
    total_duration_ms: Any = None
    total_tokens: Any = None
    total_tool_use_count: Any = None


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
