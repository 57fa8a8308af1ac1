"""The lexemes of a batch by session, and the arrays that the statement for ``session_search`` takes."""

import asyncio
from collections.abc import Iterable
from time import perf_counter
from typing import Any, TypeAlias

from acode_tui.domain.entities import Entity
from acode_tui.storage.postgres.lexemes import add_lexemes, parts_of

Lexemes: TypeAlias = dict[str, dict[str, None]]
"""By session id, the lexemes of its rows, each once."""

_SLICE_SECONDS = 0.01
"""How long the making of lexemes keeps the event loop, about; a row has at most 128 KiB of text."""


async def lexemes_by_session(entities: Iterable[Entity]) -> Lexemes:
    """The lexemes of these rows. Takes some 70 ms of CPU a megabyte of text, in slices between which others run."""
    found: Lexemes = {}
    started = perf_counter()
    for entity in entities:
        session_id = getattr(entity, "session_id", entity.id)
        add_lexemes(entity, found.setdefault(session_id, {}))
        if perf_counter() - started > _SLICE_SECONDS:
            await asyncio.sleep(0)
            started = perf_counter()
    return found


def search_arrays(lexemes: Lexemes, *, first_part: int = 0) -> list[list[Any]]:
    """The arrays of session ids, parts and joined lexemes, in the order of the sessions' ids."""
    rows = [
        (session_id, part, joined)
        for session_id, found in sorted(lexemes.items())
        for part, joined in enumerate(parts_of(found), first_part)
    ]
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], []]
