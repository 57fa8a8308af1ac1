"""What tells the user's terminal that a run needs attention: its bell, its title, and a desktop notice. Pure.

Text of a run may be a stranger's: in a sequence it has printable characters only, so that it can neither end the
sequence nor begin another one.
"""

from collections.abc import Mapping
from typing import Literal

from acode_tui.domain.display import clean

DesktopNotice = Literal["off", "osc9", "osc777"]

BELL = "\a"
KEEP_TITLE, RESTORE_TITLE = "\x1b[22;2t", "\x1b[23;2t"
"""Put the title on the terminal's stack, and take it back from there."""

_MAX_CHARS = 120
_END = "\x1b\\"
_TITLED = (
    *("xterm", "tmux", "screen", "rxvt", "alacritty", "kitty", "foot", "wezterm", "ghostty", "iterm", "konsole"),
    *("vte", "gnome", "st", "contour", "mintty", "putty", "mlterm", "eterm", "rio"),
)
"""Beginnings of the names of terminals that read OSC sequences. Others, such as a console, may print them."""


def reads_osc(environ: Mapping[str, str]) -> bool:
    """Whether the terminal is one of those known to read titles and notices."""
    return environ.get("TERM", "").lower().startswith(_TITLED)


def title_sequence(text: str) -> str:
    """Sets the title of the terminal's window, or of the pane of tmux."""
    return f"\x1b]2;{_plain(text)}{_END}"


def desktop_sequence(kind: DesktopNotice, title: str, text: str, environ: Mapping[str, str]) -> str:
    """Asks the terminal for a desktop notice; inside tmux and GNU screen, the terminal that shows those.

    Empty for ``off``. tmux lets it through with ``set -g allow-passthrough on``.
    """
    if kind == "off":
        return ""
    # A semicolon divides the fields of the sequence.
    title, text = (_plain(each).replace(";", ",") for each in (title, text))
    # OSC 9 shows one text. One that began with a digit would be another command, such as the progress of Windows.
    sequence = f"\x1b]9;{title}: {text}\a" if kind == "osc9" else f"\x1b]777;notify;{title};{text}\a"
    if environ.get("TMUX"):
        return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + _END
    if environ.get("STY"):
        return f"\x1bP{sequence}{_END}"
    return sequence


def _plain(text: str) -> str:
    return "".join(char for char in clean(text, max_chars=_MAX_CHARS) if char.isprintable())
