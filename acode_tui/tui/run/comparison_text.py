"""The text of a comparison: a name and two columns, one for each run. What is the same in both is muted. Pure."""

from collections.abc import Mapping
from datetime import datetime
from itertools import zip_longest

from textual.content import Content

from acode_tui.domain.display import cell_width, session_name
from acode_tui.domain.quantities import dollars, number, short_duration, short_number
from acode_tui.domain.search.facts import facts_of
from acode_tui.tui.run.comparison import Action, Comparison
from acode_tui.tui.style.palette import CONTENT_STYLE, session_mark
from acode_tui.tui.style.text import line, styled

_NAME = 10
_BETWEEN = " │ "
MAX_PROMPTS = 20
MAX_ASKED_ROWS, MAX_PROMPT_ROWS = 3, 6
MAX_NAMES = 40
"""Tools and files that are listed, those with the largest difference first."""
BEFORE, AFTER = 2, 4
"""Calls that are shown around the first one that differs."""
NO_CALL = "(no further call)"


class _Table:
    def __init__(self, width: int) -> None:
        self.columns = max((width - _NAME - cell_width(_BETWEEN)) // 2, 10)
        self.rows: list[Content] = []

    def head(self, text: str) -> None:
        if self.rows:
            self.rows.append(Content(""))
        self.rows.append(styled(text, "bold $text-primary"))

    def add(self, name: str, left: str, right: str, *, styles: tuple[str, str] | None = None) -> None:
        """A row; without ``styles`` it is muted where both are the same."""
        muted = "$foreground-muted" if left == right else "$foreground"
        one, two = styles or (muted, muted)
        self.rows.append(
            Content.assemble(
                styled(f"{line(name, _NAME - 1):<{_NAME}}", "$foreground-muted"),
                styled(self._cell(left), one),
                (_BETWEEN, "$foreground-muted"),
                styled(self._cell(right), two),
            )
        )

    def _cell(self, text: str) -> str:
        shown = line(text, self.columns)
        return shown + " " * (self.columns - cell_width(shown))

    def folded(self, name: str, left: str, right: str, most: int) -> None:
        """Texts that may take several rows."""
        for one, two in zip_longest(self._rows(left, most), self._rows(right, most), fillvalue=""):
            style = "$foreground-muted" if left == right else "$foreground"
            self.add(name, one, two, styles=(style, style))
            name = ""

    def _rows(self, text: str, most: int) -> list[str]:
        rows = [str(row) for row in Content(line(text)).fold(self.columns)]
        return rows if len(rows) <= most else [*rows[: most - 1], f"{rows[most - 1][: self.columns - 1]}…"]


def comparison_text(comparison: Comparison, side: int, now: datetime, width: int) -> Content:
    """A comparison in ``width`` columns; ``side`` is the run that is chosen, 0 or 1."""
    table = _Table(width)
    one, two = comparison.runs
    bold = ("bold $text-warning", "$foreground")
    signs = ("▸ [1]", "  [2]") if side == 0 else ("  [1]", "▸ [2]")
    table.add("", *signs, styles=bold if side == 0 else bold[::-1])
    table.folded("asked", session_name(one.graph), session_name(two.graph), MAX_ASKED_ROWS)
    _state_and_facts(table, comparison, now)
    table.head("Figures")
    table.add("steps", number(one.steps), number(two.steps))
    table.add("calls", number(len(one.actions)), number(len(two.actions)))
    table.add("failed", number(one.failed), number(two.failed))
    table.add("tokens", short_number(one.tokens), short_number(two.tokens))
    table.add("cost", dollars(one.cost), dollars(two.cost))
    table.add("took", short_duration(one.took), short_duration(two.took))
    _divergence(table, comparison)
    _counts(table, "Calls by tool", one.tools, two.tools)
    _counts(table, "Changes by file", one.files, two.files)
    if len(one.prompts) > 1 or len(two.prompts) > 1:
        table.head("Prompts")
        prompts = zip_longest(one.prompts[:MAX_PROMPTS], two.prompts[:MAX_PROMPTS], fillvalue="")
        for at, (left, right) in enumerate(prompts, 1):
            table.folded(str(at), left, right, MAX_PROMPT_ROWS)
        if (most := max(len(one.prompts), len(two.prompts))) > MAX_PROMPTS:
            table.rows.append(styled(f"… {number(most - MAX_PROMPTS)} further ones", "$foreground-muted"))
    return Content("\n").join(table.rows)


def _state_and_facts(table: _Table, comparison: Comparison, now: datetime) -> None:
    one, two = (run.graph for run in comparison.runs)
    marks = session_mark(one, now), session_mark(two, now)
    styles = CONTENT_STYLE[marks[0].role], CONTENT_STYLE[marks[1].role]
    table.add("state", marks[0].label, marks[1].label, styles=styles)
    left, right = facts_of(one), facts_of(two)
    table.add("agent", left.agent or "–", right.agent or "–")
    table.add("model", ", ".join(left.models) or "–", ", ".join(right.models) or "–")
    table.add("project", left.project or "–", right.project or "–")


def _divergence(table: _Table, comparison: Comparison) -> None:
    one, two = (run.actions for run in comparison.runs)
    at = comparison.divergence
    table.head("Where they differ first")
    if at is None:
        same = f"All {number(len(one))} calls are the same." if one else "Neither run made a call."
        table.rows.append(styled(same, "$foreground-muted"))
        return
    if at > BEFORE:
        table.rows.append(styled(f"… {number(at - BEFORE)} calls before, the same in both", "$foreground-muted"))
    for index in range(max(at - BEFORE, 0), min(at + AFTER, max(len(one), len(two)))):
        left, right = _action(one, index), _action(two, index)
        differs = ("$text-warning", "$text-warning") if index == at else None
        table.add(f"{'▸ ' if index == at else '  '}{number(index + 1)}", left, right, styles=differs)


def _action(actions: tuple[Action, ...], index: int) -> str:
    if index >= len(actions):
        return NO_CALL if index == len(actions) else ""
    return f"{actions[index].tool} {line(actions[index].argument)}".strip()


def _counts(table: _Table, title: str, one: Mapping[str, int], two: Mapping[str, int]) -> None:
    names = sorted({*one, *two}, key=lambda name: (-abs(one.get(name, 0) - two.get(name, 0)), name))
    if not names:
        return
    table.head(title)
    room = table.columns - 8
    for name in names[:MAX_NAMES]:
        counts = one.get(name, 0), two.get(name, 0)
        left, right = (f"{number(count):>5}  {_end(name, room)}" if count else "" for count in counts)
        table.add("", left, right)
    if len(names) > MAX_NAMES:
        table.rows.append(styled(f"… {number(len(names) - MAX_NAMES)} further ones", "$foreground-muted"))


def _end(name: str, room: int) -> str:
    """A name in ``room`` columns; of a longer one the end, which tells files apart."""
    shown = line(name)
    return shown if cell_width(shown) <= room else "…" + shown[-(room - 1) :]
