"""Opens the dashboard. The only module of the command line that imports the dashboard, and only to open it."""

import gc
import os
import sys
from pathlib import Path

from acode_tui.cli.invocation import Invocation


def require_terminal() -> bool:
    """Whether a terminal can show the dashboard or, with ``--serve``, a browser. Prints an error if not."""
    served = os.environ.get("TEXTUAL_DRIVER", "").startswith("textual.drivers.web_driver:")
    if not served and os.environ.get("TERM") in ("dumb", "unknown"):
        sys.stderr.write(
            f"error: the dashboard needs a terminal that moves its cursor, and TERM is {os.environ['TERM']}; "
            "run `acode-tui session list` or another command, or set TERM to the terminal's name\n"
        )
        return False
    if served or (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    sys.stderr.write(
        "error: the dashboard needs a terminal; standard input or output is not one; "
        "run `acode-tui --headless`, or a command such as `acode-tui session list`\n"
    )
    return False


def open_dashboard(invocation: Invocation) -> int:
    """Run the dashboard and return its exit code; without a terminal, print an error."""
    if not require_terminal():
        return 1
    # Importing Textual creates many objects that live until the end; repeated garbage collections among them take a
    # tenth of the start. The dashboard enables collection again after its first frame.
    gc.disable()
    settings, url = invocation.settings, invocation.database_url
    if url is None:
        invocation.start_log()
    from acode_tui.tui.run_dashboard import run_dashboard

    if url is not None:
        from acode_tui.config.workspace_root import find_folder

        return run_dashboard(find_folder(), settings, database_url=url)
    return run_dashboard(invocation.root, settings, asks_for_folder=not invocation.is_workspace_named)


def open_without_click(workspace: str | None = None) -> int:
    """What ``acode-tui`` does, or ``acode-tui --workspace DIR`` with an existing folder. Return the exit code.

    Click takes as long to import as all widgets of the first frame, and is imported for an error only.
    """
    invocation = Invocation()
    invocation.apply_options(None if workspace is None else Path(workspace), None)
    try:
        return open_dashboard(invocation)
    except BaseException as error:  # noqa: BLE001 - handled as any command's
        raised = error

    from acode_tui.cli.errors import exit_code_of

    def fail() -> None:
        raise raised

    return exit_code_of(fail, lambda: invocation.secrets)
