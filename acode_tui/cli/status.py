"""``status``: how the workspace is. Opens, makes and changes nothing; the exit code says what the words say."""

from typing import TYPE_CHECKING

import click

from acode_tui.cli.faults import say
from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.output import Column, examples, json_option, print_json, print_table
from acode_tui.domain.display import clean
from acode_tui.domain.errors import AcodeError

if TYPE_CHECKING:
    from acode_tui.ops.health import HealthReport

COULD_NOT_CHECK = 3
_EXIT = {"Healthy": 0, "Degraded": 1, "Unhealthy": 2}


@click.command("status", epilog=examples("acode-tui status", "acode-tui status --json | jq -r .status"))
@json_option
@pass_invocation
def command(invocation: Invocation, as_json: bool) -> int:
    """Show how healthy the workspace is. Exits 0 if it is, 1 if degraded, 2 if unhealthy, 3 if it could not check."""
    try:
        found = _look(invocation)
    except AcodeError as error:
        say(str(error), invocation.secrets)
        return COULD_NOT_CHECK
    if as_json:
        print_json(found)
        return _EXIT[found.status]
    rows = [(check.status.value, check.name, check.description) for check in found.checks]
    print_table((Column(""), Column("check"), Column("finding", flexible=True)), rows)
    click.echo()
    click.echo(clean(f"{found.status.value} ({invocation.root})"))
    asked: dict[str, list[str]] = {}
    for check in found.checks:
        if check.suggestion:
            asked.setdefault(check.suggestion, []).append(check.name)
    for suggestion, names in asked.items():
        click.echo(clean(f"  {', '.join(names)}: {suggestion}"))
    return _EXIT[found.status]


def _look(invocation: Invocation) -> "HealthReport":
    from acode_tui.cli.invocation import run_async

    return run_async(invocation.maintenance.health())
