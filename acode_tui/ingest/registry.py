"""The formats that can be read. A format is one folder with one object of the Protocol ``TranscriptFormat``.
Adding one is adding a line here.

Formats are told apart by what their first lines hold; a path is only a hint for listings.
"""

from acode_tui.domain.errors import IngestError
from acode_tui.ingest.claude.format import ClaudeCode
from acode_tui.ingest.codex.format import Codex
from acode_tui.ingest.format import TranscriptFormat


def formats() -> dict[str, TranscriptFormat]:
    """Every format by name."""
    found: tuple[TranscriptFormat, ...] = (ClaudeCode(), Codex())
    return {format.name: format for format in found}


def format_named(name: str) -> TranscriptFormat:
    """The format that ``--format`` names. Raises IngestError with the names there are."""
    known = formats()
    if name not in known:
        raise IngestError(f"unknown transcript format {name!r}", hint=f"formats: {', '.join(known)}")
    return known[name]
