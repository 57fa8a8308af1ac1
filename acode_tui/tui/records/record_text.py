"""Short texts about records and about the sync worker: labels, errors, payloads, state. Pure."""

import re

import msgspec
from textual.content import Content

from acode_tui.domain.quantities import number
from acode_tui.sync.ports import SyncStatus
from acode_tui.tui.style.palette import CONTENT_STYLE, SYNC
from acode_tui.tui.style.text import pretty_json, styled

MAX_PAYLOAD_CHARS = 20_000
"""The most characters that are shown of a payload, whose text is laid out again whenever the detail changes."""
_REFUSAL_PREFIX = re.compile(r"\APostgreSQL refused with SQLSTATE (?=\w{5}: )")


class _NameFields(msgspec.Struct, rename="camel"):
    """The fields that name an entity, of all entity types. Other fields of a payload are not decoded."""

    task_description: str | None = None
    title: str | None = None
    name: str | None = None
    tool_name: str | None = None
    to_state: str | None = None


_NAME_DECODER = msgspec.json.Decoder(_NameFields)


def entity_name(payload: msgspec.Raw) -> str:
    """The name of the entity in a payload; empty if it has none."""
    try:
        fields = _NAME_DECODER.decode(payload)
    except msgspec.MsgspecError:
        return ""
    names = (fields.task_description, fields.title, fields.name, fields.tool_name)
    return next((name for name in names if name), f"to {fields.to_state}" if fields.to_state else "")


def entity_label(entity_type: str, entity_id: str, payload: msgspec.Raw) -> str:
    """The type and the name of an entity, such as ``tool call bash``; its id if it has no name."""
    return f"{entity_type.replace('_', ' ')} {entity_name(payload) or entity_id}"


def short_refusal(error: str) -> str:
    """The SQLSTATE and the message of the server, without our words around them."""
    return _REFUSAL_PREFIX.sub("", error)


def payload_text(payload: msgspec.Raw) -> Content:
    """A payload as indented JSON; of a huge one the first MAX_PAYLOAD_CHARS characters."""
    text = pretty_json(msgspec.json.decode(payload))
    if len(text) <= MAX_PAYLOAD_CHARS:
        return Content(text)
    more = f"\n… {number(len(text) - MAX_PAYLOAD_CHARS)} more characters"
    return Content.assemble(text[:MAX_PAYLOAD_CHARS], (more, "$text-warning"))


def sync_problem(sync: SyncStatus) -> Content | None:
    """The state of the worker, why it does not send, and what to do about it; None if there is no problem."""
    if not sync.reason:
        return None
    mark = SYNC[sync.state]
    hint = f"; {sync.hint}" if sync.hint else ""
    return Content.assemble(
        (mark.label, f"bold {CONTENT_STYLE[mark.role]}"), "  ", styled(sync.reason), styled(hint, "$foreground-muted")
    )
