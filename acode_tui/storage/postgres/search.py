"""What a search box's text means to PostgreSQL: the words, by prefix, all of them in one title, name or description.

The same meaning as the local full-text search: letters without case or accents, a single ASCII letter only as a whole
word, and words of scripts without spaces anywhere. Words are letters and digits alone, so nothing in a pattern is
regular-expression syntax.
"""

import re
import unicodedata
from collections.abc import Callable

from acode_tui.storage.unspaced import is_unspaced

_WORD = re.compile(r"[^\W_]+")
_START = "(^|[^[:alnum:]])"
_END = "($|[^[:alnum:]])"

FIELDS = {
    "session_tasks": "title",
    "steps": "name",
    "tool_calls": "tool_name",
    "artifacts": "name",
}
"""The searched column of each table below a session."""


def word_patterns(text: str) -> list[str]:
    """A POSIX pattern for each word that a person typed; none if there is no word in it."""
    patterns = []
    for word in _WORD.findall(_folded(text)):
        end = _END if len(word) == 1 and word.isascii() else ""
        start = "" if is_unspaced(word) else _START
        patterns.append(f"{start}{word}{end}")
    return patterns


def text_condition(schema: str, patterns: list[str], parameter: Callable[[object], str]) -> str:
    """The condition on a session ``s``. ``parameter`` takes a value and answers its placeholder."""
    placeholders = [parameter(pattern) for pattern in patterns]

    def matches(column: str) -> str:
        folded = f"regexp_replace(normalize(lower({column}), NFD), '[\\u0300-\\u036f]', '', 'g')"
        return " AND ".join(f"{folded} ~ {placeholder}" for placeholder in placeholders)

    below = (
        f"EXISTS (SELECT FROM {schema}.{table} AS f WHERE f.session_id = s.id AND {matches(f'f.{column}')})"
        for table, column in FIELDS.items()
    )
    return f"(({matches('s.task_description')}) OR {' OR '.join(below)})"


def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text.lower())
    return "".join(char for char in decomposed if not "\u0300" <= char <= "\u036f")
