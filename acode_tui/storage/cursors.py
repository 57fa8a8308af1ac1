"""Opaque page cursors: a place between two rows of an ordering. Pure; the same on both tiers."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Literal

import msgspec

from acode_tui.domain.errors import ValidationError
from acode_tui.domain.times import format_time, parse_time

SortKey = Literal["updated", "created"]


class Place(msgspec.Struct, frozen=True, array_like=True):
    """A row's position: which time the pages are ordered by, that time, and the id that breaks ties."""

    sort: SortKey
    stamp: str
    id: str


def encode_cursor(sort: SortKey, stamp: datetime, row_id: str) -> str:
    """The cursor of a row."""
    return urlsafe_b64encode(msgspec.json.encode(Place(sort, format_time(stamp), row_id))).decode().rstrip("=")


def decode_cursor(cursor: str, sort: SortKey) -> Place:
    """The place that a cursor names. Raises ValidationError if it is not one, or is of another ordering."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        place = msgspec.json.decode(urlsafe_b64decode(padded), type=Place)
        parse_time(place.stamp)
    except (msgspec.DecodeError, binascii.Error, ValueError):
        raise ValidationError("cursor", "is not one that a page gave out", hint="start again without it") from None
    if place.sort != sort:
        raise ValidationError("cursor", f"belongs to pages ordered by {place.sort}", hint="start again without it")
    return place
