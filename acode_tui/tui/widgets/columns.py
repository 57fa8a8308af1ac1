"""Columns of a table and one row drawn in them. Pure: widths are fixed and a row is one line; nothing is measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from acode_tui.domain.display import cell_width
from acode_tui.tui.style.palette import Colours, Role
from acode_tui.tui.style.text import line

PADDING = 2
"""Columns that the padding of one cell takes."""

_LEAST = 12
"""Columns that what takes the rest has at least."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its key, its title, its width in terminal columns (0 takes what is left) and which way it leans."""

    key: str
    title: str
    width: int = 0
    right: bool = False


Cell = tuple[str, Role]
Row = dict[str, Cell]
"""A row's cells by column key: text as recorded, and the role whose colour it takes."""


def widths(columns: Sequence[Column], width: int) -> tuple[int, ...]:
    """Each column's width when all of them share so many terminal columns."""
    fixed = sum(column.width + PADDING for column in columns)
    return tuple(column.width or max(width - fixed, _LEAST) for column in columns)


def draw_row(
    row: Mapping[str, Cell],
    columns: Sequence[Column],
    room: Sequence[int],
    base: Style,
    colours: Colours | None,
) -> Strip:
    """A row; without ``colours`` every cell takes the style given, as under the cursor."""
    segments = []
    for column, width in zip(columns, room, strict=True):
        value, role = row[column.key]
        style = base if colours is None else base + Style.parse(colours.style(role))
        segments.append(Segment(_fitted(value, width, column.right), style))
    return Strip(segments, sum(room) + PADDING * len(segments))


def draw_titles(columns: Sequence[Column], room: Sequence[int], base: Style) -> Strip:
    """The line above the rows."""
    text = "".join(_fitted(column.title, width, column.right) for column, width in zip(columns, room, strict=True))
    return Strip([Segment(text, base)], len(text))


def draw_heading(text: str, width: int, base: Style, rule: Style) -> Strip:
    """A line between rows that says what follows."""
    said = f" {line(text, max(width - 4, 1))} "
    return Strip([Segment(said, base), Segment("─" * max(width - cell_width(said) - 1, 0), rule)])


def _fitted(value: str, width: int, right: bool) -> str:
    shown = line(value, width)
    gap = " " * (width - cell_width(shown))
    return f" {gap}{shown} " if right else f" {shown}{gap} "
