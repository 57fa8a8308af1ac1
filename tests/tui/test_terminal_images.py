"""How images are drawn: by the environment, by what the terminal answers, and by the setting."""

import os
import pty
import sys
import termios
import threading
from typing import Any

import pytest

from acode_tui.tui.terminal_images import ask_terminal, terminal_images

KITTY = b"\x1b_Gi=31;OK\x1b\\\x1b[?62c"
SIXEL = b"\x1b[6;18;9t\x1b[?62;4;22c"


@pytest.mark.parametrize(
    ("environ", "answer", "drawing"),
    [
        ({"TERM": "xterm-kitty"}, KITTY, "kitty"),
        ({"TERM": "xterm-kitty"}, b"\x1b[?62c", "blocks"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, KITTY[:-1] + b";4c", "sixel"),
        ({"TERM": "foot"}, SIXEL, "sixel"),
        ({"TERM": "foot"}, b"\x1b[?62;14;22c", "blocks"),
        ({"TERM": "foot"}, b"", "blocks"),
        # tmux answers for itself, whatever terminal it is in.
        ({"TERM": "tmux-256color", "TMUX": "/tmp/x", "KITTY_WINDOW_ID": "1"}, KITTY, "blocks"),
        ({"TERM": "tmux-256color", "TMUX": "/tmp/x"}, SIXEL, "sixel"),
        # These are not asked.
        ({"TERM": "xterm-256color"}, None, "blocks"),
        ({"TERM": "screen-256color", "STY": "1.x", "KITTY_WINDOW_ID": "1"}, None, "blocks"),
        ({"TERM": "foot", "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver"}, None, "blocks"),
    ],
)
def test_the_terminal_says_how_images_are_drawn(environ: dict[str, str], answer: bytes | None, drawing: str) -> None:
    def ask(query: bytes) -> bytes:
        assert answer is not None, "the terminal is asked"
        assert query.endswith(b"\x1b[c")
        assert b"_G" not in query or "TMUX" not in environ
        return answer

    found = terminal_images(environ, is_installed=lambda: True, ask=ask)
    assert found.drawing == drawing
    if answer == SIXEL:
        assert found.cell == (9, 18)


def test_without_the_extra_or_when_switched_off_nothing_is_drawn_or_asked() -> None:
    def ask(query: bytes) -> bytes:
        raise AssertionError

    named = {"TERM": "xterm-kitty"}
    assert terminal_images(named, "kitty", is_installed=lambda: False, ask=ask).drawing is None
    assert terminal_images(named, "off", is_installed=lambda: True, ask=ask).drawing is None
    assert terminal_images({}, is_installed=lambda: True, ask=ask, many_colours=False).drawing is None
    assert terminal_images({}, "sixel", is_installed=lambda: True, ask=ask).drawing == "sixel"


def test_the_terminal_is_asked_once_and_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread is the terminal. What was typed before the question is not taken from the app."""
    outside, inside = pty.openpty()
    with open(inside, "r+b", buffering=0) as stream:
        as_text: Any = stream
        monkeypatch.setattr(sys, "__stdin__", as_text)
        monkeypatch.setattr(sys, "__stdout__", as_text)
        before = termios.tcgetattr(inside)

        def answer() -> None:
            read = b""
            while not read.endswith(b"\x1b[c"):
                read += os.read(outside, 64)
            os.write(outside, SIXEL)

        terminal = threading.Thread(target=answer)
        terminal.start()
        assert ask_terminal(b"\x1b[16t\x1b[c") == SIXEL
        terminal.join()
        assert termios.tcgetattr(inside) == before
        os.write(outside, b"jj\n")
        assert ask_terminal(b"\x1b[c") == b""
        assert os.read(inside, 8) == b"jj\n"
    os.close(outside)
