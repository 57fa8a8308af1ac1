"""The records of OpenHands: only the fields that are read, none of them trusted.

Two generations share nothing but the file per event; a record of either is read into the same struct.
"""

from typing import Any

import msgspec


class Record(msgspec.Struct):
    """An event of either generation, or the state that is kept beside the events of the newer one."""

    id: Any = None
    timestamp: Any = None
    source: Any = None
    # The newer generation: events have a kind.
    kind: Any = None
    llm_message: Any = None
    llm_response_id: Any = None
    thought: Any = None
    reasoning_content: Any = None
    thinking_blocks: Any = None
    tool_name: Any = None
    tool_call_id: Any = None
    tool_call: Any = None
    action: Any = None
    action_id: Any = None
    observation: Any = None
    error: Any = None
    detail: Any = None
    rejection_reason: Any = None
    summary: Any = None
    # The older one: action and observation are names.
    args: Any = None
    content: Any = None
    extras: Any = None
    cause: Any = None
    tool_call_metadata: Any = None
    llm_metrics: Any = None
    # The state.
    stats: Any = None
    execution_status: Any = None
    workspace: Any = None
    agent: Any = None
