"""Which user lines of Claude Code are something a person asked for. The rest only look like it."""

import re
from enum import Enum, auto

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
