"""Opens the dashboard. The only place that reaches the terminal interface, and only when it is asked for."""

import gc
import os
import sys

from acode_tui.cli.faults import FAULT
from acode_tui.cli.invocation import Invocation


def require_terminal() -> bool:
    """Whether there is a terminal or, behind ``--serve``, a browser to draw on; where there is none, that is said."""
    served = os.environ.get("TEXTUAL_DRIVER", "").startswith("textual.drivers.web_driver:")
    if served or (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    sys.stderr.write(
        "error: the dashboard needs a terminal; standard input or output is not one; "
        "run `acode-tui --headless`, or a command such as `acode-tui session list`\n"
    )
    return False


def open_dashboard(invocation: Invocation) -> int:
    """Run the dashboard and answer its exit code; without a terminal say so."""
    if not require_terminal():
        return FAULT
    # Importing a terminal interface makes many objects that live to the end; looking for garbage among them, again and
    # again, takes a tenth of the start. The dashboard turns it on again once its first frame stands.
    gc.disable()
    settings = invocation.settings
    invocation.start_log()
    from acode_tui.tui.app import run_dashboard

    return run_dashboard(invocation.root, settings)
