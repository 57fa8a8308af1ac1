"""Opaque page cursors: a position between two rows of an ordering. Pure; the same on both tiers."""

import binascii
import re
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from acode_tui.domain.clock import format_time, parse_time
from acode_tui.domain.entities import Session
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.states import STATE_ORDER

SortKey = Literal["updated", "created", "state", "took", "failed", "tokens", "cost", "calls"]

FIGURES: tuple[SortKey, ...] = ("took", "failed", "tokens", "cost", "calls")
"""Orders by a figure of a run, the largest first: how long it took, how many of its calls failed, its tokens, what it
cost, how many calls it made.
"""

MAX_PAGE = 200
"""Most rows of a page."""

_NO_ID = "00000000-0000-0000-0000-000000000000"
_FIRST_STAMP = datetime(1, 1, 1, tzinfo=UTC)
_LEAST_FIGURE = f"{0:019d}.{0:019d}"
_FIGURE = re.compile(r"[0-9]{19}\.[0-9]{19}")


class CursorPosition(msgspec.Struct, frozen=True, array_like=True):
    """The position of a row: the ordering of the pages, the row's time or figure in it, the id that breaks ties, and
    the state where pages are ordered by it.
    """

    sort: SortKey
    stamp: str
    id: str
    state: str = ""

    @property
    def is_end(self) -> bool:
        """Whether no row comes after it."""
        return self.id == _NO_ID and self.stamp in (format_time(_FIRST_STAMP), _LEAST_FIGURE)


def check_page(limit: int, after: str | None, before: str | None) -> None:
    """Raise ValidationError for a bad limit, a cursor of the wrong type, or two cursors."""
    if not isinstance(limit, int):
        raise ValidationError("limit", f"must be an integer, not {type(limit).__name__}")
    for name, cursor in (("after", after), ("before", before)):
        if cursor is not None and not isinstance(cursor, str):
            raise ValidationError(name, f"must be a cursor or None, not {type(cursor).__name__}")
    if not 1 <= limit <= MAX_PAGE:
        raise ValidationError("limit", f"is {limit}; a page holds 1 to {MAX_PAGE}")
    if after is not None and before is not None:
        raise ValidationError("cursor", "after and before cannot be given together")


def encode_cursor(sort: SortKey, stamp: datetime, row_id: str, state: str = "") -> str:
    """The cursor of a row; ``state`` is its state where pages are ordered by that."""
    return _encoded(CursorPosition(sort, format_time(stamp), row_id, state if sort == "state" else ""))


def _encoded(place: CursorPosition) -> str:
    return urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def figure_position(value: int, rowid: int) -> str:
    """A figure and the row that has it, as text of fixed width: text order is the order of the pair."""
    return f"{max(value, 0):019d}.{rowid:019d}"


def split_figure(position: str) -> tuple[int, int]:
    """The figure and the row of a ``figure_position``."""
    value, _, rowid = position.partition(".")
    return int(value), int(rowid)


def figure_cursor(sort: SortKey, position: str, row_id: str) -> str:
    """The cursor of a row in the order of a figure."""
    return _encoded(CursorPosition(sort, position, row_id))


def cursor_of(sort: SortKey, session: Session) -> str:
    """The cursor of a session in an ordering."""
    stamp = session.created_at if sort == "created" else session.updated_at
    return encode_cursor(sort, stamp, session.id, session.state)


def end_cursor(sort: SortKey) -> str:
    """The cursor after every row: the page before it is the last one."""
    if sort in FIGURES:
        return figure_cursor(sort, _LEAST_FIGURE, _NO_ID)
    return encode_cursor(sort, _FIRST_STAMP, _NO_ID, STATE_ORDER[-1])


def cursor_above(sort: SortKey, session: Session) -> str:
    """The cursor just before a session: the page after it begins with that session. Its id must be a UUID."""
    stamp = session.created_at if sort == "created" else session.updated_at
    number = uuid.UUID(session.id).int + 1
    if number >= 1 << 128:
        return encode_cursor(sort, stamp + timedelta(microseconds=1), _NO_ID, session.state)
    return encode_cursor(sort, stamp, str(uuid.UUID(int=number)), session.state)


def decode_cursor(cursor: str, sort: SortKey) -> CursorPosition:
    """The position that a cursor names. Raises ValidationError if it is not one, or is of another ordering."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        place = msgspec.json.decode(urlsafe_b64decode(padded), type=CursorPosition)
        if place.sort not in FIGURES:
            parse_time(place.stamp)
        elif _FIGURE.fullmatch(place.stamp) is None:
            raise ValueError
    except (msgspec.DecodeError, binascii.Error, ValueError):
        raise ValidationError("cursor", "is not one that a page gave out", hint="start again without it") from None
    if place.sort != sort:
        raise ValidationError("cursor", f"belongs to pages ordered by {place.sort}", hint="start again without it")
    if place.state not in (STATE_ORDER if sort == "state" else ("",)):
        raise ValidationError("cursor", "is not one that a page gave out", hint="start again without it")
    return place
