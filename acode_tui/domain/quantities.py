"""Every size, count, duration and relative time that a person reads is formatted here. JSON is never formatted.

Built on humanize, which is imported on first use: it costs about 10 ms, and ``--help`` prints no quantity. The same
argument always gives the same text: no locale is activated, and ``now`` comes in by argument.
"""

from datetime import datetime, timedelta

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def size(count: float) -> str:
    """Bytes in decimal units, as disks and networks are sold: ``312 B``, ``4.2 kB``, ``4.2 MB``."""
    from humanize import naturalsize

    return f"{int(count)} B" if abs(count) < 1_000 else naturalsize(count)


def number(count: float) -> str:
    """A count with thousands separators: ``4,200``. A float is rounded to a whole number."""
    whole = round(count)
    if abs(whole) < 1_000:
        # Nothing to separate: most commands print no larger count, and need not import humanize for it.
        return str(whole)
    from humanize import intcomma

    return intcomma(whole)


def short_number(count: int, columns: int = 5) -> str:
    """A count in at most so many columns, from 4 on: as ``number`` where that fits, else ``12.3k``, ``1.40M``, rounded
    down, so that it never promises more than there are.
    """
    from humanize import metric

    exact = number(count)
    if len(exact) <= columns:
        return exact
    digits = columns - 2
    dropped = 10 ** (len(str(count)) - digits)
    return metric(count // dropped * dropped, precision=digits).replace(" ", "")


def dollars(cost: float | None) -> str:
    """A cost in US dollars, in cents; a dash where it is not known, and ``<$0.01`` for less than a cent."""
    if cost is None:
        return "-"
    return "<$0.01" if 0 < cost < 0.01 else f"${cost:,.2f}"


def counted(count: int, noun: str) -> str:
    """A count and what it counts: ``1 file``, ``2,000 files``, ``3 retries``."""
    if count == 1:
        return f"1 {noun}"
    return f"{number(count)} {noun[:-1]}ies" if noun.endswith("y") else f"{number(count)} {noun}s"


def duration(taken: timedelta | float) -> str:
    """A measured duration (a float is seconds), in two units at most: ``12 ms``, ``3.4 s``, ``2 min 5 s``, ``3 h 10
    min``, from two days on ``5 d 2 h``. A negative one counts as zero.

    humanize's ``precisedelta`` says "2 minutes and 5 seconds", which no table column and no status line has room for.
    """
    seconds = _seconds(taken)
    if seconds < 1:
        return f"{min(seconds * 1_000, 999):.0f} ms"
    if seconds < 60:
        return f"{min(seconds, 59.9):.1f} s"
    if seconds < 3_600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    if seconds < 172_800:
        return f"{int(seconds // 3_600)} h {int(seconds % 3_600 // 60)} min"
    return f"{int(seconds // 86_400)} d {int(seconds % 86_400 // 3_600)} h"


def short_duration(taken: timedelta | float) -> str:
    """A duration in at most six columns: ``45 s``, ``12 min``, ``3.2 h``, ``4.5 d``; zero is a dash."""
    seconds = _seconds(taken)
    if seconds < 1:
        return "<1 s" if seconds > 0 else "–"
    if seconds < 3_600:
        return span(seconds)
    if seconds < 86_400:
        return f"{seconds / 3_600:.1f} h"
    return f"{seconds / 86_400:.1f} d" if seconds < 864_000 else span(seconds)


def span(taken: timedelta | float) -> str:
    """A duration (a float is seconds) in its largest unit, rounded down: ``4 s``, ``38 min``, ``3 h``, ``12 d``, and
    years where the days have five digits, as since 1970. A negative one counts as zero.

    humanize's ``naturaldelta`` says "an hour" where two rows of a column should compare, and takes ten columns more.
    """
    seconds = _seconds(taken)
    if seconds >= 10_000 * 86_400:
        return f"{int(seconds // (365.2425 * 86_400))} y"
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "0 s"


def ago(moment: datetime | None, now: datetime) -> str:
    """How long before ``now``: ``38 min ago``, or ``never`` for None. Less than a second before ``now``, or after it
    (clocks differ), is ``now``.
    """
    if moment is None:
        return "never"
    passed = now - moment
    return "now" if passed < timedelta(seconds=1) else f"{span(passed)} ago"


def countdown(moment: datetime | None, now: datetime) -> str:
    """The time left until a moment, as a clock shows it: ``00:38``, ``1:02:10``; ``now`` when it has come."""
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


def _seconds(taken: timedelta | float) -> float:
    return max(taken.total_seconds() if isinstance(taken, timedelta) else float(taken), 0.0)
