"""Formats moments and days in a given time zone. Sizes, counts and durations: ``domain/quantities.py``."""

from datetime import date as Date
from datetime import datetime, timedelta, tzinfo


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
    """Date and time of day in a zone, to the millisecond, for moments within the same second."""
    return f"{stamp(moment, zone)}.{moment.microsecond // 1000:03}"


def day(date_: Date, today: Date) -> str:
    """The name of a day: ``Today``, ``Yesterday``, ``Tuesday 10 March``, with the year if it is not this one."""
    if date_ == today:
        return "Today"
    if date_ == today - timedelta(days=1):
        return "Yesterday"
    year = "" if date_.year == today.year else f" {date_.year}"
    return f"{_DAYS[date_.weekday()]} {date_.day} {_MONTHS[date_.month - 1]}{year}"


# Not strftime: its names follow the locale, and all other text is English.
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
