"""The formats that can be read. Each is a folder with one implementation of ``TranscriptFormat``, listed here; those
of other packages follow.

The first lines of a file decide its format; its path is only a hint for listings.
"""

from acode_tui.domain.errors import IngestError
from acode_tui.ingest.added_formats import added_formats
from acode_tui.ingest.atif.format import Atif
from acode_tui.ingest.claude.format import ClaudeCode
from acode_tui.ingest.codex.format import Codex
from acode_tui.ingest.copilot.format import Copilot
from acode_tui.ingest.format import TranscriptFormat
from acode_tui.ingest.gemini.format import Gemini
from acode_tui.ingest.opencode.format import OpenCode
from acode_tui.ingest.openhands.format import OpenHands
from acode_tui.ingest.otlp.format import Otlp
from acode_tui.ingest.pi.format import Pi
from acode_tui.ingest.swe_agent.format import SweAgent


def formats() -> dict[str, TranscriptFormat]:
    """Every format by name, in the order in which they are asked: oldest files of Codex have the plainest records.

    One of another package that has the name of one here is left out.
    """
    found: tuple[TranscriptFormat, ...] = (
        ClaudeCode(),
        Copilot(),
        Gemini(),
        OpenCode(),
        OpenHands(),
        Pi(),
        Codex(),
        Atif(),
        SweAgent(),
        Otlp(),
    )
    known = {format.name: format for format in found}
    return known | {format.name: format for format in added_formats() if format.name not in known}


def format_named(name: str) -> TranscriptFormat:
    """The format of this name. Raises IngestError, which lists the known names."""
    known = formats()
    if name not in known:
        raise IngestError(f"unknown transcript format {name!r}", hint=f"formats: {', '.join(known)}")
    return known[name]
