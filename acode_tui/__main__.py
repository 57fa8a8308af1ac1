"""``python -m acode_tui`` and the ``acode-tui`` console script."""

import atexit
import os
import signal
import sys

_INTERRUPTED = 130
"""The exit code of ``cli.faults``, which may not have been read yet."""


def main() -> None:
    """Run the command line."""
    code: object = 0
    try:
        from acode_tui.cli.main import main as run

        run()
    except SystemExit as ended:
        code = ended.code
    except KeyboardInterrupt:
        # Pressed while modules were being read, or once more while the first time was being answered.
        code = _INTERRUPTED
    _settle(code if isinstance(code, int) else 0)


def _settle(code: int) -> None:
    """Exit with a code that an interruption no longer changes: what there was to say has been said.

    Threads that are still being waited for are left. Behind them the interpreter takes itself apart, with the
    system's own handler in place, which would end the process by the signal.
    """
    signal.signal(signal.SIGINT, lambda *_: os._exit(code))
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


if __name__ == "__main__":
    main()
