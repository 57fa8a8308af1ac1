"""``python -m acode_tui`` and the ``acode-tui`` console script."""

import atexit
import gc
import os
import signal
import sys

_INTERRUPTED = 130
"""The same as ``cli.errors.INTERRUPTED``, which may not be imported yet."""


def main() -> None:
    """Run the command line."""
    code: object = 0
    try:
        if sys.argv[1:2] == ["hook"] and len(sys.argv) in (3, 4) and sys.argv[2] in ("claude-code", "codex"):
            # An agent waits for this: the command line is not needed, and takes longer to import.
            _hook(sys.argv[2:])
        # Imports make many objects, and no garbage that has to be collected meanwhile.
        gc.disable()
        if _opens_dashboard(sys.argv[1:]):
            from acode_tui.cli.dashboard import open_without_click

            code = open_without_click(*sys.argv[2:])
        else:
            from acode_tui.cli.main import main as run

            gc.enable()
            run()
    except SystemExit as ended:
        code = ended.code
    except KeyboardInterrupt:
        # Pressed while modules were imported, or again while the first interruption was handled.
        code = _INTERRUPTED
    _exit(code if isinstance(code, int) else 0)


def _opens_dashboard(arguments: list[str]) -> bool:
    """Whether the arguments are none, or name an existing folder as the workspace: then no command line is needed."""
    if "_ACODE_TUI_COMPLETE" in os.environ:
        return False
    return not arguments or (len(arguments) == 2 and arguments[0] == "--workspace" and os.path.isdir(arguments[1]))


def _hook(arguments: list[str]) -> None:
    from acode_tui.hooks.receive import receive

    argument = arguments[1] if len(arguments) == 2 else None
    if (argument or "").startswith("-") or (argument is None) != (arguments[0] == "claude-code"):
        return
    sys.stdout.flush()
    os._exit(receive(arguments[0], argument))


def _exit(code: int) -> None:
    """Exit with a code that a later interruption does not change.

    An interruption while the interpreter waits for threads ends the process at once with this code. After that the
    interpreter restores the default handler, which would end the process by the signal, so the signal is ignored.
    """
    signal.signal(signal.SIGINT, lambda *_: os._exit(code))
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


if __name__ == "__main__":
    main()
