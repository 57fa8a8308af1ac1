"""Contents of artifacts from a file, and from a file before and after a change. Nothing here changes a file."""

import difflib
import os
from mimetypes import guess_type
from pathlib import Path

from acode_tui.plain_files import open_plain

MAX_FILE_BYTES = 64 * 1024 * 1024
"""What is read of a file at most: an artifact is cut at ``limits.max_artifact_bytes``, which is less."""

MAX_COMPARED_LINES = 20_000
"""Of both texts together. Beyond that the change is given as one whole replacement: a comparison takes too long."""


def content_of(path: Path) -> tuple[bytes, str]:
    """The bytes of a regular file and its content type. Raises OSError for anything else."""
    # Resolved first: the agent may name a link of its own.
    handle = open_plain(path.resolve(), os.O_RDONLY)
    with open(handle, "rb") as file:
        data = file.read(MAX_FILE_BYTES)
    named, encoding = guess_type(path.name)
    if named is not None and encoding is None:
        return data, named
    return data, "application/octet-stream" if b"\0" in data[:8192] else "text/plain"


def unified_diff(name: str, before: str, after: str) -> str:
    """The change of a text, in unified form; empty if there is none. A new text has an empty ``before``."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    old_name, new_name = f"a/{name}" if before else "/dev/null", f"b/{name}" if after else "/dev/null"
    if len(old) + len(new) > MAX_COMPARED_LINES:
        if before == after:
            return ""
        head = [f"--- {old_name}\n", f"+++ {new_name}\n", f"@@ -{_span(old)} +{_span(new)} @@\n"]
        return "".join(_ended([*head, *(f"-{line}" for line in old), *(f"+{line}" for line in new)]))
    return "".join(_ended(list(difflib.unified_diff(old, new, old_name, new_name))))


def _span(lines: list[str]) -> str:
    return f"1,{len(lines)}" if lines else "0,0"


def _ended(lines: list[str]) -> list[str]:
    """The lines of a diff, each with an end of line: the last one of a file may have none."""
    return [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines]
