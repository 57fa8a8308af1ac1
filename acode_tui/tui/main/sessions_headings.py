"""Headings between the rows of the session table: the day of the rows below, or their state. Pure."""

from collections.abc import Sequence
from datetime import datetime, tzinfo

from acode_tui.domain.entities import SessionSummary
from acode_tui.storage.cursors import FIGURES, SortKey
from acode_tui.tui.style.palette import SESSION
from acode_tui.tui.style.times import day


def headings(sessions: Sequence[SessionSummary], sort: SortKey, now: datetime, zone: tzinfo | None) -> dict[str, str]:
    """The heading above the first session of each group, by the session's id. None where the order is by a figure."""
    if sort in FIGURES:
        return {}
    found: dict[str, str] = {}
    last = ""
    for session in sessions:
        group = _group(session, sort, now, zone)
        if group != last:
            found[session.id] = last = group
    return found


def _group(session: SessionSummary, sort: SortKey, now: datetime, zone: tzinfo | None) -> str:
    if sort == "state":
        mark = SESSION.get(session.state)
        return mark.word if mark is not None else str(session.state)
    stamp = session.updated_at if sort == "updated" else session.created_at
    return day(stamp.astimezone(zone).date(), now.astimezone(zone).date())
