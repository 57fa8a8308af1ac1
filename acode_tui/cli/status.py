"""``status``: the health of the workspace. Opens, creates and changes nothing; the exit code is the status."""

from typing import TYPE_CHECKING

import click

from acode_tui.cli.errors import print_error
from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples, json_option
from acode_tui.cli.output import Column, print_json, print_table
from acode_tui.domain.display import clean
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.quantities import counted

if TYPE_CHECKING:
    from acode_tui.ops.health import HealthReport

NOT_CHECKED = 3
_EXIT_CODES = {"Healthy": 0, "Degraded": 1, "Unhealthy": 2}


@click.command("status", epilog=examples("acode-tui status", "acode-tui status --json | jq -r .status"))
@json_option
@pass_invocation
def command(invocation: Invocation, as_json: bool) -> int:
    """Show how healthy the workspace is. Exits with 0 if healthy, 1 if degraded, 2 if unhealthy, 3 if not checked."""
    try:
        found = _read_health(invocation)
    except AcodeError as error:
        print_error(str(error), invocation.secrets)
        return NOT_CHECKED
    if as_json:
        print_json(found)
        return _EXIT_CODES[found.status]
    rows = [(check.status.value, check.name, check.description) for check in found.checks]
    print_table((Column(""), Column("check"), Column("finding", flexible=True)), rows)
    click.echo()
    warnings = sum(check.status != "Healthy" for check in found.checks) if found.status == "Healthy" else 0
    noted = f", with {counted(warnings, 'warning')}" if warnings else ""
    place = _place(invocation)
    click.echo(clean(f"{found.status.value}{noted} ({place})"))
    by_suggestion: dict[str, list[str]] = {}
    for check in found.checks:
        if check.suggestion:
            by_suggestion.setdefault(check.suggestion, []).append(check.name)
    for suggestion, names in by_suggestion.items():
        click.echo(clean(f"  {', '.join(names)}: {suggestion}"))
    return _EXIT_CODES[found.status]


def _read_health(invocation: Invocation) -> "HealthReport":
    from acode_tui.cli.event_loop import run_async

    if (url := invocation.database_url) is not None:
        from acode_tui.workspace.direct import direct_address, read_health

        address = direct_address(url, invocation.settings, invocation.environ)
        return run_async(read_health(address, invocation.settings))
    return run_async(invocation.maintenance.health())


def _place(invocation: Invocation) -> str:
    """The folder, or the database as it is shown."""
    if (url := invocation.database_url) is not None:
        from acode_tui.workspace.direct import direct_address

        return direct_address(url, invocation.settings, invocation.environ).display
    return str(invocation.root)
