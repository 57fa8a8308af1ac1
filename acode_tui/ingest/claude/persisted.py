"""Outputs that are too large for the transcript: it holds their beginning, and a file beside it all of them.

The text names the file (``<persisted-output>``, 2.1.20 on), or ``toolUseResult.persistedOutputPath`` does. It is read
only where it is in the folder of the session's own project.
"""

import re
from pathlib import Path
from typing import NamedTuple

FOLDER = "tool-results"
MAX_BYTES = 32 * 1024 * 1024
_NAMED = re.compile(r"^<persisted-output>.*?[Ff]ull output saved to:?\s*(\S[^\n]*)", re.DOTALL)


class Persisted(NamedTuple):
    """An output in a file of its own. ``content`` is None where the file is not there."""

    name: str
    content: str | None = None
    is_whole: bool = False


def named_file(text: str) -> str:
    """The file that the text of a result names; empty where it names none."""
    if not text.startswith("<persisted-output>"):
        return ""
    found = _NAMED.match(text[:2_000])
    return found.group(1).strip() if found is not None else ""


def read_persisted(named: str, transcript: Path) -> Persisted:
    """The file, where the text says that it is, or beside a transcript that was moved.

    A transcript may name any file, and a link may lead anywhere: only files in ``tool-results`` of the transcript's own
    project are read.
    """
    file = Path(named)
    project, session = transcript.parent, transcript.name.removesuffix(".jsonl")
    if "subagents" in project.parts:
        index = project.parts.index("subagents")
        project, session = Path(*project.parts[: max(index - 1, 0)]), project.parts[max(index - 1, 0)]
    for candidate in (file, project / session / FOLDER / file.name):
        try:
            found = candidate.resolve()
            if found.parent.name != FOLDER or not found.is_relative_to(project.resolve()) or not found.is_file():
                continue
            with open(found, "rb") as source:
                data = source.read(MAX_BYTES + 1)
        except (OSError, ValueError, RuntimeError):
            continue
        return Persisted(file.name, data[:MAX_BYTES].decode("utf-8", "replace"), len(data) <= MAX_BYTES)
    return Persisted(file.name)
