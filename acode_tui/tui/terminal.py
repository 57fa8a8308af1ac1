"""Who has the mouse: the dashboard, or the terminal, which selects text with it as it does elsewhere."""

from typing import Any

from textual.app import App


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
