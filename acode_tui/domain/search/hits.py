"""Which places of a run a query finds: the rule that both databases and the linear scan share.

A run matches if every condition holds somewhere in it and no excluded one does. Its hits are the places where all
conditions hold; if there is no such place, those where one of the words does. A hit that repeats another is left out.
"""

from collections.abc import Iterable
from typing import NamedTuple

from acode_tui.domain.search.facts import RunFacts, meets
from acode_tui.domain.search.match import contains, find_shown, snippet
from acode_tui.domain.search.places import Place
from acode_tui.domain.search.query import Conditions, Query
from acode_tui.domain.search.repeats import is_own_prompt, without_repeats


class Found(NamedTuple):
    """A hit in a run: the place, and a line of its text with the matches marked."""

    place: Place
    snippet: str


def hits_of_run(query: Query, facts: RunFacts, places: Iterable[Place]) -> list[Found] | None:
    """The hits of a run in their order, at least one; None if the run does not match."""
    found = places_found(query, facts, places)
    return None if found is None else [Found(place, snippet_of(query, place)) for place in found]


def places_found(query: Query, facts: RunFacts, places: Iterable[Place]) -> list[Place] | None:
    """The places that are a run's hits, in their order, at least one; None if the run does not match.

    ``places`` are all of the run, in the order of the hierarchy, the session's own first.
    """
    if not meets(query, facts):
        return None
    wanted = (1 << count_of(query)) - 1
    words = (1 << len(query.terms) + len(query.failed)) - 1
    met, all_hold, some_hold, first, first_prompted = 0, [], [], None, None
    for place in places:
        first = first or place
        if first_prompted is None and is_own_prompt(place):
            first_prompted = place.task_id
        if met_at(query.excluded, place):
            return None
        bits = met_at(query, place)
        met |= bits
        if not bits:
            continue
        if bits == wanted:
            all_hold.append(place)
        elif bits & words or not words:
            some_hold.append(place)
    if met != wanted or first is None:
        return None
    chosen = (all_hold or some_hold) if wanted else [first]
    if wanted and not words:
        chosen = one_a_call(chosen)
    if words:
        chosen = without_repeats(query, chosen, first_prompted)
    # The sort is stable, so places of one moment stay in the order of the hierarchy.
    return sorted(chosen, key=lambda place: place.at)


def snippet_of(query: Query, place: Place) -> str:
    """A line of the place's text around the first match."""
    return snippet(place.text, find_shown(query.texts, place.text))


def count_of(conditions: Conditions) -> int:
    return sum(map(len, (conditions.terms, conditions.failed, conditions.tools, conditions.files)))


def met_at(conditions: Conditions, place: Place) -> int:
    """One bit for each condition on places, the words first: whether it holds at this place."""
    bits, bit = 0, 1
    for term in conditions.terms:
        bits |= bit * contains(term, place.text)
        bit <<= 1
    for term in conditions.failed:
        bits |= bit * (place.failed and contains(term, place.text))
        bit <<= 1
    for tool in conditions.tools:
        bits |= bit * (place.tool is not None and place.tool.casefold() == tool.casefold())
        bit <<= 1
    paths = place.paths if conditions.files else []
    for file in conditions.files:
        bits |= bit * any(contains(file, path) for path in paths)
        bit <<= 1
    return bits


def one_a_call(places: list[Place]) -> list[Place]:
    """Without words to find, a call stands for its result and its artifacts."""
    calls = {place.tool_call_id for place in places if place.kind == "call"}
    return [place for place in places if place.kind == "call" or place.tool_call_id not in calls]
