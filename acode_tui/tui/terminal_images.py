"""How the terminal can draw images: as sixels, by kitty's protocol, or as coloured half cells.

The terminal is asked before the app runs, for Textual reads everything that it answers from then on. It is asked only
where the extra is installed and the environment names a terminal that may draw: such a terminal answers at once.
"""

import importlib.util
import os
import re
import select
import sys
import termios
import tty
from collections.abc import Callable, Mapping
from contextlib import suppress
from fcntl import ioctl
from struct import unpack
from time import monotonic
from typing import Literal, NamedTuple

Drawing = Literal["sixel", "kitty", "blocks"]

EXTRA = "pip install 'acode-tui[images]'"
ANSWER_SECONDS = 1.0
"""The longest wait for an answer. Every terminal that is asked ends its answer with its attributes."""

_ATTRIBUTES = b"\x1b[c"
_CELL_SIZE = b"\x1b[16t"
_KITTY = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
"""A query of kitty's protocol. tmux takes it for a title, so it is not asked there."""

_HAS_ATTRIBUTES = re.compile(rb"\x1b\[\?([0-9;]*)c")
_HAS_CELL_SIZE = re.compile(rb"\x1b\[6;([0-9]{1,3});([0-9]{1,3})t")
_KITTY_ANSWER = b"\x1b_Gi=31;OK\x1b\\"
_SIXEL = b"4"

# Konsole and WezTerm answer that they know kitty's protocol, and do not know its placeholders: they get sixels.
_KITTY_TERMS = ("xterm-kitty", "xterm-ghostty")
_TERMS = (*_KITTY_TERMS, "foot", "contour", "mlterm", "wezterm", "mintty", "yaft")
_PROGRAMS = frozenset({"ghostty", "iTerm.app", "mintty", "rio", "vscode", "WezTerm"})
_VARIABLES = ("KITTY_WINDOW_ID", "KONSOLE_VERSION", "WEZTERM_PANE", "WT_SESSION", "XTERM_VERSION")


class TerminalImages(NamedTuple):
    """How images are drawn, None where they are not; and the width and height of a cell in pixels."""

    drawing: Drawing | None = None
    cell: tuple[int, int] = (10, 20)


NO_IMAGES = TerminalImages()

Ask = Callable[[bytes], bytes]


def terminal_images(
    environ: Mapping[str, str],
    wanted: str = "auto",
    *,
    many_colours: bool = True,
    is_installed: Callable[[], bool] | None = None,
    ask: Ask | None = None,
) -> TerminalImages:
    """How images can be drawn. ``wanted`` is ``auto``, ``off`` or a way to draw; ``many_colours``: 256 or more."""
    if wanted == "off" or not (is_installed or _is_installed)():
        return NO_IMAGES
    blocks = TerminalImages("blocks" if many_colours else None)
    if environ.get("TEXTUAL_DRIVER"):
        return blocks
    if wanted != "auto":
        return TerminalImages(wanted, _cell_size() or blocks.cell)  # type: ignore[arg-type]
    if not _may_draw(environ):
        return blocks
    size = _cell_size()
    by_kitty = not environ.get("TMUX") and _is_kitty(environ)
    query = (_KITTY if by_kitty else b"") + (b"" if size else _CELL_SIZE) + _ATTRIBUTES
    answer = (ask or ask_terminal)(query)
    if size is None and (found := _HAS_CELL_SIZE.search(answer)) is not None and int(found[1]) and int(found[2]):
        size = int(found[2]), int(found[1])
    attributes = _HAS_ATTRIBUTES.search(answer)
    if by_kitty and many_colours and _KITTY_ANSWER in answer:
        return TerminalImages("kitty", size or blocks.cell)
    if attributes is not None and _SIXEL in attributes[1].split(b";"):
        return TerminalImages("sixel", size or blocks.cell)
    return blocks


def ask_terminal(query: bytes) -> bytes:
    """Write to the terminal and return what it answers, up to its attributes; nothing where it cannot be asked, or
    standard output is a pipe.

    What is typed before is left to the app: then the terminal is not asked.
    """
    try:
        keyboard, screen = sys.__stdin__.fileno(), sys.__stdout__.fileno()  # type: ignore[union-attr]
        before = termios.tcgetattr(keyboard)
        termios.tcgetattr(screen)
    except (OSError, ValueError, AttributeError, termios.error):
        return b""
    answer = b""
    try:
        tty.setcbreak(keyboard, termios.TCSANOW)
        if select.select([keyboard], [], [], 0)[0]:
            return b""
        os.write(screen, query)
        until = monotonic() + ANSWER_SECONDS
        while _HAS_ATTRIBUTES.search(answer) is None:
            left = until - monotonic()
            if left <= 0 or not select.select([keyboard], [], [], left)[0]:
                break
            if not (read := os.read(keyboard, 256)):
                break
            answer += read
    except (OSError, termios.error):
        return b""
    finally:
        with suppress(termios.error):
            termios.tcsetattr(keyboard, termios.TCSANOW, before)
    return answer


def _is_installed() -> bool:
    return importlib.util.find_spec("textual_image") is not None


def _may_draw(environ: Mapping[str, str]) -> bool:
    """Whether the environment names a terminal that may draw; GNU screen and unknown terminals are not asked."""
    term = environ.get("TERM", "")
    if environ.get("TMUX"):
        return True
    if environ.get("STY") or term.startswith("screen"):
        return False
    return (
        term.startswith(_TERMS)
        or environ.get("TERM_PROGRAM") in _PROGRAMS
        or any(environ.get(name) for name in _VARIABLES)
    )


def _is_kitty(environ: Mapping[str, str]) -> bool:
    return (
        environ.get("TERM", "").startswith(_KITTY_TERMS)
        or environ.get("TERM_PROGRAM") == "ghostty"
        or bool(environ.get("KITTY_WINDOW_ID"))
    )


def _cell_size() -> tuple[int, int] | None:
    """The size of a cell as the system knows it, in pixels."""
    try:
        found = ioctl(sys.__stdout__.fileno(), termios.TIOCGWINSZ, b"\0" * 8)  # type: ignore[union-attr]
    except (OSError, ValueError, AttributeError):
        return None
    rows, columns, width, height = unpack("HHHH", found)
    return (width // columns, height // rows) if columns and rows and width >= columns and height >= rows else None
