"""The names of states and kinds, stored by name. Members are only ever added, never renamed or removed."""

from enum import StrEnum


class _Name(StrEnum):
    """Looked up in sets and tables for every row: hashed as the text it is, where an enum would call a function."""

    __hash__ = str.__hash__


class EntityType(_Name):
    """The kind of a row, as it stands in idempotency keys and outbox rows (AC-030)."""

    SESSION = "session"
    SESSION_EVENT = "session_event"
    SESSION_TASK = "session_task"
    STEP = "step"
    TOOL_CALL = "tool_call"
    ARTIFACT = "artifact"


class SessionState(_Name):
    CREATED = "Created"
    PLANNING = "Planning"
    AWAITING_APPROVAL = "AwaitingApproval"
    EXECUTING = "Executing"
    PAUSED = "Paused"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


STATE_ORDER: tuple[SessionState, ...] = (
    SessionState.AWAITING_APPROVAL,
    SessionState.EXECUTING,
    SessionState.PLANNING,
    SessionState.PAUSED,
    SessionState.CREATED,
    SessionState.FAILED,
    SessionState.CANCELLED,
    SessionState.COMPLETED,
)
"""Sessions by state: what waits for a person first, then what runs, then what rests, then what has ended."""


class WorkState(_Name):
    """The state of a task or a step."""

    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FAILED = "Failed"
    SKIPPED = "Skipped"


TaskState = WorkState
StepState = WorkState


class ToolCallState(_Name):
    PENDING = "Pending"
    EXECUTING = "Executing"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class ArtifactType(_Name):
    FILE_CONTENT = "FileContent"
    FILE_WRITE = "FileWrite"
    FILE_DIFF = "FileDiff"
    COMMAND_OUTPUT = "CommandOutput"
    MODEL_RESPONSE = "ModelResponse"
    SEARCH_RESULT = "SearchResult"


class Operation(_Name):
    """What a write did to its row, as the outbox records it."""

    INSERT = "insert"
    UPDATE = "update"
