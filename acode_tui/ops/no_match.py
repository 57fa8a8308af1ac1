"""Why no run fits a query: which of its conditions excludes them. Each condition is left out once, and asked alone."""

from collections.abc import Iterator

import msgspec

from acode_tui.domain.errors import ValidationError
from acode_tui.domain.quantities import counted
from acode_tui.domain.search.relaxed import relaxed
from acode_tui.storage.ports import RunStateReader, SessionFilter

MAX_SENTENCES = 3


async def explain_no_match(runs: RunStateReader, given: SessionFilter) -> list[str]:
    """Sentences on which conditions of a filter that no run fits exclude the runs; empty where there is only one.

    Asks for a page of one run for each condition, so it takes a few times as long as the first page of a search.
    Raises AcodeError as ``RunStateReader.list`` does.
    """
    try:
        parts = relaxed(given.text or "")
    except ValidationError:
        return []
    asked = [(f"`{part.condition}`", msgspec.structs.replace(given, text=part.without)) for part in parts]
    alone = [(f"`{part.condition}`", SessionFilter(text=part.alone)) for part in parts]
    if given.states:
        names = f"the state{'s' * (len(given.states) > 1)} {', '.join(given.states)}"
        asked.append((names, msgspec.structs.replace(given, states=())))
        alone.append((names, SessionFilter(states=given.states)))
    if len(asked) < 2:
        return []
    helped = [
        f"Without {name} {found} fit{'s' if found.startswith('1 ') else ''}."
        for name, filter in asked
        if (found := await _found(runs, filter))
    ]
    if helped:
        return helped[:MAX_SENTENCES]
    hopeless = [name for name, filter in alone if not await _found(runs, filter)]
    return list(_of_several(hopeless))


def _of_several(hopeless: list[str]) -> Iterator[str]:
    if not hopeless:
        yield "Each condition fits some runs, but no run fits all but one of them."
    for name in hopeless[:MAX_SENTENCES]:
        yield f"No run at all fits {name}."


async def _found(runs: RunStateReader, given: SessionFilter) -> str:
    """How many runs fit, such as ``12 runs``, or ``some runs``; empty if none does."""
    try:
        page = await runs.list(given, limit=1)
    except ValidationError:
        return ""  # what is left is no query, such as a sign without a letter
    if not page.sessions:
        return ""
    return counted(page.total, "run") if page.total else "some runs"
