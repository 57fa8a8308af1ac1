"""``python -m acode_tui`` and the ``acode-tui`` console script."""


def main() -> None:
    """Run the command line."""
    from acode_tui.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
