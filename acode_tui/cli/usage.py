"""What help texts and options share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def examples(*lines: str) -> str:
    """The examples under a help text, kept as they are laid out."""
    title = "Example:" if len(lines) == 1 else "Examples:"
    return "\b\n" + "\n".join([title, *(f"  {line}" for line in lines)])


def json_option(function: F) -> F:
    """``--json``: the same as JSON, for programs. Given to a group it holds for the group's command."""
    return click.option("--json", "as_json", is_flag=True, callback=_or_the_groups, help="Print JSON instead.")(
        function
    )


def force_option(function: F) -> F:
    """``--force``, or ``--yes``: go on without the question that is asked otherwise."""
    return click.option("--force", "--yes", "force", is_flag=True, help="Do not ask.")(function)


def _or_the_groups(context: click.Context, _: click.Parameter, given: bool) -> bool:
    return given or (context.parent is not None and context.parent.params.get("as_json", False))
