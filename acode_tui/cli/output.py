"""Prints JSON, tables, fields and checks for every command. Recorded text is cleaned, and lines fit the terminal."""

import os
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from acode_tui.domain.codec import encode_json_for_terminal, to_plain
from acode_tui.domain.display import cell_width, clean, fit, split_columns
from acode_tui.domain.quantities import number
from acode_tui.domain.validation import escape_json

if TYPE_CHECKING:
    from acode_tui.storage.ports import Check

GAP = 2
_CONTINUED = 4
"""Columns by which the continuation of a line is indented."""
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
    """A column of a table.

    A ``flexible`` column shrinks to ``minimum`` in a narrow terminal; ``maximum`` limits its width in any terminal.
    """

    title: str
    align: Literal["left", "right"] = "left"
    flexible: bool = False
    minimum: int = 12
    maximum: int | None = None


def print_json(value: Any) -> None:
    """Print one line of JSON that is safe on a terminal.

    If it contains text that is not UTF-8, such as a file name, all its text is escaped.
    """
    try:
        line = encode_json_for_terminal(value)
    except UnicodeEncodeError:
        line = encode_json_for_terminal(escape_json(to_plain(value)))
    click.echo(line)


def exact(text: str) -> str:
    """Text for standard output that a program may read, such as a path: unchanged, but safe to show on a terminal."""
    return clean(text) if is_terminal() else text


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[object]], *, err: bool = False) -> None:
    """Print a header and a line for each row, not wider than the terminal."""
    for line in render_table(columns, rows, terminal_width()):
        click.echo(line, err=err)


def print_fields(fields: Sequence[tuple[str, object]], *, err: bool = False) -> None:
    """Print names and values, one pair per line, the values aligned."""
    fields = [(clean(name), value) for name, value in fields]
    width = max((len(name) for name, _ in fields), default=0)
    limit = terminal_width()
    for name, value in fields:
        shown = cell(value)
        room = limit - width - GAP if limit is not None else None
        text = fit(shown, room) if room else shown
        click.echo(click.style(name.ljust(width), dim=True) + " " * GAP + text, err=err)


def print_whole(text: str) -> None:
    """Print one line of any length, cleaned. On a terminal it is continued on indented lines, so nothing is cut off.

    For what somebody decides about: no part of it can look like a line of its own.
    """
    width = terminal_width()
    text = clean(text)
    lines = [text] if width is None else split_columns(text, width, indent=_CONTINUED)
    for line in lines:
        click.echo(line)


def print_checks(checks: "Sequence[Check]") -> None:
    """Print a table of checks with their findings."""
    rows = [("ok" if check.ok else "BAD", check.name, check.description) for check in checks]
    print_table((Column(""), Column("check"), Column("finding", flexible=True)), rows)


def render_table(columns: Sequence[Column], rows: Sequence[Sequence[object]], width: int | None) -> list[str]:
    """The lines of a table, at most ``width`` columns wide; None sets no limit."""
    cells = [[cell(value) for value in row] for row in rows]
    widths = [
        max([cell_width(column.title), *(cell_width(row[index]) for row in cells)])
        for index, column in enumerate(columns)
    ]
    widths = [
        room if column.maximum is None else min(room, column.maximum)
        for column, room in zip(columns, widths, strict=True)
    ]
    if width is not None:
        _narrow(columns, widths, width)
    lines = [_line(columns, widths, [column.title for column in columns], bold=True, width=width)]
    lines += [_line(columns, widths, row, bold=False, width=width) for row in cells]
    return lines


def cell(value: object) -> str:
    """A value as text for people, safe to print."""
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
    if isinstance(value, dict):
        return clean(", ".join(f"{name} {cell(each)}" for name, each in value.items()), max_chars=_LONGEST_CELL) or "-"
    if isinstance(value, (list, tuple)):
        return clean(", ".join(map(cell, value)), max_chars=_LONGEST_CELL) or "-"
    return clean(str(value), max_chars=_LONGEST_CELL)


def local_time(moment: datetime) -> str:
    """A moment in local time, in seconds."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def terminal_width() -> int | None:
    """The terminal's number of columns, or that in COLUMNS; None if output goes to a file or a pipe."""
    if os.environ.get("COLUMNS", "").isdigit() or sys.stdout.isatty():
        return max(shutil.get_terminal_size().columns, 20)
    return None


def state_colour(name: str) -> str | None:
    """The colour of a state."""
    return _STATE_COLOURS.get(name)


def _narrow(columns: Sequence[Column], widths: list[int], width: int) -> None:
    over = sum(widths) + GAP * (len(widths) - 1) - width
    for index, column in enumerate(columns):
        if over > 0 and column.flexible:
            taken = min(over, max(widths[index] - column.minimum, 0))
            widths[index] -= taken
            over -= taken


def _line(columns: Sequence[Column], widths: list[int], row: Sequence[str], *, bold: bool, width: int | None) -> str:
    parts: list[str] = []
    left = width
    for index, (column, room, value) in enumerate(zip(columns, widths, row, strict=True)):
        if index:
            left = None if left is None else left - GAP
        room = room if left is None else min(room, left)
        if room <= 0:
            break
        shown = fit(value, room)
        padding = " " * (room - cell_width(shown))
        last = index == len(columns) - 1
        text = padding + shown if column.align == "right" else shown + ("" if last else padding)
        colour = state_colour(value)
        parts.append(click.style(text, bold=True) if bold else click.style(text, fg=colour) if colour else text)
        left = None if left is None else left - room
    return (" " * GAP).join(parts).rstrip()
