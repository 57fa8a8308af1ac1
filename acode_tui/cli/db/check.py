"""``db check``: checks the workspace's file for damage, and with ``--remote`` the team's database against it."""

from typing import TYPE_CHECKING

import click

from acode_tui.cli.errors import FAILURE
from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples, json_option
from acode_tui.cli.output import print_checks, print_json
from acode_tui.cli.progress import StepLine
from acode_tui.domain.quantities import span

if TYPE_CHECKING:
    from acode_tui.storage.ports import Check


@click.command(
    "check",
    epilog=examples(
        "acode-tui db check", "acode-tui db check --deep --remote", "acode-tui db check --json && echo sound"
    ),
)
@click.option("--deep", is_flag=True, help="Compare the content of every artifact with its hash.")
@click.option("--remote", is_flag=True, help="Also check the team's database and compare its rows with these.")
@click.option("--repair-clock", is_flag=True, help="Bring new stamps back after this machine's clock was wrong.")
@json_option
@pass_invocation
def command(invocation: Invocation, deep: bool, remote: bool, repair_clock: bool, as_json: bool) -> int:
    """Check the workspace's file for damage. Exits with 1 if there is any; migrates and changes nothing.

    With --repair-clock, new stamps follow the clock again where they are ahead of it: the one thing that is changed.
    """
    checks = _run_checks(invocation, deep=deep, remote=remote)
    if repair_clock:
        checks = (_repair_clock(invocation), *checks)
    sound = all(each.ok for each in checks)
    if as_json:
        print_json({"ok": sound, "checks": checks})
        return 0 if sound else FAILURE
    print_checks(checks)
    if not all(each.ok for each in checks if not each.name.startswith("remote") and each.name != "migrations"):
        click.echo(
            "nothing was changed; repair damage with `acode-tui db restore` or `acode-tui db recover --from postgres`",
            err=True,
        )
    return 0 if sound else FAILURE


def _repair_clock(invocation: Invocation) -> "Check":
    from acode_tui.storage.ports import Check

    ahead = invocation.with_workspace(lambda workspace: workspace.repair_clock())
    description = "new stamps follow the clock: nothing to repair"
    if ahead is not None:
        description = f"new stamps were {span(ahead)} ahead, and follow the clock from now on; no stored stamp changed"
    return Check(name="workspace clock", ok=True, description=description)


def _run_checks(invocation: Invocation, *, deep: bool, remote: bool) -> "tuple[Check, ...]":
    from acode_tui.cli.event_loop import run_async

    async def run() -> "tuple[Check, ...]":
        with StepLine("checking") as line:
            found = await invocation.maintenance.check(deep=deep, on_step=line.show)
            if remote:
                found += await invocation.maintenance.check_team(on_step=line.show)
            return found

    return run_async(run())
