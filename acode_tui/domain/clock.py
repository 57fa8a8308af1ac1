"""Clocks that are passed as arguments, and the text form of timestamps.

``MonotonicClock`` never repeats a stamp and never goes back: ``updated_at`` stamps decide conflicts and are part of
idempotency keys, so a workspace issues each of them once. The writer persists ``last`` in the transaction that used it
and reads it again before the next one, so the guarantee holds across processes and restarts.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from acode_tui.domain.errors import ValidationError

WallClock = Callable[[], datetime]
"""Returns the current time as an aware datetime."""

TICK = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

LAST_DAY = datetime(9999, 12, 31, tzinfo=UTC)
"""No stamp may be on this day: a row with the largest possible stamp could never change again."""

ALLOWED_AHEAD = timedelta(minutes=5)
"""How far a stamp of another machine, or the clock that was stored, may be ahead of this machine's and the server's
time. Further ahead it is somebody's wrong clock: never followed, and shown."""


def system_clock() -> datetime:
    """The machine's UTC time."""
    return datetime.now(UTC)


class MonotonicClock:
    """Issues stamps of ``max(wall clock, last + 1 microsecond)``.

    Not thread-safe: only the writer's thread uses it.
    """

    __slots__ = ("_last", "_wall")

    def __init__(self, wall: WallClock = system_clock, last: datetime = EPOCH) -> None:
        self._wall = wall
        self._last = last

    @property
    def last(self) -> datetime:
        """The latest stamp issued or seen."""
        return self._last

    def tick(self) -> datetime:
        """Issue a stamp later than every earlier one."""
        now = self._wall()
        self._last = now if now > self._last else self._last + TICK
        return self._last

    def raise_to(self, seen: datetime) -> None:
        """Make the next stamp later than ``seen``, a stamp that another machine issued.

        The caller has checked ``seen``, which lies at most ``ALLOWED_AHEAD`` ahead: see ``domain.incoming``. A stamp
        that nothing can follow is not followed in any case.
        """
        if self._last < seen < LAST_DAY:
            self._last = seen

    def set_to(self, stored: datetime) -> None:
        """Go on from the last stamp that the workspace has stored, be it earlier than this clock's own.

        A stored stamp that nothing can follow counts as none: the wall clock decides alone.
        """
        self._last = stored if stored < LAST_DAY else EPOCH


def stamp_after(earlier: datetime, now: datetime) -> datetime:
    """The stamp of a row's new version: ``now``, or just after the row's own stamp where that lies in the future.

    A stamp on the last possible day, which a program without checks took over from somebody, is not followed.
    """
    return earlier + TICK if now <= earlier < LAST_DAY else now


def is_ahead(stamp: datetime, *clocks: datetime) -> bool:
    """Whether a stamp is ahead of every one of these clocks by more than is allowed."""
    return stamp - max(clocks) > ALLOWED_AHEAD


_encode = msgspec.json.Encoder().encode


def require_utc(moment: datetime, field: str) -> datetime:
    """The same moment in UTC.

    Raises ValidationError for a naive datetime, which does not say which moment it means.
    """
    if moment.tzinfo is None:
        raise ValidationError(field, "has no time zone", hint="pass an aware datetime such as datetime.now(UTC)")
    try:
        return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    except OverflowError:
        raise ValidationError(field, "lies outside the years 1 to 9999 in UTC") from None


def format_time(moment: datetime) -> str:
    """An aware datetime as ``YYYY-MM-DDTHH:MM:SS.ffffffZ``: fixed width, so text order is time order."""
    if moment.tzinfo is not UTC:
        moment = require_utc(moment, "timestamp")
    # msgspec adds quotes and leaves out a fraction of zero; it is still eight times as fast as isoformat().
    text = _encode(moment).decode()
    return text[1:-1] if len(text) == 29 else text[1:20] + ".000000Z"


def parse_time(text: str) -> datetime:
    """The moment in UTC of a text that ``format_time`` wrote, or of any ISO-8601 text with a time zone.

    Raises ValidationError for anything else.
    """
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        raise ValidationError("timestamp", "is not ISO-8601") from None
    return require_utc(moment, "timestamp")
