"""Headings between sessions: the day that those below were active or created on, or their state. Pure."""

from collections.abc import Sequence
from datetime import datetime, tzinfo

from acode_tui.domain.entities import SessionSummary
from acode_tui.storage.cursors import SortKey
from acode_tui.tui.style.palette import SESSION
from acode_tui.tui.style.times import day


def headings(sessions: Sequence[SessionSummary], sort: SortKey, now: datetime, zone: tzinfo | None) -> dict[str, str]:
    """The heading above each session that begins another group than the one before, by the session's id."""
    found: dict[str, str] = {}
    last = ""
    for session in sessions:
        said = _group(session, sort, now, zone)
        if said != last:
            found[session.id] = last = said
    return found


def _group(session: SessionSummary, sort: SortKey, now: datetime, zone: tzinfo | None) -> str:
    if sort == "state":
        mark = SESSION.get(session.state)
        return mark.word if mark is not None else str(session.state)
    stamp = session.updated_at if sort == "updated" else session.created_at
    return day(stamp.astimezone(zone).date(), now.astimezone(zone).date())
