"""Importing what other agents recorded: Claude Code and Codex transcripts become runs, again and again the same.

The import itself is loaded when it is first used: the process that reads for it is up the sooner.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from acode_tui.ingest.discover import FoundTranscript, default_roots, discover
from acode_tui.ingest.registry import formats

if TYPE_CHECKING:
    from acode_tui.ingest.importer import ImportIssue, ImportProgress, ImportReport, import_transcripts

_OF_SERVICE = ("ImportIssue", "ImportProgress", "ImportReport", "import_transcripts")

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


def __getattr__(name: str) -> Any:
    if name not in _OF_SERVICE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.importer"), name)
