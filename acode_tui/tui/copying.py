"""Copying to the terminal's clipboard (OSC 52), over SSH too.

What is copied is what is shown: cleaned text, so nothing hidden in a recording reaches a shell by a paste.
A terminal takes only so much in one sequence; more is refused rather than lost in silence.
"""

from textual.app import App

from acode_tui.domain.display import clean
from acode_tui.tui.style.times import size

MAX_BYTES = 74_000
"""What every terminal with OSC 52 takes: 100,000 characters of base64 with its frame."""


def copy(app: App[int], text: str, what: str, *, otherwise: str = "") -> bool:
    """Copy cleaned text and say so; False, and a toast with ``otherwise``, if there is nothing or too much."""
    shown = clean(text, keep_newlines=True)
    count = len(shown.encode())
    if not shown:
        app.notify(f"there is no {what} to copy here", title="copy", severity="warning", markup=False)
        return False
    if count > MAX_BYTES:
        said = f"{size(count)} are more than a terminal's clipboard takes ({size(MAX_BYTES)})"
        app.notify(f"{said}; {otherwise}" if otherwise else said, title="copy", severity="warning", markup=False)
        return False
    app.copy_to_clipboard(shown)
    told = what if count > 200 else f"{what}: {shown.splitlines()[0][:60]}"
    app.notify(told, title="copied", timeout=3, markup=False)
    return True
