"""What both databases share in answering a search: the request, its cursor, and the hits of a run. Pure."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec

from acode_tui.domain.clock import format_time, parse_time
from acode_tui.domain.entities import Session
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.search.facts import facts_of
from acode_tui.domain.search.hits import Found
from acode_tui.domain.search.places import Place
from acode_tui.domain.search.query import Query, parse_query
from acode_tui.storage.cursors import check_page
from acode_tui.storage.search_ports import SearchedSession, SearchHit, SearchPage


class SearchPosition(msgspec.Struct, frozen=True, array_like=True):
    """A position between two hits: the run, by its last change and id, and how many of its hits come before.

    They are counted from the moment ``at`` on, so that none of an earlier one is found again; "" is before all of them.
    """

    stamp: str
    id: str
    shown: int
    at: str = ""


class SearchRequest(msgspec.Struct, frozen=True):
    """A search that can be answered. ``after`` is None for the first page."""

    query: Query
    limit: int
    after: SearchPosition | None


def search_request(query: str, *, limit: int, after: str | None, now: datetime) -> SearchRequest:
    """The request that these arguments make. Raises ValidationError, also for a query without a condition."""
    check_page(limit, after, None)
    parsed = parse_query(query, now=now)
    if parsed.is_empty:
        raise ValidationError("query", "is empty", hint="give a word to search for")
    return SearchRequest(parsed, limit, None if after is None else decode_search_cursor(after))


def encode_search_cursor(session: Session, shown: int, at: datetime | None = None) -> str:
    """The cursor after the first ``shown`` hits of a run, or of its hits from a moment on."""
    position = SearchPosition(format_time(session.updated_at), session.id, shown, "" if at is None else format_time(at))
    return urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def decode_search_cursor(cursor: str) -> SearchPosition:
    """The position that a cursor names. Raises ValidationError if it is not one."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        position = msgspec.json.decode(urlsafe_b64decode(padded), type=SearchPosition)
        parse_time(position.stamp)
        if position.at:
            parse_time(position.at)
        if position.shown < 0:
            raise ValueError
    except (msgspec.DecodeError, binascii.Error, ValueError):
        raise ValidationError("cursor", "is not one that a search gave out", hint="start again without it") from None
    return position


def hits_of(session: Session, found: Iterable[Found]) -> Iterator[SearchHit]:
    """The hits of a run as they are answered."""
    facts = facts_of(session)
    searched = SearchedSession(
        id=session.id, task_description=session.task_description, agent=facts.agent, project=facts.project
    )
    for place, line in found:
        yield SearchHit(
            session_id=place.session_id,
            task_id=place.task_id,
            step_id=place.step_id,
            tool_call_id=place.tool_call_id,
            artifact_id=place.artifact_id,
            kind=place.kind,
            at=place.at,
            snippet=line,
            session=searched,
        )


def places_before(position: SearchPosition | None, session: Session, places: Sequence[Place]) -> int:
    """How many of a run's hits, which begin with the first of the position's moment or before it, come before it."""
    if position is None or (position.stamp, position.id) != (format_time(session.updated_at), session.id):
        return 0
    earlier = sum(format_time(place.at) < position.at for place in places) if position.at else 0
    return earlier + position.shown


def search_page(
    runs: Iterable[tuple[Session, list[Found]]], request: SearchRequest, *, total: int | None = None
) -> SearchPage:
    """The page that a request asks for.

    ``runs`` are matching runs in order with their hits, from the run of the request's position on and of that at least
    from its moment on; no more of them are taken than the page needs.
    """
    hits: list[SearchHit] = []
    last: tuple[Session, int, datetime] | None = None
    for session, found in runs:
        before = places_before(request.after, session, [hit.place for hit in found])
        at, shown = None, 0
        if before and request.after is not None and request.after.at:
            at, shown = parse_time(request.after.at), request.after.shown
        for hit in hits_of(session, found[before:]):
            if len(hits) == request.limit and last is not None:
                return SearchPage(hits=tuple(hits), next_cursor=encode_search_cursor(*last), total=total)
            hits.append(hit)
            at, shown = hit.at, shown + 1 if hit.at == at else 1
            last = (session, shown, at)
    return SearchPage(hits=tuple(hits), total=total)
