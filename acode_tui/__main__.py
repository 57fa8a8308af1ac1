"""``python -m acode_tui`` and the ``acode-tui`` console script."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from acode_tui.cli.main import main as run
    except KeyboardInterrupt:
        # Pressed while modules were being read. The exit code is that of ``cli.faults``, which may be one of them.
        sys.exit(130)

    run()


if __name__ == "__main__":
    main()
