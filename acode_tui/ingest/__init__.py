"""Importing what other agents recorded: Claude Code and Codex transcripts become runs, again and again the same."""

from acode_tui.ingest.discover import FoundTranscript, default_roots, discover
from acode_tui.ingest.registry import formats
from acode_tui.ingest.service import ImportIssue, ImportProgress, ImportReport, import_transcripts

__all__ = [
    "FoundTranscript",
    "ImportIssue",
    "ImportProgress",
    "ImportReport",
    "default_roots",
    "discover",
    "formats",
    "import_transcripts",
]
