"""The dashboard's one way to show a moment, a span, a size and a count. Times are told from the ``now`` given."""

from datetime import date as Date
from datetime import datetime, timedelta, tzinfo

_STEPS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))
ORDERS = {"updated": "last activity", "created": "creation", "state": "state, what waits for you first"}
"""How each order of sessions is called."""

_BYTES = ("B", "KB", "MB", "GB", "TB")


def span(delta: timedelta) -> str:
    """A span in its largest unit: ``4 s``, ``38 min``, ``3 h``, ``12 d``. A negative one counts as nothing."""
    seconds = max(delta.total_seconds(), 0.0)
    for size, unit in _STEPS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "0 s"


def ago(moment: datetime | None, now: datetime) -> str:
    """How long ago, or ``never``. A stamp of the last second, or ahead of this clock, is ``now``."""
    if moment is None:
        return "never"
    delta = now - moment
    return "now" if delta < timedelta(seconds=1) else f"{span(delta)} ago"


def countdown(moment: datetime | None, now: datetime) -> str:
    """What is left until a moment: ``00:38``, ``1:02:10``, or ``now`` when it has come."""
    left = int((moment - now).total_seconds()) if moment is not None else 0
    if left <= 0:
        return "now"
    minutes, seconds = divmod(left, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"


def due_in(moment: datetime | None, now: datetime) -> str:
    """``in 00:38``, or ``due now``."""
    left = countdown(moment, now)
    return "due now" if left == "now" else f"in {left}"


def duration(delta: timedelta) -> str:
    """A measured duration, precise where it is short: ``12 ms``, ``3.4 s``, ``2 min 5 s``, ``3 h 10 min``; from two
    days on ``5 d 2 h``.
    """
    seconds = max(delta.total_seconds(), 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3_600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    if seconds < 172_800:
        return f"{int(seconds // 3_600)} h {int(seconds % 3_600 // 60)} min"
    return f"{int(seconds // 86_400)} d {int(seconds % 86_400 // 3_600)} h"


def short_duration(delta: timedelta) -> str:
    """A duration in at most six columns: ``45 s``, ``12 min``, ``3.2 h``, ``4.5 d``; nothing at all is a dash."""
    seconds = delta.total_seconds()
    if seconds < 1:
        return "<1 s" if seconds > 0 else "–"
    if seconds < 60:
        return f"{int(seconds)} s"
    if seconds < 3_600:
        return f"{int(seconds // 60)} min"
    if seconds < 86_400:
        return f"{seconds / 3_600:.1f} h"
    return f"{seconds / 86_400:.1f} d" if seconds < 864_000 else f"{int(seconds // 86_400)} d"


def clock(moment: datetime, zone: tzinfo | None) -> str:
    """The time of day in a zone; None is the machine's own."""
    return f"{moment.astimezone(zone):%H:%M:%S}"


def date(moment: datetime, zone: tzinfo | None) -> str:
    """The date in a zone."""
    return f"{moment.astimezone(zone):%Y-%m-%d}"


def stamp(moment: datetime, zone: tzinfo | None) -> str:
    """Date and time of day in a zone."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def fine_stamp(moment: datetime, zone: tzinfo | None) -> str:
    """Date and time of day to the millisecond, where a second does not tell two apart."""
    return f"{stamp(moment, zone)}.{moment.microsecond // 1000:03}"


def size(count: int) -> str:
    """Bytes in decimal units: ``312 B``, ``4.2 MB``."""
    value = float(count)
    for unit in _BYTES:
        if value < 1000 or unit == _BYTES[-1]:
            break
        value /= 1000
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def number(count: int) -> str:
    """A count with thousands set off."""
    return f"{count:,}"


def counted(count: int, thing: str) -> str:
    """``1 task``, ``12 tasks``."""
    return f"{number(count)} {thing}{'' if count == 1 else 's'}"


def short_number(count: int) -> str:
    """A count in at most five columns: ``9,999``, ``12.3k``, ``1.4M``."""
    if count < 10_000:
        return f"{count:,}"
    if count < 1_000_000:
        return f"{count / 1_000:.1f}k" if count < 100_000 else f"{count // 1_000}k"
    return f"{count / 1_000_000:.1f}M"


def day(that: Date, today: Date) -> str:
    """A day as one would say it: ``Today``, ``Yesterday``, ``Tuesday 10 March``, with the year where it is another."""
    if that == today:
        return "Today"
    if that == today - timedelta(days=1):
        return "Yesterday"
    year = "" if that.year == today.year else f" {that.year}"
    return f"{_DAYS[that.weekday()]} {that.day} {_MONTHS[that.month - 1]}{year}"


# Not strftime: its names follow the locale, and everything else here is in English.
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
