"""Changes one value in the text of a configuration file and keeps everything else, including comments.

Pure: takes and returns text. The result is parsed again; if a line edit is wrong for the layout of the file (dotted
keys, inline tables, values over several lines), the file is generated again without its comments.
"""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from acode_tui.config import keys

_HEADER = re.compile(r"^\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")


def set_value(text: str, key: keys.Key, value: Any) -> str:
    """The text with ``key`` set to ``value``. The text must be valid TOML."""
    wanted = tomllib.loads(text)
    node = wanted
    for part in key.section.split("."):
        node = node.setdefault(part, {})
    node[key.leaf] = _plain(value)
    edited = _edit_lines(text, key, keys.format_value(value))
    try:
        if tomllib.loads(edited) == wanted:
            return edited
    except tomllib.TOMLDecodeError:
        pass  # the line edit is wrong for this layout: generate the file below
    import tomli_w

    return tomli_w.dumps(wanted)


def unset_value(text: str, key: keys.Key) -> str:
    """The text without ``key``, unchanged if it does not set it. The text must be valid TOML."""
    wanted = tomllib.loads(text)
    node: Any = wanted
    for part in key.section.split("."):
        node = node.get(part, {}) if isinstance(node, dict) else {}
    if not isinstance(node, dict) or key.leaf not in node:
        return text
    del node[key.leaf]
    lines = text.splitlines()
    present = re.compile(rf"^\s*{re.escape(key.leaf)}\s*=")
    for index, section, line in _sections(lines):
        if section == key.section and present.match(line):
            edited = "".join(f"{each}\n" for each in (*lines[:index], *lines[index + 1 :]))
            try:
                if tomllib.loads(edited) == wanted:
                    return edited
            except tomllib.TOMLDecodeError:
                pass  # a value over several lines: generate the file below
    import tomli_w

    return tomli_w.dumps(wanted)


def template() -> str:
    """A new file with every setting, its meaning and its default, commented out."""
    lines = [
        "# Settings of acode-tui for this workspace. Every line shows the default; remove the # to change it.",
        "# Passwords are not allowed here; they come from environment variables.",
    ]
    section = None
    for key in keys.table().values():
        if key.section != section:
            section = key.section
            lines += ["", f"[{section}]"]
        value = keys.format_value(key.default)
        default = "" if value else f" Default: {key.default_text.replace('`', '')}."
        lines.append(f"# {key.doc.replace('`', '')} Allowed: {key.allowed}.{default}")
        lines.append(f"# {key.leaf} = {value or '...'}")
    return "\n".join(lines) + "\n"


def _edit_lines(text: str, key: keys.Key, value: str) -> str:
    lines = text.splitlines()
    new = f"{key.leaf} = {value}"
    present = re.compile(rf"^\s*{re.escape(key.leaf)}\s*=")
    commented = re.compile(rf"^\s*#\s*{re.escape(key.leaf)}\s*=")
    header = None
    for index, section, line in _sections(lines):
        if section != key.section:
            continue
        if _HEADER.match(line):
            header = index
        elif present.match(line):
            comment = re.search(r"\s+#[^\"']*$", line)
            lines[index] = new + (comment.group() if comment else "")
            return "\n".join(lines) + "\n"
    if header is None:
        return "\n".join([*lines, *([""] if lines else []), f"[{key.section}]", new]) + "\n"
    for index, section, line in _sections(lines):
        if section == key.section and commented.match(line):
            lines[index] = new
            return "\n".join(lines) + "\n"
    lines.insert(header + 1, new)
    return "\n".join(lines) + "\n"


def _sections(lines: list[str]) -> Iterator[tuple[int, str, str]]:
    section = ""
    for index, line in enumerate(lines):
        found = _HEADER.match(line)
        if found:
            section = re.sub(r"[\s\"']", "", found.group(1))
        yield index, section, line


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
