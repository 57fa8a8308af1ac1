"""Imports transcripts of other agents as runs. Importing the same transcript again gives the same rows.

The importer is loaded on first use, so that the second process that reads for it starts sooner.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from acode_tui.ingest.discover import FoundTranscript, default_roots, discover
from acode_tui.ingest.registry import formats

if TYPE_CHECKING:
    from acode_tui.ingest.importer import ImportIssue, ImportProgress, ImportReport, import_transcripts

_OF_IMPORTER = ("ImportIssue", "ImportProgress", "ImportReport", "import_transcripts")

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
    if name not in _OF_IMPORTER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.importer"), name)
