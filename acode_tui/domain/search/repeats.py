"""Hits that only repeat another: a run's description, a task's title or a step's name made of what was said there."""

from collections.abc import Iterable, Iterator, Sequence

from acode_tui.domain.display import ELLIPSIS
from acode_tui.domain.search.match import find_all
from acode_tui.domain.search.places import Kind, Place
from acode_tui.domain.search.query import Conditions

NAMING: tuple[Kind, ...] = ("session", "task", "step")
"""Places whose text may be made of what was said: importers name a run and a task by a prompt, a step by an answer."""

SAID: tuple[Kind, ...] = ("prompt", "answer")
"""What it may be made of."""


def without_repeats(conditions: Conditions, hits: Sequence[Place], first_prompted: str | None) -> list[Place]:
    """The hits without those that repeat a prompt or an answer which is one of them.

    ``first_prompted`` is the id of the run's first task with a prompt of its own: the run repeats that one's.
    """
    said: dict[tuple[str | None, str | None], list[Place]] = {}
    for hit in hits:
        if hit.kind in SAID and hit.tool_call_id is None:
            said.setdefault((hit.task_id, hit.step_id), []).append(hit)
    if not said:
        return list(hits)
    return [hit for hit in hits if not repeats(conditions, hit, said.get(_holder(hit, first_prompted), ()))]


def is_own_prompt(place: Place) -> bool:
    """Whether a place is a task's own prompt, not one of its steps'."""
    return place.kind == "prompt" and place.step_id is None


def repeats(conditions: Conditions, place: Place, said: Iterable[Place]) -> bool:
    """Whether each line of a place that has one of the words stands in one of the texts that were said there.

    What was cut off ends with an ellipsis, and white space does not count.
    """
    if place.kind not in NAMING:
        return False
    texts = [each.text for each in said]
    if not texts:
        return False
    lines = [" ".join(line.split()).removesuffix(ELLIPSIS) for line in _matching_lines(conditions, place.text)]
    return bool(lines) and any(_has_all(text, lines) for text in texts)


def _holder(place: Place, first_prompted: str | None) -> tuple[str | None, str | None]:
    """The task and the step whose own prompts and answers a place may repeat."""
    return (first_prompted, None) if place.kind == "session" else (place.task_id, place.step_id)


def _matching_lines(conditions: Conditions, text: str) -> Iterator[str]:
    end = -1
    for first, last in find_all(conditions.texts, text):
        if last <= end:
            continue
        start = max(text.rfind("\n", 0, first), end) + 1
        end = text.find("\n", last)
        end = len(text) if end < 0 else end
        yield text[start:end]


def _has_all(text: str, lines: Sequence[str]) -> bool:
    if all(line in text for line in lines):
        return True
    collapsed = " ".join(text.split())
    return all(line in collapsed for line in lines)
