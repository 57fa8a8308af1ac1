"""The records of Codex rollout lines: only the fields that are read, none of them trusted."""

from typing import Any

import msgspec


class Payload(msgspec.Struct):
    """``payload`` of all line types. Encrypted reasoning and replayed histories are left out on purpose."""

    type: Any = None
    id: Any = None
    role: Any = None
    content: Any = None
    name: Any = None
    arguments: Any = None
    input: Any = None
    call_id: Any = None
    output: Any = None
    status: Any = None
    action: Any = None
    message: Any = None
    reason: Any = None
    error: Any = None
    info: Any = None
    turn_id: Any = None
    timestamp: Any = None
    cwd: Any = None
    cli_version: Any = None
    model: Any = None
    git: Any = None
    originator: Any = None
    parent_thread_id: Any = None
    forked_from_id: Any = None
    tools: Any = None
    images: Any = None
    local_images: Any = None
    source: Any = None
    summary: Any = None
    item: Any = None
    result: Any = None
    exit_code: Any = None
    aggregated_output: Any = None
    duration: Any = None
    success: Any = None
    changes: Any = None
    stdout: Any = None
    stderr: Any = None
    num_turns: Any = None
    thread_name: Any = None
    approval_policy: Any = None
    sandbox_policy: Any = None
    effort: Any = None
    new_thread_id: Any = None
    agent_path: Any = None
    kind: Any = None
    rationale: Any = None
    risk_level: Any = None
    author: Any = None
    internal_chat_message_metadata_passthrough: Any = None


class Line(Payload):
    """A line. In files older than ``{timestamp, type, payload}`` the line itself is what is the payload now."""

    payload: Payload | None = None
