"""Which user lines of Claude Code are prompts of the user, and which session a file is."""

import re
from collections.abc import Mapping
from enum import Enum, auto
from pathlib import Path

import msgspec

from acode_tui.domain.ids import imported_id
from acode_tui.ingest.records import label

_COMMAND = ("<command-name>", "<command-message>")
_NOT_PROMPTS = (
    "<local-command-",
    "<task-notification>",
    "<bash-",
    "Caveat:",
    "This session is being continued",
)
_INTERRUPTED = "[Request interrupted"
_NAME = re.compile(r"<command-name>(.*?)</command-name>", re.DOTALL)
_ARGS = re.compile(r"<command-args>(.*?)</command-args>", re.DOTALL)


class Kind(Enum):
    """What the text of a user line is."""

    PROMPT = auto()
    COMMAND = auto()
    """A slash command: a prompt if the model answers it."""
    INTERRUPTION = auto()
    NOISE = auto()


def classify(text: str) -> Kind:
    """The kind of a user line's text."""
    start = text.lstrip()[:64]
    if not start:
        return Kind.NOISE
    if start.startswith(_INTERRUPTED):
        return Kind.INTERRUPTION
    if start.startswith(_COMMAND):
        return Kind.COMMAND
    if start.startswith(_NOT_PROMPTS):
        return Kind.NOISE
    return Kind.PROMPT


def command_text(text: str) -> str:
    """A slash command as the user typed it: ``/name arguments``."""
    name = _NAME.search(text)
    arguments = _ARGS.search(text)
    typed = f"{name.group(1).strip() if name else ''} {arguments.group(1).strip() if arguments else ''}".strip()
    return typed or text.strip()


_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SOURCE = "claude-code"


class Identity(msgspec.Struct, frozen=True):
    """Which session a file holds. ``root`` is the native id that the file's subagents name as their parent."""

    session_id: str
    native_id: str
    root: str
    agent_id: str | None = None
    parent_native_id: str | None = None


def identify(path: Path, fields: Mapping[str, str]) -> Identity:
    """The identity of a file, by its name and the ids in its lines (``session``, ``agent``).

    A file whose name is a UUID is that session, also where its first lines were copied from another one. A file that
    was renamed is the session that its lines name.
    """
    stem = path.name.removesuffix(".jsonl")
    if stem.startswith("agent-"):
        # Its lines hold the parent's session id, so only the name distinguishes the two.
        agent = label(stem.removeprefix("agent-")) or fields.get("agent") or "unnamed"
        parent = fields.get("session") or _folder_session(path) or "unknown"
        return Identity(imported_id(_SOURCE, parent, agent), f"{parent}/{agent}", parent, agent, parent)
    native = stem.lower() if _UUID.fullmatch(stem) else fields.get("session") or label(stem) or "unnamed"
    return Identity(imported_id(_SOURCE, native), native, native)


def _folder_session(path: Path) -> str | None:
    parts = path.parts
    if "subagents" in parts:
        index = parts.index("subagents")
        if index > 0:
            return label(parts[index - 1])
    return None
