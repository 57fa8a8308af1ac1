"""Who has the mouse: the dashboard, or the terminal, which selects text with it as it does elsewhere."""

from typing import Any

from textual.app import App

from acode_tui.domain.display import clean
from acode_tui.domain.quantities import size


def capture_mouse(app: App[Any], wanted: bool) -> bool:
    """Take the mouse or give it back while the dashboard runs; answers who has it now. A driver without one is left."""
    driver = app._driver
    switch = getattr(driver, "_enable_mouse_support" if wanted else "_disable_mouse_support", None)
    if driver is not None and switch is not None:
        # A driver that was started without a mouse skips the switch; one that is woken turns on what it had.
        driver._mouse = True
        switch()
        driver._mouse = wanted
        driver.flush()
    return wanted


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
