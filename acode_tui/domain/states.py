"""States and kinds, stored by name. Members may be added, never renamed or removed."""

from enum import StrEnum


class _StoredName(StrEnum):
    """Base class that hashes as ``str``: members are looked up for every row, and ``Enum.__hash__`` is Python code."""

    __hash__ = str.__hash__


class EntityType(_StoredName):
    """The kind of a row, as idempotency keys and outbox rows spell it (AC-030)."""

    SESSION = "session"
    SESSION_EVENT = "session_event"
    SESSION_TASK = "session_task"
    STEP = "step"
    TOOL_CALL = "tool_call"
    ARTIFACT = "artifact"


class SessionState(_StoredName):
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
"""The order of sessions sorted by state: waiting for a person, running, idle, ended."""


class WorkState(_StoredName):
    """The state of a task or a step."""

    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FAILED = "Failed"
    SKIPPED = "Skipped"


TaskState = WorkState
StepState = WorkState


class ToolCallState(_StoredName):
    PENDING = "Pending"
    EXECUTING = "Executing"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class ArtifactType(_StoredName):
    FILE_CONTENT = "FileContent"
    FILE_WRITE = "FileWrite"
    FILE_DIFF = "FileDiff"
    COMMAND_OUTPUT = "CommandOutput"
    MODEL_RESPONSE = "ModelResponse"
    SEARCH_RESULT = "SearchResult"
    USER_PROMPT = "UserPrompt"
    REASONING = "Reasoning"
    IMAGE = "Image"


class Operation(_StoredName):
    """What a write did to its row, as the outbox records it."""

    INSERT = "insert"
    UPDATE = "update"
