"""A query with one of its conditions less: to find out which of them excludes every run. Pure."""

from typing import NamedTuple

from acode_tui.domain.search.query import parts_of

MAX_CONDITIONS = 8


class Relaxed(NamedTuple):
    """A condition as it was typed, the query without it, and the condition alone."""

    condition: str
    without: str
    alone: str


def relaxed(query: str) -> list[Relaxed]:
    """Each condition of a query of up to ``MAX_CONDITIONS``; none for a longer one, which would take long to ask.

    Raises ValidationError for an unknown field.
    """
    parts = parts_of(query)
    if len(parts) > MAX_CONDITIONS:
        return []
    texts = [query[part.start : part.end] for part in parts]
    # A quote that is left open would take in what follows it.
    closed = [f'{text}"' if part.quoted and not part.closed else text for text, part in zip(texts, parts, strict=True)]
    return [Relaxed(text, " ".join([*closed[:at], *closed[at + 1 :]]), closed[at]) for at, text in enumerate(texts)]
