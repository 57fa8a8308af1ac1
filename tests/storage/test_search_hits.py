"""Requests, cursors and pages of a search."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.clock import parse_time
from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.search.query import parse_query
from acode_tui.storage.search_hits import (
    decode_search_cursor,
    encode_search_cursor,
    hits_of,
    search_page,
    search_request,
)
from acode_tui.storage.search_ports import SearchHit
from tests.domain.search.runs import T0, call, make_run, queries, searchable_runs
from tests.storage.linear_search import found_in, linear_search

NOW = T0 + timedelta(days=3)


@pytest.mark.parametrize(
    ("query", "limit", "after"),
    [("", 5, None), ("  ", 5, None), ("colour:red", 5, None), ("a", 0, None), ("a", 201, None), ("a", 5, "nonsense")],
)
def test_what_cannot_be_answered_is_a_validation_error(query: str, limit: int, after: str | None) -> None:
    with pytest.raises(ValidationError):
        search_request(query, limit=limit, after=after, now=NOW)


def test_a_cursor_names_a_run_and_a_number_of_its_hits() -> None:
    run = make_run()
    position = decode_search_cursor(encode_search_cursor(run, 3))
    assert (position.id, position.shown) == (run.id, 3)
    position = decode_search_cursor(encode_search_cursor(run, 1, NOW))
    assert (position.id, position.shown, parse_time(position.at)) == (run.id, 1, NOW)
    with pytest.raises(ValidationError):
        decode_search_cursor(encode_search_cursor(run, -1))


def test_a_cursor_counts_from_the_moment_of_the_last_hit() -> None:
    run = make_run("of", (call(parameters={"note": "of"}), call(parameters={"note": "of"})), title="of", step="of")
    found = found_in(parse_query("of", now=NOW), run)
    assert found is not None
    cursors = []
    for limit in range(1, len(found)):
        request = search_request("of", limit=limit, after=None, now=NOW)
        cursor = search_page([(run, found)], request).next_cursor
        assert cursor is not None
        position = decode_search_cursor(cursor)
        cursors.append((parse_time(position.at) - T0, position.shown))
        # What is of an earlier moment need not be found again.
        rest = [hit for hit in found if hit.place.at >= parse_time(position.at)]
        page = search_page([(run, rest)], search_request("of", limit=50, after=cursor, now=NOW))
        assert page.hits == tuple(hits_of(run, found[limit:]))
    assert cursors == [(timedelta(0), 1), (timedelta(0), 2), (timedelta(0), 3), (timedelta(seconds=1), 1)]


@given(st.lists(searchable_runs(), max_size=4), queries(), st.integers(1, 5))
def test_the_pages_together_are_all_hits(runs: list[SessionGraph], text: str, limit: int) -> None:
    query = parse_query(text, now=NOW)
    ordered = sorted(runs, key=lambda run: (run.updated_at, run.id), reverse=True)
    matching = [(run, found) for run in ordered if (found := found_in(query, run)) is not None]
    collected: list[SearchHit] = []
    after, pages = None, 0
    while True:
        request = search_request(text, limit=limit, after=after, now=NOW)
        rest = matching
        if request.after is not None:
            rest = matching[[run.id for run, _ in matching].index(request.after.id) :]
        page = search_page(rest, request, total=None)
        collected += page.hits
        pages += 1
        after = page.next_cursor
        if after is None:
            break
        assert len(page.hits) == limit
    assert collected == linear_search(runs, text, now=NOW)
    assert pages == max(1, -(-len(collected) // limit))
