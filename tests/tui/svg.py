"""A screen as a small SVG: the characters of the terminal's cells and their colours. Pure.

One file has a screen in several themes, one below the other. Equal cells give equal bytes: the backgrounds of a colour
are one path, runs of text share their styles, and blanks are left out.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import NamedTuple

from rich.cells import cell_len
from rich.color import Color, ColorType
from rich.style import Style
from rich.terminal_theme import SVG_EXPORT_THEME, TerminalTheme
from textual.strip import Strip

WIDTH, HEIGHT = 8.4, 18
"""Of a cell: what a letter takes in 14 pixels of a usual monospaced font."""

PAPER = TerminalTheme(
    (255, 255, 255),
    (36, 36, 36),
    [
        (0, 0, 0),
        (190, 20, 40),
        (20, 120, 50),
        (150, 100, 0),
        (30, 80, 190),
        (140, 40, 150),
        (0, 120, 130),
        (214, 214, 214),
    ],
    [
        (110, 110, 110),
        (235, 60, 70),
        (50, 160, 80),
        (190, 140, 20),
        (70, 120, 235),
        (180, 80, 190),
        (30, 155, 165),
        (255, 255, 255),
    ],
)
"""A terminal with a light ground, for the ANSI theme that is made for one."""


class Look(NamedTuple):
    """The cells of a screen in one theme; ``terminal`` has the RGB values of the sixteen colours."""

    theme: str
    lines: Sequence[Strip]
    terminal: TerminalTheme = SVG_EXPORT_THEME


def picture(looks: Iterable[Look], *, screen: str) -> str:
    """The looks below one another, as SVG. ``screen`` is the class of the screen, stored as an attribute."""
    drawn = [_Drawn(number, look) for number, look in enumerate(looks)]
    width = max(each.columns for each in drawn) * WIDTH
    step = max(each.rows for each in drawn) * HEIGHT + 12
    body = [
        f'<g id="{each.theme}" transform="translate(0 {number * step})">\n{each.body}</g>\n'
        for number, each in enumerate(drawn)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" data-screen="{screen}" '
        f'width="{width:g}" height="{step * len(drawn) - 12}">\n<style>\n'
        "text{font:14px 'Fira Code','DejaVu Sans Mono',Menlo,Consolas,monospace;white-space:pre}\n"
        f"</style>\n{''.join(body)}</svg>\n"
    )


class _Drawn:
    def __init__(self, number: int, look: Look) -> None:
        self.theme = look.theme
        self.rows = len(look.lines)
        self.columns = max(line.cell_length for line in look.lines)
        self._prefix = "abcdefgh"[number]
        self._terminal = look.terminal
        self._plain = look.terminal.background_color.hex
        self._names: dict[str, str] = {}
        self._known: dict[Style, tuple[str, str, bool]] = {}
        self._grounds: dict[str, list[tuple[int, int, int]]] = {}
        words = "".join(self._row(y, line) for y, line in enumerate(look.lines))
        size = f'width="{self.columns * WIDTH:g}" height="{self.rows * HEIGHT}"'
        areas = "".join(f'<path fill="{ground}" d="{_boxes(boxes)}"/>\n' for ground, boxes in self._grounds.items())
        scaled = f'<g transform="scale({WIDTH} {HEIGHT})" shape-rendering="crispEdges">\n{areas}</g>\n' if areas else ""
        styles = "".join(f".{name}{{{rules}}}" for rules, name in self._names.items())
        self.body = f'<style>{styles}</style>\n<rect {size} fill="{self._plain}"/>\n{scaled}{words}'

    def _row(self, y: int, line: Strip) -> str:
        column = 0
        made: list[str] = []
        now, gone_to = "", -_GAP  # the style that is open, and the column that its text has come to
        for segment in line:
            if segment.control:
                continue
            ground, name, lined = self._paint(segment.style)
            start, text = column, segment.text
            column += segment.cell_length
            if ground != self._plain:
                self._cover(ground, y, start, column)
            for word, at in _runs(text, lined=lined):
                gap = start + at - gone_to
                if name == now and gap < _GAP:
                    made.append(" " * gap)
                else:
                    anchor = f' x="{(start + at) * WIDTH:g}"' if gap else ""
                    made.append(f'{"</tspan>" if now else ""}<tspan class="{name}"{anchor}>')
                    now = name
                made.append(escape(word, quote=False))
                gone_to = start + at + cell_len(word) if _PLAIN.fullmatch(word) else -_GAP
        return f'<text y="{y * HEIGHT + 14}">{"".join(made)}</tspan></text>\n' if made else ""

    def _cover(self, ground: str, y: int, start: int, end: int) -> None:
        areas = self._grounds.setdefault(ground, [])
        if areas and areas[-1][0] == y and areas[-1][2] == start:
            start = areas.pop()[1]
        areas.append((y, start, end))

    def _paint(self, style: Style | None) -> tuple[str, str, bool]:
        style = style or Style.null()
        known = self._known.get(style)
        if known is None:
            known = self._known[style] = self._painted(style)
        return known

    def _painted(self, style: Style) -> tuple[str, str, bool]:
        """The ground's colour, the class of the text, and whether its blanks show."""
        text, ground = self._hex(style.color, True), self._hex(style.bgcolor, False)
        if style.reverse:
            text, ground = ground, text
        rules = [f"fill:{text}"]
        rules += ["font-weight:bold"] if style.bold else []
        rules += ["font-style:italic"] if style.italic else []
        rules += ["opacity:.6"] if style.dim else []
        lines = " ".join(name for name, on in (("underline", style.underline), ("line-through", style.strike)) if on)
        rules += [f"text-decoration:{lines}"] if lines else []
        name = self._names.setdefault(";".join(rules), f"{self._prefix}{len(self._names)}")
        return ground, name, bool(lines)

    def _hex(self, colour: Color | None, foreground: bool) -> str:
        if colour is None or colour.type is ColorType.DEFAULT:
            return (self._terminal.foreground_color if foreground else self._terminal.background_color).hex
        return colour.get_truecolor(self._terminal, foreground).hex


def _boxes(areas: Iterable[tuple[int, int, int]]) -> str:
    """Stretches of lines, each (row, first column, the one after the last), as a path; equal ones are one box."""
    boxes: dict[tuple[int, int], list[list[int]]] = {}
    for y, start, end in areas:
        stack = boxes.setdefault((start, end), [])
        if stack and stack[-1][1] == y:
            stack[-1][1] = y + 1
        else:
            stack.append([y, y + 1])
    return "".join(
        f"M{start} {top}h{end - start}v{bottom - top}H{start}z"
        for (start, end), stack in boxes.items()
        for top, bottom in stack
    )


_GAP = 12
"""From this number of blanks on, a new position is shorter than the blanks."""

_SIGNS = "!-~─-╿▀-▟–…·×✓✗"
"""Characters that every monospaced font draws one cell wide; each other one gets a position of its own."""

_PLAIN = re.compile(rf"[ {_SIGNS}]+")
_WORDS = re.compile(rf"[{_SIGNS}]+(?: {{1,{_GAP - 1}}}[{_SIGNS}]+)*|\S")


def _runs(text: str, *, lined: bool) -> Iterator[tuple[str, int]]:
    """The parts of a text that are drawn, each with the column that it begins in. Blanks are drawn where a line goes
    through them."""
    if lined:
        yield text, 0
        return
    for words in _WORDS.finditer(text):
        yield words.group(), cell_len(text[: words.start()])
