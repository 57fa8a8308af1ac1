"""Adding the hook to an agent's settings, and removing it: other hooks and settings stay as they are.

A change is planned first, so that it can be shown; nothing is written before ``apply``.
"""

import difflib
import json
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from acode_tui.domain.errors import ConfigError
from acode_tui.files import replacing

CLAUDE_EVENTS = (
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PostToolUse",
    "PermissionRequest",
    "Notification",
    "SubagentStop",
    "Stop",
    "SessionEnd",
)
_SECONDS = 10
"""After which Claude Code goes on without an answer; the hook takes a hundredth of it."""


class Change(NamedTuple):
    """A planned change of one settings file."""

    path: Path
    before: str
    after: str

    @property
    def diff(self) -> str:
        """The change in unified form; empty if there is nothing to change."""
        lines = difflib.unified_diff(
            self.before.splitlines(keepends=True), self.after.splitlines(keepends=True), str(self.path), str(self.path)
        )
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)

    def apply(self) -> None:
        """Write the file whole or not at all. Raises ConfigError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            path = self.path.resolve()
            mode = path.stat().st_mode if path.exists() else None
            with replacing(path) as file:
                file.write(self.after.encode())
            if mode is not None:
                path.chmod(mode & 0o777)
        except OSError as error:
            raise ConfigError(f"{self.path}: {error.strerror or error}", hint="nothing was changed") from error


def plan(
    agent: str, *, program: str, remove: bool, project: Path | None, environ: Mapping[str, str], home: Path
) -> Change:
    """What adds the hook, or removes it. ``project``: in this folder's settings instead of the user's.

    Raises ConfigError if the file cannot be read, or has a setting of another program in its place.
    """
    if agent == "codex":
        if project is not None:
            raise ConfigError("Codex reads notify from the user's settings alone", hint="leave --project out")
        path = Path(environ.get("CODEX_HOME") or home / ".codex") / "config.toml"
        before = _read(path)
        return Change(path, before, _codex(path, before, [program, "hook", "codex"], remove=remove))
    folder = project / ".claude" if project is not None else Path(environ.get("CLAUDE_CONFIG_DIR") or home / ".claude")
    path = folder / "settings.json"
    before = _read(path)
    return Change(path, before, _claude(path, before, shlex.join([program, "hook", "claude-code"]), remove=remove))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint="nothing was changed") from error


def _claude(path: Path, before: str, command: str, *, remove: bool) -> str:
    try:
        settings = json.loads(before) if before.strip() else {}
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON: {error}", hint="nothing was changed; repair it first") from error
    hooks = settings.get("hooks", {}) if isinstance(settings, dict) else None
    if not isinstance(hooks, dict) or not all(isinstance(groups, list) for groups in hooks.values()):
        raise ConfigError(f"{path}: its hooks have a form that is not known", hint="nothing was changed")
    was = json.dumps(settings)
    for event in (*CLAUDE_EVENTS, *(name for name in hooks if name not in CLAUDE_EVENTS)):
        groups = [group for group in map(_without_ours, hooks.get(event, [])) if group is not None]
        if not remove and event in CLAUDE_EVENTS:
            groups.append({"hooks": [{"type": "command", "command": command, "timeout": _SECONDS}]})
        hooks[event] = groups
        if not groups:
            del hooks[event]
    settings["hooks"] = hooks
    if not hooks:
        del settings["hooks"]
    if json.dumps(settings) == was:
        return before
    return json.dumps(settings, indent=2, ensure_ascii=False) + "\n"


def _without_ours(group: Any) -> Any:
    """A group of hooks without this program's; None if that leaves none."""
    if not isinstance(group, dict) or not isinstance(group.get("hooks"), list):
        return group
    kept = [hook for hook in group["hooks"] if not _is_ours(hook)]
    if len(kept) == len(group["hooks"]):
        return group
    return {**group, "hooks": kept} if kept else None


def _is_ours(hook: Any) -> bool:
    command = hook.get("command") if isinstance(hook, dict) else None
    if not isinstance(command, str):
        return False
    try:
        words = shlex.split(command)
    except ValueError:
        return False
    return len(words) == 3 and Path(words[0]).name == "acode-tui" and words[1:] == ["hook", "claude-code"]


def _codex(path: Path, before: str, command: list[str], *, remove: bool) -> str:
    try:
        present = tomllib.loads(before).get("notify")
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}", hint="nothing was changed; repair it first") from error
    ours = isinstance(present, list) and len(present) == 3 and present[1:] == ["hook", "codex"]
    if present is not None and not ours:
        if remove:
            return before
        raise ConfigError(
            f"{path}: notify is set already: {json.dumps(present)}",
            hint=f"Codex runs one program: let yours also run {shlex.join(command)} with the same last argument",
        )
    line = f"notify = {json.dumps(command, ensure_ascii=False)}\n"
    lines = [each for each in before.splitlines(keepends=True) if not (ours and each.lstrip().startswith("notify"))]
    # Before the first table, where a key would be the table's.
    after = "".join(lines) if remove else "".join([line, *lines])
    expected = {key: value for key, value in tomllib.loads(before).items() if key != "notify"}
    try:
        found = tomllib.loads(after)
    except tomllib.TOMLDecodeError:
        found = {}
    if found != (expected if remove else {**expected, "notify": command}):
        raise ConfigError(
            f"{path}: notify cannot be changed without changing more",
            hint=f"set it by hand: {line.strip()}" if not remove else "remove notify by hand",
        )
    return after
