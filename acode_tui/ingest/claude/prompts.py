"""Which user lines of Claude Code are something a person asked for. The rest only look like it."""

import re
from collections.abc import Mapping
from enum import Enum, auto
from pathlib import Path

import msgspec

from acode_tui.domain.ids import imported_id
from acode_tui.ingest.records import label

_COMMAND = ("<command-name>", "<command-message>")
_FAKE = (
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
    PROMPT = auto()
    COMMAND = auto()
    """A slash command: a prompt if the model answered it."""
    INTERRUPTION = auto()
    NOISE = auto()


def classify(text: str) -> Kind:
    """What the text of a user line is."""
    start = text.lstrip()[:64]
    if not start:
        return Kind.NOISE
    if start.startswith(_INTERRUPTED):
        return Kind.INTERRUPTION
    if start.startswith(_COMMAND):
        return Kind.COMMAND
    if start.startswith(_FAKE):
        return Kind.NOISE
    return Kind.PROMPT


def command_text(text: str) -> str:
    """A slash command as it was typed: ``/name arguments``."""
    name = _NAME.search(text)
    arguments = _ARGS.search(text)
    typed = f"{name.group(1).strip() if name else ''} {arguments.group(1).strip() if arguments else ''}".strip()
    return typed or text.strip()


_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SOURCE = "claude-code"


class Identity(msgspec.Struct, frozen=True):
    """``root`` is the native id that the file's own subagents name as their parent."""

    session_id: str
    native_id: str
    root: str
    agent_id: str | None = None
    parent_native_id: str | None = None


def identify(path: Path, seen: Mapping[str, str]) -> Identity:
    """From the file's name and the ids its lines carry (``session``, ``agent``).

    A file named by a UUID is that session, also where its first lines were taken over from another. Files that
    were renamed go by the session id in their lines.
    """
    stem = path.name.removesuffix(".jsonl")
    if stem.startswith("agent-"):
        # Its lines carry the parent's session id, so the name alone keeps the two apart.
        agent = label(stem.removeprefix("agent-")) or seen.get("agent") or "unnamed"
        parent = seen.get("session") or _folder_session(path) or "unknown"
        return Identity(imported_id(_SOURCE, parent, agent), f"{parent}/{agent}", parent, agent, parent)
    native = stem.lower() if _UUID.fullmatch(stem) else seen.get("session") or label(stem) or "unnamed"
    return Identity(imported_id(_SOURCE, native), native, native)


def _folder_session(path: Path) -> str | None:
    parts = path.parts
    if "subagents" in parts:
        index = parts.index("subagents")
        if index > 0:
            return label(parts[index - 1])
    return None
