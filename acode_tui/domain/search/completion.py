"""What may follow in a query that is being typed: the name of a field, or one of its values. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from acode_tui.domain.display import clean
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.search.query import FIELDS, FLAGS, parts_of, quote
from acode_tui.domain.search.tokens import fold
from acode_tui.domain.states import SessionState

STORED_FIELDS = ("agent", "project", "model", "branch", "user", "tool", "file")
"""The fields whose values are those of the stored runs."""

MAX_VALUE_CHARS = 200

_SPANS = ("1d", "7d", "30d", "90d")
_FIXED: dict[str, tuple[str, ...]] = {
    "state": tuple(SessionState),
    "is": FLAGS,
    "since": _SPANS,
    "before": _SPANS,
}


class Typed(NamedTuple):
    """The end of a query that is being typed: the beginning of a field's name, or of the value of ``field``.

    It stands from ``start`` on.
    """

    start: int
    text: str
    field: str = ""


class Proposal(NamedTuple):
    """What a part may become: how it is shown, and the whole query with it."""

    label: str
    query: str


def typed_at_end(query: str) -> Typed | None:
    """What the end of a query begins; None after a space, after a closed quote, and where it is no query."""
    try:
        parts = parts_of(query)
    except ValidationError:
        return None
    last = parts[-1] if parts else None
    if last is None or last.end < len(query) or last.closed:
        return None
    if last.field:
        return Typed(last.value_start, last.value, last.field)
    return None if last.quoted else Typed(last.value_start, last.value)


def proposals(query: str, stored: Sequence[str] = ()) -> list[Proposal]:
    """What the end of a query may become, those that begin as it does first; ``stored`` are values of its field."""
    typed = typed_at_end(query)
    if typed is None:
        return []
    before = query[: typed.start]
    if not typed.field:
        found = [f"{name}:" for name in FIELDS if name.startswith(typed.text.lower())]
        return [Proposal(name, before + name) for name in found]
    values = _FIXED.get(typed.field) or [value for value in stored if _can_be_typed(value)]
    wanted = fold(typed.text)
    folded = [(fold(value), value) for value in values]
    begin = [value for text, value in folded if text.startswith(wanted)]
    hold = [value for text, value in folded if wanted in text and not text.startswith(wanted)]
    fitting = [*begin, *hold]
    if fitting == [typed.text]:
        return []  # it is typed already
    return [Proposal(value, f"{before}{_as_value(value)} ") for value in fitting]


def _can_be_typed(value: str) -> bool:
    """Whether an input line can hold a value: recorded text may have control characters, or be very long."""
    return 0 < len(value.strip()) <= MAX_VALUE_CHARS and clean(value) == value


def _as_value(value: str) -> str:
    """A value as it is typed: in quotes where it would not be one word."""
    return value if value and not any(char.isspace() for char in value) and '"' not in value else quote(value)
