"""What the dashboard asks of the terminal: the mouse, and the clipboard."""

from typing import Any

from textual.app import App

from acode_tui.domain.display import clean
from acode_tui.domain.quantities import size


def capture_mouse(app: App[Any], wanted: bool) -> bool:
    """Capture the mouse while the dashboard runs, or leave it to the terminal, which selects text with it. Returns
    ``wanted``; a driver without mouse support is left as it is.
    """
    driver = app._driver
    switch = getattr(driver, "_enable_mouse_support" if wanted else "_disable_mouse_support", None)
    if driver is not None and switch is not None:
        # A driver started without the mouse ignores the switch; a resumed one captures the mouse as ``_mouse`` says.
        driver._mouse = True
        switch()
        driver._mouse = wanted
        driver.flush()
    return wanted


MAX_BYTES = 74_000
"""The limit of a copy: terminals with OSC 52 take at least 100,000 characters of base64 and its frame."""


def copy(app: App[int], text: str, what: str, *, otherwise: str = "") -> bool:
    """Copy text, cleaned, to the clipboard; a toast says so. False if it is empty or too long: the toast says why, and
    ``otherwise``.
    """
    cleaned = clean(text, keep_newlines=True)
    count = len(cleaned.encode())
    if not cleaned:
        app.notify(f"there is no {what} to copy here", title="copy", severity="warning", markup=False)
        return False
    if count > MAX_BYTES:
        reason = f"{size(count)} are more than a terminal's clipboard takes ({size(MAX_BYTES)})"
        app.notify(f"{reason}; {otherwise}" if otherwise else reason, title="copy", severity="warning", markup=False)
        return False
    app.copy_to_clipboard(cleaned)
    summary = what if count > 200 else f"{what}: {cleaned.splitlines()[0][:60]}"
    app.notify(summary, title="copied", timeout=3, markup=False)
    return True
