"""Colours and glyphs of states. No state is shown by colour alone: each has a glyph of its own."""

from datetime import datetime, timedelta
from functools import cache
from typing import Literal

import msgspec
from textual.color import Color, ColorParseError

from acode_tui.domain.entities import Session
from acode_tui.domain.search.query import LIVE_SPAN
from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState, WorkState
from acode_tui.sync.ports import SyncState

Role = Literal["good", "busy", "wait", "bad", "quiet", "plain"]

CONTENT_STYLE: dict[Role, str] = {
    "good": "$text-success",
    "busy": "$text-primary",
    "wait": "$text-warning",
    "bad": "$text-error",
    "quiet": "$foreground-muted",
    "plain": "$foreground",
}
"""The style of each role in Textual content, which resolves theme variables."""


class Mark(msgspec.Struct, frozen=True):
    """How a state is shown: a glyph of one column, a word, and the role that colours both."""

    glyph: str
    word: str
    role: Role

    @property
    def label(self) -> str:
        return f"{self.glyph} {self.word}"


SESSION: dict[SessionState, Mark] = {
    SessionState.CREATED: Mark("○", "Created", "quiet"),
    SessionState.PLANNING: Mark("◌", "Planning", "busy"),
    SessionState.AWAITING_APPROVAL: Mark("◆", "Approval", "wait"),
    SessionState.EXECUTING: Mark("●", "Executing", "busy"),
    SessionState.PAUSED: Mark("‖", "Paused", "wait"),
    SessionState.COMPLETED: Mark("✓", "Completed", "good"),
    SessionState.FAILED: Mark("✗", "Failed", "bad"),
    SessionState.CANCELLED: Mark("⊘", "Cancelled", "quiet"),
}
IDLE = Mark("○", "Idle", "quiet")
"""A run that is at work by its state, but that nothing writes to."""

WAITING_SPAN = timedelta(days=1)
"""A run that waits for approval so long is idle too: its agent has gone."""

_UNKNOWN = Mark("?", "unknown", "quiet")


def session_mark(session: Session, now: datetime) -> Mark:
    """How a session's state is shown: idle where its state says that it is at work, but nothing writes to it."""
    quiet_for = now - session.updated_at
    if session.state in (SessionState.PLANNING, SessionState.EXECUTING) and quiet_for >= LIVE_SPAN:
        return IDLE
    if session.state is SessionState.AWAITING_APPROVAL and quiet_for >= WAITING_SPAN:
        return IDLE
    return SESSION.get(session.state, _UNKNOWN)


WORK: dict[WorkState, Mark] = {
    WorkState.PENDING: Mark("○", "pending", "quiet"),
    WorkState.IN_PROGRESS: Mark("●", "in progress", "busy"),
    WorkState.COMPLETED: Mark("✓", "completed", "good"),
    WorkState.FAILED: Mark("✗", "failed", "bad"),
    WorkState.SKIPPED: Mark("⊘", "skipped", "quiet"),
}
TOOL_CALL: dict[ToolCallState, Mark] = {
    ToolCallState.PENDING: Mark("○", "pending", "quiet"),
    ToolCallState.EXECUTING: Mark("●", "executing", "busy"),
    ToolCallState.SUCCEEDED: Mark("✓", "succeeded", "good"),
    ToolCallState.FAILED: Mark("✗", "failed", "bad"),
    ToolCallState.CANCELLED: Mark("⊘", "cancelled", "quiet"),
}
ROW_SYNC: dict[str, Mark] = {
    "local": Mark("·", "local", "quiet"),
    "pending": Mark("↑", "pending", "wait"),
    "retrying": Mark("↻", "retrying", "wait"),
    "failed": Mark("✗", "failed", "bad"),
    "synced": Mark("✓", "synced", "good"),
}
SYNC: dict[SyncState, Mark] = {
    SyncState.DISABLED: Mark("○", "local only", "quiet"),
    SyncState.MISCONFIGURED: Mark("✗", "misconfigured", "bad"),
    SyncState.CONNECTING: Mark("◌", "connecting", "busy"),
    SyncState.IDLE: Mark("●", "idle", "good"),
    SyncState.SYNCING: Mark("↑", "syncing", "busy"),
    SyncState.OFFLINE: Mark("○", "offline", "wait"),
    SyncState.AUTH_FAILED: Mark("✗", "auth failed", "bad"),
    SyncState.SCHEMA_MISMATCH: Mark("✗", "schema mismatch", "bad"),
    SyncState.READ_ONLY: Mark("◆", "read-only", "wait"),
    SyncState.REMOTE_BEHIND: Mark("◆", "remote behind", "bad"),
    SyncState.PAUSED: Mark("‖", "paused", "wait"),
    SyncState.STANDBY: Mark("◐", "standby", "quiet"),
    SyncState.STOPPED: Mark("■", "stopped", "quiet"),
}
HEALTH: dict[str, Mark] = {
    "Healthy": Mark("✓", "healthy", "good"),
    "Degraded": Mark("◆", "degraded", "wait"),
    "Unhealthy": Mark("✗", "unhealthy", "bad"),
}
"""By the value of a HealthStatus, which is in a package that is imported late."""
ARTIFACT: dict[ArtifactType, Mark] = {
    ArtifactType.FILE_CONTENT: Mark("▤", "File content", "busy"),
    ArtifactType.FILE_WRITE: Mark("▤", "File write", "busy"),
    ArtifactType.FILE_DIFF: Mark("±", "File diff", "busy"),
    ArtifactType.COMMAND_OUTPUT: Mark("›", "Command output", "busy"),
    ArtifactType.MODEL_RESPONSE: Mark("¶", "Model response", "good"),
    ArtifactType.SEARCH_RESULT: Mark("⌕", "Search result", "busy"),
    ArtifactType.USER_PROMPT: Mark("»", "User prompt", "wait"),
    ArtifactType.REASONING: Mark("∴", "Reasoning", "quiet"),
    ArtifactType.IMAGE: Mark("▣", "Image", "busy"),
}
"""What was said differs in colour from what tools read and made."""


@cache
def _solid(colour: str, background: str) -> str:
    """A theme's colour as Rich writes it. Rich has no transparency, so the colour is blended with the background.

    Empty, which is the terminal's default colour, for a value that is not a plain colour (``auto 60%``).
    """
    try:
        parsed = Color.parse(colour)
        if parsed.ansi is not None:
            return "" if parsed.ansi < 0 else f"color({parsed.ansi})"
        return Color.parse(background).blend(parsed, parsed.a, alpha=1.0).hex6
    except ColorParseError:
        return ""


class Colours(msgspec.Struct, frozen=True):
    """A theme's colours as Rich styles, for table cells and tree labels, which do not resolve theme variables."""

    good: str
    busy: str
    wait: str
    bad: str
    quiet: str
    plain: str

    @classmethod
    def of(cls, variables: dict[str, str]) -> "Colours":
        background = variables.get("background", "")
        return cls(**{role: _solid(variables.get(name[1:], ""), background) for role, name in CONTENT_STYLE.items()})

    def style(self, role: Role) -> str:
        return str(getattr(self, role))
