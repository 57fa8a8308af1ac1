"""What both databases share in answering a search: the request, its cursor, and the hits of a run. Pure."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from acode_tui.domain.clock import format_time, parse_time
from acode_tui.domain.entities import Session
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.search.facts import facts_of
from acode_tui.domain.search.hits import Found
from acode_tui.domain.search.query import Query, parse_query
from acode_tui.storage.cursors import check_page
from acode_tui.storage.search_ports import SearchedSession, SearchHit, SearchPage


class SearchPosition(msgspec.Struct, frozen=True, array_like=True):
    """A position between two hits: the run, by its last change and id, and how many of its hits come before."""

    stamp: str
    id: str
    shown: int


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


def encode_search_cursor(session: Session, shown: int) -> str:
    """The cursor after the first ``shown`` hits of a run."""
    position = SearchPosition(format_time(session.updated_at), session.id, shown)
    return urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def decode_search_cursor(cursor: str) -> SearchPosition:
    """The position that a cursor names. Raises ValidationError if it is not one."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        position = msgspec.json.decode(urlsafe_b64decode(padded), type=SearchPosition)
        parse_time(position.stamp)
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


def search_page(
    runs: Iterable[tuple[Session, list[Found]]], request: SearchRequest, *, total: int | None = None
) -> SearchPage:
    """The page that a request asks for.

    ``runs`` are matching runs in order with their hits, from the run of the request's position on; no more of them are
    taken than the page needs.
    """
    hits: list[SearchHit] = []
    position = request.after
    last: tuple[Session, int] | None = None
    for session, found in runs:
        here = position is not None and (position.id, position.stamp) == (session.id, format_time(session.updated_at))
        skipped = position.shown if here and position is not None else 0
        for index, hit in enumerate(hits_of(session, found[skipped:]), skipped + 1):
            if len(hits) == request.limit and last is not None:
                return SearchPage(hits=tuple(hits), next_cursor=encode_search_cursor(*last), total=total)
            hits.append(hit)
            last = (session, index)
    return SearchPage(hits=tuple(hits), total=total)
