"""The places that a search finds, as rows below their run: what it is, and a line of it with the match marked. Pure."""

from collections.abc import Mapping, Sequence

from acode_tui.domain.display import ELLIPSIS
from acode_tui.domain.search.match import snippet_parts
from acode_tui.storage.ports import SearchHit
from acode_tui.tui.style.text import line
from acode_tui.tui.widgets.keyed_table import LineRow, Row

SHOWN = 3
"""Most places that are shown of one run; a sign says that there are more."""

_INDENT = " " * 4
_KIND = 9


def with_hits(
    rows: Sequence[tuple[str, Row]], hits: Mapping[str, Sequence[SearchHit]]
) -> list[tuple[str, Row | LineRow]]:
    """The rows of runs, each with the rows of its places below it."""
    found: list[tuple[str, Row | LineRow]] = []
    for session_id, row in rows:
        found.append((session_id, row))
        places = hits.get(session_id, ())
        for number, hit in enumerate(places[:SHOWN]):
            if _repeats(hit, row):
                continue
            more = len(places) > SHOWN and number == SHOWN - 1
            found.append((hit_key(session_id, number), hit_row(hit, more=more)))
    return found


def _repeats(hit: SearchHit, row: Row) -> bool:
    """Whether a place shows nothing that the run's own row does not."""
    text = "".join(piece for piece, _ in snippet_parts(hit.snippet)).strip(ELLIPSIS)
    return hit.kind in ("session", "task") and text in line(row["task"][0])


def place_of(hit: SearchHit) -> tuple[str, ...]:
    """The ids of what was found and of what it stands in, innermost first."""
    return tuple(each for each in (hit.artifact_id, hit.tool_call_id, hit.step_id, hit.task_id) if each is not None)


def found_text(hit: SearchHit) -> str:
    """The first text that matched, as it stands at the place; empty where none is marked."""
    return next((text for text, found in snippet_parts(hit.snippet) if found), "").strip()


def hit_key(session_id: str, number: int) -> str:
    """The key of the row of a run's place, counted from 0."""
    return f"{session_id}#{number}"


def of_key(key: str) -> tuple[str, int | None]:
    """The session of a row, and which of its places it is; None for the run's own row."""
    session_id, sign, number = key.partition("#")
    return session_id, int(number) if sign else None


def hit_row(hit: SearchHit, *, more: bool = False) -> LineRow:
    """The row of a place; ``more``: the run has further ones, which are not shown."""
    head = f"{_INDENT}{hit.kind:<{_KIND}} "
    parts = [(text, "plain", found) for text, found in snippet_parts(hit.snippet)]
    return LineRow(((head, "busy", False), *parts, *((("  +", "quiet", False),) if more else ())))  # type: ignore[arg-type]
