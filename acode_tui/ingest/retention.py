"""Which of the transcripts found their agent is about to delete. What is imported stays in the workspace."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from acode_tui.ingest.discover import UNKNOWN, FoundTranscript
from acode_tui.ingest.registry import formats

SOON = timedelta(days=7)


def count_ending(found: Iterable[FoundTranscript], now: datetime) -> int:
    """The number of transcripts that end within ``SOON``, or are due already.

    Their age is that of their last write, by which the agents decide.
    """
    known = formats()
    kept: dict[tuple[str, str], timedelta | None] = {}
    count = 0
    for item in found:
        if item.problem is not None or item.format == UNKNOWN:
            continue
        place = (item.format, str(item.path.parent))
        if place not in kept:
            kept[place] = known[item.format].keeps(item.path)
        limit = kept[place]
        if limit is not None and item.mtime_ns / 1e9 <= (now - limit + SOON).timestamp():
            count += 1
    return count
