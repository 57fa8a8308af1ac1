"""What the program attaches to a conversation (``attachment`` lines, 2.1.100 on), and what its ``system`` lines say.

Hooks, plans, skills, files and notifications become events with their text. Counters and reminders that repeat what
other lines say are left out. What is in neither list is counted as unknown.
"""

from typing import Any, NamedTuple

import msgspec

from acode_tui.ingest.claude.records import Details
from acode_tui.ingest.contents import text_of
from acode_tui.ingest.records import label, storable, text

# attachment.type -> what the event is called, and the fields whose text it has.
_EVENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "hook_success": ("hook", ("content", "stdout", "stderr")),
    "hook_blocking_error": ("hook blocked", ("blockingError",)),
    "hook_non_blocking_error": ("hook failed", ("stderr", "stdout")),
    "hook_error_during_execution": ("hook failed", ("content",)),
    "hook_cancelled": ("hook cancelled", ()),
    "hook_stopped_continuation": ("hook stopped the run", ("message",)),
    "hook_additional_context": ("context of a hook", ("content",)),
    "hook_system_message": ("message of a hook", ("content",)),
    "hook_permission_decision": ("decision of a hook", ("decision", "reason")),
    "async_hook_response": ("hook", ("stdout", "stderr")),
    "plan_mode": ("plan mode", ("planFilePath",)),
    "plan_mode_exit": ("plan mode left", ("planFilePath",)),
    "plan_file_reference": ("plan", ("planContent",)),
    "skill_listing": ("list of skills", ("content",)),
    "invoked_skills": ("skill texts", ("skills",)),
    "dynamic_skill": ("skills found", ("skillNames",)),
    "agent_listing_delta": ("list of agents", ("addedLines", "removedTypes")),
    "mcp_instructions_delta": ("instructions of MCP servers", ("addedBlocks", "removedNames")),
    "nested_memory": ("memory file", ("path", "content")),
    "edited_text_file": ("file edited by others", ("filename", "snippet")),
    "file": ("file attached", ("filename",)),
    "directory": ("folder attached", ("path",)),
    "compact_file_reference": ("file kept after compaction", ("filename",)),
    "task_status": ("background task", ("description", "status", "deltaSummary")),
    "agent_mention": ("agent mentioned", ("agentType",)),
    "mcp_resource": ("MCP resource attached", ("server", "uri")),
    "diagnostics": ("diagnostics", ("files",)),
    "read_truncation_notice": ("file read in part", ("banner",)),
    "teammate_mailbox": ("messages of teammates", ("messages",)),
    "critical_system_reminder": ("reminder", ("content",)),
}
_QUIET = frozenset(
    {
        "task_reminder",
        "todo_reminder",
        "todo",
        "deferred_tools_delta",
        "command_permissions",
        "auto_mode",
        "auto_mode_exit",
        "date_change",
        "ultra_effort_enter",
        "ultra_effort_exit",
        "ultrathink_effort",
        "workflow_keyword_request",
        "budget_usd",
        "token_usage",
        "total_tokens_reminder",
        "batching_reminder_sent",
        "silent_turn_reminder",
        "output_style",
        "verify_plan_reminder",
        "plan_mode_reentry",
        "already_read_file",
        "structured_output",
        "opened_file_in_ide",
        "selected_lines_in_ide",
        "companion_intro",
        "current_session_memory",
        "relevant_memories",
        "team_context",
        "compaction_reminder",
        "context_efficiency",
        "output_token_usage",
    }
)
_QUIET_SYSTEM = frozenset({"turn_duration", "session_start", "bridge_status", "memory_saved", "thinking"})


class Event(NamedTuple):
    """What happened, and its text."""

    about: str
    content: str = ""


def event_of_attachment(attachment: dict[str, Any]) -> Event | None:
    """The event that an attachment is, or None where there is nothing to tell. Raises KeyError for an unknown type."""
    kind = label(attachment.get("type"))
    if kind in _QUIET:
        return None
    about, names = _EVENTS[kind]
    parts = [found for name in names if (found := _plain(attachment.get(name)))]
    hook = label(attachment.get("hookName")) or label(attachment.get("hookEvent"))
    if kind == "hook_success":
        parts = [part for part in dict.fromkeys(parts) if part.strip() not in ("", "{}")]
        if not parts:
            # Hooks run with each call, and nearly all of them say nothing.
            return None
    code = attachment.get("exitCode")
    failed = f" with exit code {code}" if kind == "hook_non_blocking_error" and type(code) is int else ""
    return Event(f"{about}{failed} ({hook})" if hook else about, "\n".join(parts))


def event_of_system(details: Details) -> Event | None:
    """The event of a ``system`` line, None where there is nothing to tell. Raises KeyError for an unknown subtype."""
    kind = details.subtype
    if kind in _QUIET_SYSTEM:
        return None
    content = text(details.content)
    if kind == "compact_boundary":
        metadata = details.compact_metadata if type(details.compact_metadata) is dict else {}
        trigger = label(metadata.get("trigger"))
        return Event(f"context compacted{f' ({trigger})' if trigger else ''}")
    if kind == "microcompact_boundary":
        return Event("context compacted in part")
    if kind == "stop_hook_summary":
        said = [_plain(details.hook_errors), _plain(details.hook_additional_context), text(details.stop_reason)]
        found = "\n".join(part for part in said if part)
        if not found and details.prevented_continuation is not True:
            return None
        return Event("stop hook kept the run going" if details.prevented_continuation is True else "stop hook", found)
    if kind in ("api_error", "error", "api_refusal"):
        attempt = details.retry_attempt
        again = f", attempt {attempt}" if type(attempt) is int and attempt else ""
        what = {"api_error": "API error", "error": "error", "api_refusal": "refused by the API"}[kind]
        return Event(f"{what}{again}", content or _error_text(details.error))
    if kind == "local_command":
        # The same texts as those of user lines, in newer releases.
        return Event("", content)
    names = {
        "away_summary": "summary for the user's return",
        "informational": "notice",
        "scheduled_task_fire": "scheduled task",
        "model_refusal_fallback": "another model after a refusal",
        "agents_killed": "agents stopped",
        "permission_retry": "permission given later",
        "file_snapshot": "",
    }
    about = names[kind if type(kind) is str else ""]
    return Event(about, content) if about else None


def _error_text(error: Any) -> str:
    if type(error) is not dict:
        return text(error)
    inner = error.get("error")
    found = text(error.get("message")) or text(error.get("type")) or (_error_text(inner) if type(inner) is dict else "")
    status = error.get("status")
    return f"{found} (status {status})".strip() if type(status) is int and status else found


def _plain(value: Any) -> str:
    """The text of a field: its own, or that of the texts in it; else its JSON."""
    if type(value) is str:
        return value.strip()
    if value is None or value in ([], {}):
        return ""
    if type(value) is list:
        return "\n".join(found for item in value if (found := _plain(item)))
    if type(value) is dict:
        for name in ("blockingError", "content", "text", "message", "name"):
            if found := _plain(value.get(name)):
                return found
        return _json(value)
    return _json(value)


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(storable(value, dirty=True)).decode()
    except (ValueError, TypeError, OverflowError, RecursionError):
        return text_of(value)
