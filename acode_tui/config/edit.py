"""Changes one value in a configuration file's text and leaves the rest, comments too, as its owner wrote it.

Pure: text in, text out. What the edit gives is parsed again; where a file is laid out in a way that a line edit would
get wrong (dotted keys, inline tables, values over several lines), the file is written anew without its comments.
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
        pass  # the line edit does not suit this file's layout: write it anew below
    import tomli_w

    return tomli_w.dumps(wanted)


def unset_value(text: str, key: keys.Key) -> str:
    """The text without ``key``; as it was where it does not set it. The text must be valid TOML."""
    wanted = tomllib.loads(text)
    node: Any = wanted
    for part in key.section.split("."):
        node = node.get(part, {}) if isinstance(node, dict) else {}
    if not isinstance(node, dict) or key.leaf not in node:
        return text
    del node[key.leaf]
    lines = text.splitlines()
    present = re.compile(rf"^\s*{re.escape(key.leaf)}\s*=")
    for place, section, line in _sections(lines):
        if section == key.section and present.match(line):
            edited = "".join(f"{each}\n" for each in (*lines[:place], *lines[place + 1 :]))
            try:
                if tomllib.loads(edited) == wanted:
                    return edited
            except tomllib.TOMLDecodeError:
                pass  # a value over several lines: the file is written anew below
    import tomli_w

    return tomli_w.dumps(wanted)


def template() -> str:
    """A new file: every setting with its meaning and default, commented out."""
    lines = [
        "# Settings of acode-tui for this workspace. Every line shows the default; take the # away to change it.",
        "# Passwords do not belong here: they come from environment variables.",
    ]
    section = None
    for key in keys.table().values():
        if key.section != section:
            section = key.section
            lines += ["", f"[{section}]"]
        shown = keys.format_value(key.default)
        default = "" if shown else f" Default: {key.default_text.replace('`', '')}."
        lines.append(f"# {key.doc.replace('`', '')} Allowed: {key.allowed}.{default}")
        lines.append(f"# {key.leaf} = {shown or '...'}")
    return "\n".join(lines) + "\n"


def _edit_lines(text: str, key: keys.Key, shown: str) -> str:
    lines = text.splitlines()
    new = f"{key.leaf} = {shown}"
    present = re.compile(rf"^\s*{re.escape(key.leaf)}\s*=")
    commented = re.compile(rf"^\s*#\s*{re.escape(key.leaf)}\s*=")
    header = None
    for place, section, line in _sections(lines):
        if section != key.section:
            continue
        if _HEADER.match(line):
            header = place
        elif present.match(line):
            comment = re.search(r"\s+#[^\"']*$", line)
            lines[place] = new + (comment.group() if comment else "")
            return "\n".join(lines) + "\n"
    if header is None:
        return "\n".join([*lines, *([""] if lines else []), f"[{key.section}]", new]) + "\n"
    for place, section, line in _sections(lines):
        if section == key.section and commented.match(line):
            lines[place] = new
            return "\n".join(lines) + "\n"
    lines.insert(header + 1, new)
    return "\n".join(lines) + "\n"


def _sections(lines: list[str]) -> Iterator[tuple[int, str, str]]:
    section = ""
    for place, line in enumerate(lines):
        found = _HEADER.match(line)
        if found:
            section = re.sub(r"[\s\"']", "", found.group(1))
        yield place, section, line


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
