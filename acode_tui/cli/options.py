"""What the commands' help and options have in common. Imported by every command, so it imports click alone."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def examples(*lines: str) -> str:
    """The examples below a help text, with their layout preserved."""
    title = "Example:" if len(lines) == 1 else "Examples:"
    return "\b\n" + "\n".join([title, *(f"  {line}" for line in lines)])


def json_option(function: F) -> F:
    """``--json``: print JSON. If it is given to a group, it applies to the group's command."""
    return click.option("--json", "as_json", is_flag=True, callback=_own_or_group_value, help="Print JSON instead.")(
        function
    )


def source_option(function: F) -> F:
    """``--source``: read this workspace or the team's database."""
    return click.option(
        "--source",
        type=click.Choice(["local", "postgres"]),
        default="local",
        show_default=True,
        help="The runs of this workspace, or of the whole team.",
    )(function)


def query_of(context: click.Context, words: Sequence[str]) -> str:
    """The query that a command's words make. Raises NoSuchOption.

    Unknown options are among the words, because `-word` is a part of the language.
    """
    for word in words:
        if word.startswith("--"):
            from difflib import get_close_matches

            given = word.partition("=")[0]
            known = [option for each in context.command.params for option in each.opts if option.startswith("--")]
            raise click.NoSuchOption(given, possibilities=get_close_matches(given, known), ctx=context)
    return " ".join(words)


def complete_key(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The settings that begin so."""
    from acode_tui.config import keys

    return [name for name in keys.table() if name.startswith(incomplete)]


def force_option(function: F) -> F:
    """``--force`` or ``--yes``: do not ask for confirmation."""
    return click.option("--force", "--yes", "force", is_flag=True, help="Do not ask for confirmation.")(function)


def _own_or_group_value(context: click.Context, _: click.Parameter, given: bool) -> bool:
    return given or (context.parent is not None and context.parent.params.get("as_json", False))
