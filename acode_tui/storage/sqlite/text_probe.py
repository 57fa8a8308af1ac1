"""Whether texts fit a search, asked of a full-text index in memory with the tokenizer of those on disk.

Asking the indexes on disk about a few given rows costs as much as the word is common; this costs as much as the texts.
"""

import sqlite3
from collections.abc import Sequence
from types import TracebackType
from typing import Self

TOKENIZER = "unicode61 remove_diacritics 2"
_FIRST_LOOK = 3


class TextProbe:
    """Answers for one MATCH expression, made of ``words``. A context manager: it holds a database in memory."""

    def __init__(self, words: Sequence[str], expression: str) -> None:
        self._expression = expression
        # Of plain texts only those that contain every word can fit, and that is cheap to see.
        needed = [word.lower() for word in words]
        self._needed = needed if all(word.isascii() for word in needed) else []
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.execute(
            f"CREATE VIRTUAL TABLE probe USING fts5 (text, content = '', tokenize = '{TOKENIZER}')"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def owners(self, texts: Sequence[tuple[str, str]]) -> set[str]:
        """Of ``(owner, text)`` pairs, the owners with a text that fits."""
        likely: dict[str, list[str]] = {}
        for owner, text in texts:
            if self._likely(text):
                likely.setdefault(owner, []).append(text)
        # Most owners that fit do so by one of their first likely texts, and need not have the rest looked at.
        found = self._ask([(owner, text) for owner, own in likely.items() for text in own[:_FIRST_LOOK]])
        rest = [(owner, text) for owner, own in likely.items() if owner not in found for text in own[_FIRST_LOOK:]]
        return found | self._ask(rest) if rest else found

    def _ask(self, texts: Sequence[tuple[str, str]]) -> set[str]:
        if not texts:
            return set()
        self._connection.execute("BEGIN")
        self._connection.executemany(
            "INSERT INTO probe (rowid, text) VALUES (?, ?)", ((row, text) for row, (_, text) in enumerate(texts))
        )
        found = self._connection.execute("SELECT rowid FROM probe WHERE probe MATCH ?", (self._expression,)).fetchall()
        self._connection.execute("ROLLBACK")
        return {texts[row][0] for (row,) in found}

    def _likely(self, text: str) -> bool:
        if not text.isascii():
            return True
        lowered = text.lower()
        return all(word in lowered for word in self._needed)
