"""Which session a file of Claude Code holds."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from acode_tui.domain.ids import imported_id
from acode_tui.ingest.records import label, parse_any

SOURCE = "claude-code"
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def named_session(path: Path) -> str:
    """The session that a file is named after; empty where its name is no session's id."""
    stem = path.name.removesuffix(".jsonl")
    return stem.lower() if _UUID.fullmatch(stem) else ""


class Identity(msgspec.Struct, frozen=True):
    """Which session a file holds. ``root`` is the native id that the file's subagents name as their parent.

    ``workflow`` is the id of the workflow run that started the subagent, where one did.
    """

    session_id: str
    native_id: str
    root: str
    agent_id: str | None = None
    parent_native_id: str | None = None
    workflow: str | None = None


def identify(path: Path, fields: Mapping[str, str]) -> Identity:
    """The identity of a file, by its name and the ids in its lines (``session``, ``agent``).

    A file whose name is a UUID is that session, also where its first lines were copied from another one. A file that
    was renamed is the session that its lines name.
    """
    stem = path.name.removesuffix(".jsonl")
    if stem.startswith("agent-"):
        # Its lines hold the parent's session id, so only the name distinguishes the two.
        agent = label(stem.removeprefix("agent-")) or fields.get("agent") or "unnamed"
        parent = fields.get("session") or _after(path, "subagents", -1) or "unknown"
        workflow = _after(path, "workflows", 1)
        return Identity(imported_id(SOURCE, parent, agent), f"{parent}/{agent}", parent, agent, parent, workflow)
    native = named_session(path) or fields.get("session") or label(stem) or "unnamed"
    return Identity(imported_id(SOURCE, native), native, native)


MAX_SIDECAR_BYTES = 64 * 1024


def agent_facts(path: Path) -> dict[str, Any]:
    """What the file beside a subagent's transcript says of it (``agent-<id>.meta.json``, 2.1.150 on).

    ``spawnedBy`` is the native id of the parent's call. Empty where there is no such file.
    """
    try:
        with open(path.with_name(f"{path.name.removesuffix('.jsonl')}.meta.json"), "rb") as source:
            sidecar = parse_any(source.read(MAX_SIDECAR_BYTES))
    except (OSError, ValueError):
        return {}
    if type(sidecar) is not dict:
        return {}
    names = {"agentType": "agentType", "description": "agentDescription", "toolUseId": "spawnedBy"}
    return {ours: found for theirs, ours in names.items() if (found := label(sidecar.get(theirs)))}


def _after(path: Path, folder: str, offset: int) -> str | None:
    """The part of a path that is so far after a folder of this name; None where there is none."""
    parts = path.parts
    if folder not in parts:
        return None
    index = parts.index(folder) + offset
    return label(parts[index]) if 0 < index < len(parts) - 1 else None
