"""A search that reads everything: the reference that the answers of both databases are compared with."""

from collections.abc import Collection, Iterable
from datetime import datetime

from acode_tui.domain.entities import SessionGraph, ToolCall
from acode_tui.domain.search.facts import facts_of
from acode_tui.domain.search.hits import Found, hits_of_run
from acode_tui.domain.search.places import places_of_run
from acode_tui.domain.search.query import Query, parse_query
from acode_tui.domain.states import ToolCallState
from acode_tui.storage.search_hits import hits_of
from acode_tui.storage.search_ports import SearchHit


def found_in(query: Query, run: SessionGraph, *, unsynced: bool = False) -> list[Found] | None:
    """The hits of one run, whose artifacts have their content; None if it does not match."""
    entities = list(run.entities())
    failed = sum(isinstance(entity, ToolCall) and entity.state is ToolCallState.FAILED for entity in entities)
    return hits_of_run(query, facts_of(run, failed_calls=failed, unsynced=unsynced), places_of_run(entities))


def linear_search(
    runs: Iterable[SessionGraph], text: str, *, now: datetime, unsynced: Collection[str] = ()
) -> list[SearchHit]:
    """Every hit of a query in order. ``unsynced`` are the ids of runs with something that waits to be sent."""
    query = parse_query(text, now=now)
    hits: list[SearchHit] = []
    for run in sorted(runs, key=lambda run: (run.updated_at, run.id), reverse=True):
        hits += hits_of(run, found_in(query, run, unsynced=run.id in unsynced) or [])
    return hits
