"""``import``: reads transcripts of other agents into the workspace."""

import click


@click.command("import")
def command() -> None:
    """x."""
