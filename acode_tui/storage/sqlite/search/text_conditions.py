"""Conditions of SQL that a stored text meets if it may have the words of a query.

SQLite tests a text in a part of the time that its row takes on its way to Python, and most rows have no such word.
``LIKE`` knows ASCII only: a text with other letters meets them, too, and one with an escape of JSON for a letter.
"""

from collections.abc import Sequence

from acode_tui.domain.search.text_filter import TextFilter

MOST_TOKENS = 3
"""Most tokens of a term that are looked for in their order: the longest ones, which most texts lack."""

Condition = tuple[str, tuple[str, ...]]
"""A condition with `` AND `` before it, or nothing, and the values of its parameters."""


def may_hold(filters: Sequence[TextFilter], texts: Sequence[Sequence[str]], *, json: Sequence[str] = ()) -> Condition:
    """The condition that one of the texts may pass one of the filters.

    A text is one column, or several of which the first is never NULL; those in ``json`` are encoded. There is no
    condition where only Python can tell.
    """
    if not _tells(filters):
        return "", ()
    held, values = _held(texts, filters)
    escaped = [rf"{column} LIKE '%\u%'" for column in json]
    others = [_has_others(column) for columns in texts for column in columns]
    return f" AND ({' OR '.join([held, *escaped, *others])})", values


def content_may_hold(filters: Sequence[TextFilter], largest: int) -> Condition:
    """The same for an artifact ``t``. A content that is compressed, larger than that or JSON meets it."""
    if not _tells(filters):
        return "", ()
    content = "CAST(t.content AS TEXT)"
    held, values = _held([("t.name", content)], filters)
    return (
        f" AND (length(t.content) < t.size OR t.size > {largest} OR t.content_type LIKE '%json%' OR {held} "
        f"OR {_has_others('t.name')} OR length(t.content) > length({content}))",
        values,
    )


def _tells(filters: Sequence[TextFilter]) -> bool:
    return bool(filters) and all(each.tests_bytes and each.terms for each in filters)


def _has_others(column: str) -> str:
    """The condition that a text has characters beyond ASCII, or a NUL."""
    return f"length(CAST({column} AS BLOB)) > length({column})"


def _held(texts: Sequence[Sequence[str]], filters: Sequence[TextFilter]) -> Condition:
    """The condition that the texts have each term of one of the filters."""
    every: list[str] = []
    values: list[str] = []
    for each in filters:
        terms: list[str] = []
        for tokens in each.terms:
            held: list[str] = []
            for columns in texts:
                for column, following in zip(columns, (*columns[1:], None), strict=True):
                    held.append(f"{column} LIKE ?")
                    values.append(_pattern(tokens))
                    if following is not None and len(tokens) > 1:
                        # A term may begin in one column and end in another. To join them takes as long as the tests.
                        held.append(f"({following} IS NOT NULL AND {column} LIKE ?)")
                        values.append(f"%{tokens[0]}%")
            terms.append(f"({' OR '.join(held)})")
        every.append(f"({' AND '.join(terms)})")
    return " OR ".join(every), tuple(values)


def _pattern(tokens: Sequence[str]) -> str:
    longest = sorted(range(len(tokens)), key=lambda at: len(tokens[at]), reverse=True)[:MOST_TOKENS]
    return "".join(["%", *(f"{tokens[at]}%" for at in sorted(longest))])
