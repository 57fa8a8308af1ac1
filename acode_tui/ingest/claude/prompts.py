"""Which user lines of Claude Code are prompts of the user, and what the others are.

The rows of ``understand`` are asked in order, the fields of newer releases first. Each names its evidence: the field,
and the release in whose transcripts it was seen. The beginnings of texts decide only where no field does.
"""

import re
from enum import Enum, auto
from typing import NamedTuple

from acode_tui.ingest.claude.records import Record
from acode_tui.ingest.records import label


class Kind(Enum):
    """What the text of a user line is."""

    PROMPT = auto()
    COMMAND = auto()
    """A slash command: a prompt if the model answers it."""
    INTERRUPTION = auto()
    SUMMARY = auto()
    """The summary that replaces the conversation after a compaction."""
    INJECTED = auto()
    """Words of the program, of a hook or of another agent: an event with its text."""
    NOTHING = auto()


class Understood(NamedTuple):
    """``text`` is without the tags that the program put around the user's words; those are in ``tags``.

    ``about`` says what an injected text is.
    """

    kind: Kind
    text: str = ""
    about: str = ""
    tags: tuple[tuple[str, str], ...] = ()


# origin.kind (2.1.150 on) -> who speaks. "human" is the user; a kind that is not listed is somebody else.
_ORIGINS = {
    "peer": "message of another session",
    "teammate": "message of a teammate",
    "coordinator": "message of the coordinator",
    "channel": "message of a channel",
    "task-notification": "notification",
    "auto-continuation": "automatic continuation",
    "hook": "hook feedback",
    "system": "injected text",
}
# promptSource (2.1.160 on): "typed", "queued" and "suggestion_accepted" are the user's; "system" is the program itself.
# "sdk" is a prompt that another program gave, whose text decides as well.
_BY_HAND = frozenset({"typed", "queued", "suggestion_accepted"})
_BY_PROGRAM = frozenset({"system"})

# The beginning of the text -> what it is; releases before 2.1.150, and lines without the fields above.
_BEGINNINGS = (
    ("<teammate-message", "message of a teammate"),
    ("Another Claude session sent a message:", "message of another session"),
    ("<cross-session-message", "message of another session"),
    ("<channel ", "message of a channel"),
    ("[SYSTEM NOTIFICATION", "notification"),
    ("<task-notification>", "notification"),
    ("<agent-notification>", "notification"),
    ("Stop hook feedback:", "hook feedback"),
    ("SubagentStop hook feedback:", "hook feedback"),
    ("TeammateIdle hook feedback:", "hook feedback"),
    ("TaskCompleted hook feedback:", "hook feedback"),
    ("<user-prompt-submit-hook>", "hook feedback"),
    ("Base directory for this skill:", "skill text"),
    ("<local-command-caveat>", ""),
    ("Caveat: The messages below were generated", ""),
    ("<local-command-", "local command output"),
    ("<bash-input>", "command of the user"),
    ("<bash-", "output of the user's command"),
    ("<fork-boilerplate>", "injected text"),
    ("<tick>", "injected text"),
    ("[Image: source:", "injected text"),
)
_INTERRUPTED = "[Request interrupted by user"
_CONTINUED = "This session is being continued from a previous conversation"
_COMMAND = ("<command-name>", "<command-message>")

_TAG = re.compile(r"\s*<(system-reminder|ide_opened_file|ide_selection|ide_diagnostics)>(.*?)</\1>\s*", re.DOTALL)
_REMINDER, _REMINDER_END = "<system-reminder>", "</system-reminder>"
_TAG_NAMES = {
    "system-reminder": "reminder",
    "ide_opened_file": "file opened in the IDE",
    "ide_selection": "selection in the IDE",
    "ide_diagnostics": "diagnostics of the IDE",
}


def understand(record: Record, text: str) -> Understood:
    """What the text of a user line is. The line holds no result of a tool."""
    if record.is_compact_summary is True:
        return Understood(Kind.SUMMARY, text)
    origin = record.origin.get("kind") if type(record.origin) is dict else None
    source = record.prompt_source if type(record.prompt_source) is str else ""
    about = None
    if type(origin) is str and origin != "human" and source not in _BY_HAND:
        about = _ORIGINS.get(origin) or f"message of another origin ({label(origin)})"
    text, tags = strip_tags(text)
    beginning = text.lstrip()[:64]
    if not beginning:
        return Understood(Kind.NOTHING, "", "", tags)
    if about is None and (
        record.is_meta is True or source in _BY_PROGRAM or record.is_visible_in_transcript_only is True
    ):
        # A skill's text names the call that asked for it (sourceToolUseID, 2.1.30 on).
        about = "skill text" if type(record.source_tool_use_id) is str else _about(beginning, "injected text")
    if about is not None:
        return Understood(Kind.INJECTED if about else Kind.NOTHING, text, about, tags)
    if beginning.startswith(_COMMAND):
        return Understood(Kind.COMMAND, command_text(text), "", tags)
    if origin == "human" or source in _BY_HAND:
        return Understood(Kind.PROMPT, text, "", tags)
    if beginning.startswith(_INTERRUPTED):
        return Understood(Kind.INTERRUPTION, text, "", tags)
    if beginning.startswith(_CONTINUED):
        return Understood(Kind.SUMMARY, text, "", tags)
    about = _about(beginning, None)
    if about is None:
        return Understood(Kind.PROMPT, text, "", tags)
    return Understood(Kind.INJECTED if about else Kind.NOTHING, text, about, tags)


def _about(beginning: str, otherwise: str | None) -> str | None:
    if beginning[0] not in "<[ABCSTt":
        return otherwise
    return next((about for prefix, about in _BEGINNINGS if beginning.startswith(prefix)), otherwise)


def is_notification(text: str) -> bool:
    """Whether a queued text is the program's own, which comes again as a line or an attachment."""
    return _about(text.lstrip()[:64] or " ", None) is not None


def strip_tags(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The text without the program's tags before and after it, and each tag's meaning and content."""
    if not text.lstrip().startswith("<") and not text.rstrip().endswith(_REMINDER_END):
        return text, ()
    tags = []
    at = 0
    while (found := _TAG.match(text, at)) is not None:
        tags.append((_TAG_NAMES[found.group(1)], found.group(2).strip()))
        at = found.end()
    if not tags and not text.rstrip().endswith(_REMINDER_END):
        return text, ()
    text = text[at:].strip()
    while text.endswith(_REMINDER_END) and (begin := text.rfind(_REMINDER)) >= 0:
        tags.append(("reminder", text[begin + len(_REMINDER) : -len(_REMINDER_END)].strip()))
        text = text[:begin].rstrip()
    return text, tuple(tags)


_OPENED = re.compile(r"opened the file (.+?) in the IDE")
_SELECTED = re.compile(r"\bfrom (.+?):?(?:\n|$)")


def file_of_tag(about: str, content: str) -> str:
    """The file that a tag of an IDE names; empty where it names none."""
    pattern = {"file opened in the IDE": _OPENED, "selection in the IDE": _SELECTED}.get(about)
    found = pattern.search(content) if pattern is not None else None
    return found.group(1).strip() if found is not None else ""


_NAME = re.compile(r"<command-name>(.*?)</command-name>", re.DOTALL)
_ARGS = re.compile(r"<command-args>(.*?)</command-args>", re.DOTALL)


def command_text(text: str) -> str:
    """A slash command as the user typed it: ``/name arguments``."""
    name = _NAME.search(text)
    arguments = _ARGS.search(text)
    typed = f"{name.group(1).strip() if name else ''} {arguments.group(1).strip() if arguments else ''}".strip()
    return typed or text.strip()
