"""What a search box's text means to FTS5: words, matched by prefix, all of them in one title, name or description."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")

FTS_TABLES: dict[str, str] = {
    "sessions_fts": "sessions",
    "session_tasks_fts": "session_tasks",
    "steps_fts": "steps",
    "tool_calls_fts": "tool_calls",
    "artifacts_fts": "artifacts",
}
"""Each full-text index and the table it reads."""


def words(text: str) -> list[str]:
    """The words that a person typed, with accents put together: some keyboards and file systems take them apart."""
    return _WORD.findall(unicodedata.normalize("NFC", text))


def expression_of(found: list[str]) -> str:
    """The MATCH expression for the words that a person typed.

    Every word is quoted, so nothing in it is FTS5 syntax. A single ASCII letter matches only as a whole word:
    as a prefix it would fit nearly everything and help nobody.
    """
    return " ".join(f'"{word}"' if len(word) == 1 and word.isascii() else f'"{word}"*' for word in found)
