"""The dashboard's one way to show a moment, in the time zone given. Quantities: ``domain/quantities.py``."""

from datetime import date as Date
from datetime import datetime, timedelta, tzinfo

ORDERS = {"updated": "last activity", "created": "creation", "state": "state, what waits for you first"}
"""How each order of sessions is called."""


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
