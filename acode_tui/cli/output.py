"""Printing: JSON as every command prints it, and tables that fit the terminal. Everything recorded is cleaned."""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeVar

import click

from acode_tui.domain.codec import encode_json, to_plain
from acode_tui.domain.display import cell_width, clean, fit
from acode_tui.domain.quantities import number
from acode_tui.domain.validation import escape_json

GAP = 2
_LONGEST_CELL = 2000
_STATE_COLOURS = {
    "Completed": "green",
    "Succeeded": "green",
    "Failed": "red",
    "Cancelled": "yellow",
    "Skipped": "yellow",
    "Paused": "yellow",
    "AwaitingApproval": "magenta",
    "Executing": "cyan",
    "InProgress": "cyan",
    "Healthy": "green",
    "Degraded": "yellow",
    "Unhealthy": "red",
}


class Column(NamedTuple):
    """A column of a table. A ``flexible`` one gives way, down to ``minimum``, when the terminal is narrow; ``most``
    bounds it even where nothing else does."""

    title: str
    align: Literal["left", "right"] = "left"
    flexible: bool = False
    minimum: int = 12
    most: int | None = None


def print_json(value: Any) -> None:
    """One line of JSON. Where a file in it has a name that is not UTF-8, all its text is as ``text.escape`` has it."""
    try:
        line = encode_json(value)
    except UnicodeEncodeError:
        line = encode_json(escape_json(to_plain(value)))
    click.echo(line)


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[object]], *, err: bool = False) -> None:
    """A header and a line for each row, no line longer than the terminal is wide."""
    for line in render_table(columns, rows, terminal_width()):
        click.echo(line, err=err)


def print_fields(fields: Sequence[tuple[str, object]], *, err: bool = False) -> None:
    """Names and values, one a line, the values in one column."""
    width = max((len(name) for name, _ in fields), default=0)
    limit = terminal_width()
    for name, value in fields:
        shown = cell(value)
        room = limit - width - GAP if limit is not None else None
        text = fit(shown, room) if room else shown
        click.echo(click.style(name.ljust(width), dim=True) + " " * GAP + text, err=err)


def render_table(columns: Sequence[Column], rows: Sequence[Sequence[object]], width: int | None) -> list[str]:
    """The lines of a table; ``width`` None sets no limit."""
    cells = [[cell(value) for value in row] for row in rows]
    widths = [
        max([cell_width(column.title), *(cell_width(row[place]) for row in cells)])
        for place, column in enumerate(columns)
    ]
    widths = [
        room if column.most is None else min(room, column.most) for column, room in zip(columns, widths, strict=True)
    ]
    if width is not None:
        _narrow(columns, widths, width)
    lines = [_line(columns, widths, [column.title for column in columns], bold=True, width=width)]
    lines += [_line(columns, widths, row, bold=False, width=width) for row in cells]
    return lines


def cell(value: object) -> str:
    """A value as a person reads it, safe to print."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return local_time(value)
    if isinstance(value, int):
        return number(value)
    if isinstance(value, float):
        return f"{value:,.1f}"
    return clean(str(value), max_chars=_LONGEST_CELL)


def local_time(moment: datetime) -> str:
    """A moment in local time, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def terminal_width() -> int | None:
    """Columns of the terminal, or what COLUMNS says; None where output goes to a file or a pipe."""
    if os.environ.get("COLUMNS", "").isdigit() or sys.stdout.isatty():
        return max(shutil.get_terminal_size().columns, 20)
    return None


def state_colour(name: str) -> str | None:
    """The colour that a state is shown in."""
    return _STATE_COLOURS.get(name)


def _narrow(columns: Sequence[Column], widths: list[int], width: int) -> None:
    over = sum(widths) + GAP * (len(widths) - 1) - width
    for place, column in enumerate(columns):
        if over > 0 and column.flexible:
            taken = min(over, max(widths[place] - column.minimum, 0))
            widths[place] -= taken
            over -= taken


def _line(columns: Sequence[Column], widths: list[int], row: Sequence[str], *, bold: bool, width: int | None) -> str:
    parts: list[str] = []
    left = width
    for place, (column, room, value) in enumerate(zip(columns, widths, row, strict=True)):
        if place:
            left = None if left is None else left - GAP
        room = room if left is None else min(room, left)
        if room <= 0:
            break
        shown = fit(value, room)
        padding = " " * (room - cell_width(shown))
        last = place == len(columns) - 1
        text = padding + shown if column.align == "right" else shown + ("" if last else padding)
        colour = state_colour(value)
        parts.append(click.style(text, bold=True) if bold else click.style(text, fg=colour) if colour else text)
        left = None if left is None else left - room
    return (" " * GAP).join(parts).rstrip()


F = TypeVar("F", bound=Callable[..., Any])


def examples(*lines: str) -> str:
    """The examples under a help text, kept as they are laid out."""
    title = "Example:" if len(lines) == 1 else "Examples:"
    return "\b\n" + "\n".join([title, *(f"  {line}" for line in lines)])


def json_option(function: F) -> F:
    """``--json``: the same as JSON, for programs. Given to a group it holds for the group's command."""
    return click.option("--json", "as_json", is_flag=True, callback=_or_the_groups, help="Print JSON instead.")(
        function
    )


def force_option(function: F) -> F:
    """``--force``, or ``--yes``: go on without the question that is asked otherwise."""
    return click.option("--force", "--yes", "force", is_flag=True, help="Do not ask.")(function)


def _or_the_groups(context: click.Context, _: click.Parameter, given: bool) -> bool:
    return given or (context.parent is not None and context.parent.params.get("as_json", False))
