"""What the index keeps of a whole session, beside its documents: one entry with all its words, and with marks.

So FTS5 itself answers which sessions have one word and not another, also where they stand in different documents. The
entry of a session has a number of its own range. It is added to by inserting the same number again: FTS5 takes a word
of several segments once.

A mark is a token that no text has, for it begins with a sign that is no letter. Nothing is removed from the index: the
mark of a fact that was true once stays, so a mark only proposes a session.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b

from acode_tui.storage.sqlite.search.session_facts import FactsChange, searched_values

FIRST = 1 << 34
"""The numbers of documents are below it, those of sessions above."""

ANY = "§any"
"""The mark of every session."""

STALE = "§stale"
"""The mark of a session with a document that is stale: words may be gone from it."""

PATH = "¶"
"""The sign before each word of a file's name; documents have these too."""

FAILING = "§failing"
SUBAGENT = "§subagent"
RESUMABLE = "§resumable"
"""The marks of what ``failed:``, ``is:subagent`` and ``is:resumable`` ask for."""


def number_of(session: int) -> int:
    """The number of a session's entry in the index, by its rowid."""
    return FIRST + session


def fact_mark(column: str, value: str) -> str:
    """The mark of a value of a column of ``session_facts``."""
    return f"§{column}{blake2b(value.encode(), digest_size=8).hexdigest()}"


def bodies(
    documents: Iterable[tuple[int, str]], facts: Mapping[int, FactsChange], stale: Iterable[int]
) -> dict[int, str]:
    """By session what is added to its entry, as it is given to FTS5."""
    found: dict[int, list[str]] = {}
    for session, words in documents:
        found.setdefault(session, []).append(words)
    for session, change in facts.items():
        if marks := _marks(change):
            found.setdefault(session, []).extend(marks)
    for session in stale:
        found.setdefault(session, []).append(STALE)
    return {session: " ".join(parts) for session, parts in found.items()}


def _marks(change: FactsChange) -> list[str]:
    marks = [FAILING] if change.failed or change.recounted else []
    facts = change.facts
    if facts is not None:
        marks.append(ANY)
        marks += (fact_mark(column, value) for column, value in searched_values(facts).items() if value is not None)
        if facts.parent_session_id is not None:
            marks.append(SUBAGENT)
        if facts.resumable:
            marks.append(RESUMABLE)
    return marks
