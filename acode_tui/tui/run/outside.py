"""What a run names outside the dashboard: a file for the user's editor, and the agent's own command that resumes it.

A transcript may be a stranger's. Nothing of it becomes an option or reaches a shell: a path is absolute and that of a
regular file, an id is made of plain characters, and a program is found on ``PATH`` without the current folder.
"""

import asyncio
import os
import re
import shlex
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.app import App, SuspendNotSupported

from acode_tui.domain.entities import Artifact, ToolCallGraph
from acode_tui.domain.states import ArtifactType
from acode_tui.processes import find_program
from acode_tui.tui.run.nodes import Node

_RESUMING: dict[str, tuple[str, ...]] = {
    "claude-code": ("claude", "--resume"),
    "codex": ("codex", "resume"),
    "copilot": ("copilot", "--resume"),
    "gemini": ("gemini", "--resume"),
    "opencode": ("opencode", "--session"),
    "openhands": ("openhands", "--resume"),
    "pi": ("pi", "--session"),
}
"""The command of each agent that goes on with a session, whose id follows."""

_OF_FILES = (ArtifactType.FILE_CONTENT, ArtifactType.FILE_WRITE, ArtifactType.FILE_DIFF)
_PLAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_PATH_PARAMETERS = ("file_path", "path", "notebook_path", "filePath", "filename", "target_file")


@dataclass(frozen=True, slots=True)
class ResumeCommand:
    """The agent's command, and the folder in which the run was; None where it does not exist here."""

    arguments: tuple[str, ...]
    folder: Path | None

    @property
    def text(self) -> str:
        """The command for a shell."""
        command = shlex.join(self.arguments)
        return f"cd {shlex.quote(str(self.folder))} && {command}" if self.folder is not None else command


def resume_command(metadata: Mapping[str, Any] | None) -> ResumeCommand | None:
    """The command that resumes an imported run in its agent; None for an agent that has none, and for any other run."""
    found = metadata or {}
    beginning, native_id = _RESUMING.get(str(found.get("source"))), found.get("nativeId")
    if beginning is None or not isinstance(native_id, str) or not _PLAIN_ID.fullmatch(native_id):
        return None
    return ResumeCommand((*beginning, native_id), _folder(found.get("cwd")))


def path_of(node: Node, metadata: Mapping[str, Any] | None) -> Path | None:
    """The file that a call acted on, or whose content an artifact is; None where the node names none.

    A relative path is one of the run's folder.
    """
    named = ""
    if isinstance(node, Artifact):
        named = node.name.removesuffix(".diff") if node.type in _OF_FILES else ""
    elif isinstance(node, ToolCallGraph) and isinstance(node.parameters, dict):
        texts = (node.parameters.get(name) for name in _PATH_PARAMETERS)
        named = next((text for text in texts if isinstance(text, str) and text), "")
    if not named or "\0" in named:
        return None
    folder = _folder((metadata or {}).get("cwd"))
    path = Path(named)
    if path.is_absolute():
        return path
    return folder / path if folder is not None else None


def editor_command(path: Path, environ: Mapping[str, str] = os.environ) -> list[str] | None:
    """The user's editor (``VISUAL``, ``EDITOR``, else vi) with an absolute path; None where it is not installed."""
    try:
        words = shlex.split(environ.get("VISUAL") or environ.get("EDITOR") or "vi")
    except ValueError:
        return None
    if not words:
        return None
    program = words[0] if os.path.isabs(words[0]) else find_program(words[0], environ)
    return [program, *words[1:], str(path)] if program is not None else None


async def run_outside(app: App[Any], arguments: Sequence[str], folder: Path | None = None) -> str:
    """Leave the terminal to a program until it ends. Empty, or the reason why it could not be started."""

    def ignore(*_: object) -> None:
        """A ctrl+c in the program is the program's."""

    try:
        with app.suspend(), app.batch_update():
            before = signal.signal(signal.SIGINT, ignore)
            try:
                process = await asyncio.create_subprocess_exec(*arguments, cwd=folder)
                await process.wait()
            finally:
                signal.signal(signal.SIGINT, before)
    except SuspendNotSupported:
        return "this terminal cannot be left to another program"
    except OSError as error:
        return f"{arguments[0]}: {error.strerror or error}"
    return ""


def _folder(value: object) -> Path | None:
    if not isinstance(value, str) or not os.path.isabs(value) or "\0" in value:
        return None
    return Path(value) if os.path.isdir(value) else None
