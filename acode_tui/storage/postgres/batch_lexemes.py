"""The lexemes of a batch by session, and the arrays that the statement for ``session_search`` takes."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, TypeAlias

from acode_tui.domain.entities import Entity
from acode_tui.domain.search.places import texts_of
from acode_tui.storage.postgres.lexemes import add_facts, add_lexemes, parts_of

Lexemes: TypeAlias = dict[str, dict[str, None]]
"""By session id, the lexemes of its rows, each once."""

_SLICE_CHARS = 128 * 1024
"""Text of which the lexemes are made at once: that keeps the event loop for some ten milliseconds."""


async def lexemes_by_session(entities: Iterable[Entity]) -> Lexemes:
    """The lexemes of these rows. Takes some 70 ms of CPU a megabyte of text, in slices between which others run."""
    found: Lexemes = {}
    texts: defaultdict[str, list[str]] = defaultdict(list)
    size = 0
    for entity in entities:
        session_id = getattr(entity, "session_id", entity.id)
        add_facts(entity, found.setdefault(session_id, {}))
        for text in texts_of(entity):
            texts[session_id].append(text)
            size += len(text)
        if size > _SLICE_CHARS:
            _move(texts, found)
            size = 0
            await asyncio.sleep(0)
    _move(texts, found)
    return found


def _move(texts: dict[str, list[str]], found: Lexemes) -> None:
    for session_id, given in texts.items():
        add_lexemes(given, found[session_id])
    texts.clear()


def without_sent(lexemes: Lexemes, sent: Lexemes) -> Lexemes:
    """The lexemes that were not sent before, of the sessions that have such."""
    new: Lexemes = {}
    for session_id, found in lexemes.items():
        before = sent.get(session_id)
        if before is None:
            new[session_id] = found
        elif not before.keys() >= found.keys():
            new[session_id] = {lexeme: None for lexeme in found if lexeme not in before}
    return new


def search_arrays(lexemes: Lexemes, *, first_part: int = 0) -> list[list[Any]]:
    """The arrays of session ids, parts and joined lexemes, in the order of the sessions' ids."""
    rows = [
        (session_id, part, joined)
        for session_id, found in sorted(lexemes.items())
        for part, joined in enumerate(parts_of(found), first_part)
    ]
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], []]
