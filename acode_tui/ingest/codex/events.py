"""Which records of Codex say nothing about a run, and which user messages among the items are no prompts."""

from typing import Any

from acode_tui.ingest.codex.records import Payload
from acode_tui.ingest.contents import decoded, text_of
from acode_tui.ingest.draft import ImageDraft
from acode_tui.ingest.records import label, text

QUIET_LINES = frozenset(
    {"inter_agent_communication", "inter_agent_communication_metadata", "session_state", "world_state"}
)
QUIET_EVENTS = frozenset(
    {
        # Said again by the items.
        "agent_message",
        "agent_reasoning",
        "agent_reasoning_raw_content",
        "agent_reasoning_section_break",
        "collab_agent_interaction_end",
        "collab_close_end",
        "collab_resume_end",
        "collab_waiting_end",
        "dynamic_tool_call_request",
        "exec_command_begin",
        "image_generation_end",
        "item_started",
        "mcp_tool_call_begin",
        "patch_apply_begin",
        "plan_update",
        "raw_response_item",
        "view_image_tool_call",
        "web_search_begin",
        "web_search_end",
        # About the program.
        "background_event",
        "deprecation_notice",
        "entered_review_mode",
        "exited_review_mode",
        "session_configured",
        "stream_error",
        "thread_goal_updated",
        "thread_settings_applied",
        "undo_completed",
        "undo_started",
        "warning",
    }
)
QUIET_ITEMS = frozenset(
    {
        "AgentMessage",
        "CollabAgentToolCall",
        "ContextCompaction",
        "EnteredReviewMode",
        "ExitedReviewMode",
        "Extension",
        "HookPrompt",
        "ImageGeneration",
        "ImageView",
        "Plan",
        "Reasoning",
        "Sleep",
        "SubAgentActivity",
        "WebSearch",
        "additional_tools",
        "compaction",
        "context_compaction",
        "ghost_snapshot",
        "other",
    }
)

_INJECTED_KINDS = ("agents_md", "environments", "plugins", "skills", "hooks", "notifications", "collaboration")
"""How the kinds begin by which versions from 0.148 on say what they put into a message (``content_item_kinds``)."""

_INJECTED = (
    # How a text begins that the program wrote as the user, where it does not say so itself (before 0.148).
    "# AGENTS.md instructions",
    "<INSTRUCTIONS>",
    "<collaboration_mode>",
    "<environment_context>",
    "<hook_context>",
    "<permissions instructions>",
    "<recommended_plugins>",
    "<skill>",
    "<subagent_notification>",
    "<turn_aborted>",
    "<user_instructions>",
    "<user_shell_command>",
)


def is_injected(item: Payload) -> bool:
    """Whether the program wrote a user message among the items."""
    passed = item.internal_chat_message_metadata_passthrough
    kinds = passed.get("content_item_kinds") if type(passed) is dict else None
    if type(kinds) is list and kinds:
        return all(label(kind).startswith(_INJECTED_KINDS) for kind in kinds)
    return text_of(item.content).lstrip().startswith(_INJECTED)


def images_in(values: list[Any]) -> list[ImageDraft]:
    """The images of a prompt: addresses that hold their bytes, or names of files."""
    found = []
    for value in values:
        address = text(value)
        if type(value) is dict:
            address = text(value.get("image_url")) or text(value.get("path"))
        if not address:
            continue
        head, comma, data = address.partition(",")
        image = None
        if comma and head.startswith("data:image/") and head.endswith(";base64"):
            image = decoded(data, head.removeprefix("data:").removesuffix(";base64"))
        if image is not None:
            found.append(ImageDraft("image", image.content, image.content_type))
        elif not head.startswith("data:"):
            found.append(ImageDraft(label(address, 255), b"", "application/octet-stream"))
    return found
