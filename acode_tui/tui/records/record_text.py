"""What a record is about and why it was refused, in few words. Pure."""

import re

import msgspec
from textual.content import Content

from acode_tui.sync.ports import SyncStatus
from acode_tui.tui.style.palette import CONTENT_STYLE, SYNC
from acode_tui.tui.style.text import pretty_json, styled
from acode_tui.tui.style.times import number

MAX_PAYLOAD_CHARS = 20_000
"""What is shown of a payload: its text is laid out anew whenever the detail changes."""
_PREFIX = re.compile(r"\APostgreSQL refused with SQLSTATE (?=\w{5}: )")


class _Named(msgspec.Struct, rename="camel"):
    """What the kinds of entities call themselves by; the rest of a payload is not looked at."""

    task_description: str | None = None
    title: str | None = None
    name: str | None = None
    tool_name: str | None = None
    to_state: str | None = None


_NAMED = msgspec.json.Decoder(_Named)


def name_in(payload: msgspec.Raw) -> str:
    """What an entity's payload calls it; nothing where it says nothing."""
    try:
        found = _NAMED.decode(payload)
    except msgspec.MsgspecError:
        return ""
    names = (found.task_description, found.title, found.name, found.tool_name)
    return next((name for name in names if name), f"to {found.to_state}" if found.to_state else "")


def entity_told(entity_type: str, entity_id: str, payload: msgspec.Raw) -> str:
    """``tool call bash``; an id stands for what has no name."""
    return f"{entity_type.replace('_', ' ')} {name_in(payload) or entity_id}"


def refusal_told(error: str) -> str:
    """What the server said, for a narrow place: the SQLSTATE and its own words."""
    return _PREFIX.sub("", error)


def payload_told(payload: msgspec.Raw) -> Content:
    """A payload as pretty JSON; of a huge one the beginning."""
    text = pretty_json(msgspec.json.decode(payload))
    if len(text) <= MAX_PAYLOAD_CHARS:
        return Content(text)
    more = f"\n… {number(len(text) - MAX_PAYLOAD_CHARS)} more characters"
    return Content.assemble(text[:MAX_PAYLOAD_CHARS], (more, "$text-warning"))


def standing_told(sync: SyncStatus) -> Content | None:
    """State, reason and what to do about it; None where there is nothing to say."""
    if not sync.reason:
        return None
    mark = SYNC[sync.state]
    hint = f"; {sync.hint}" if sync.hint else ""
    return Content.assemble(
        (mark.label, f"bold {CONTENT_STYLE[mark.role]}"), "  ", styled(sync.reason), styled(hint, "$foreground-muted")
    )
