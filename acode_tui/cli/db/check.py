"""``db check``: whether the workspace's file is sound, and with ``--remote`` whether the team's database fits it."""

from typing import TYPE_CHECKING

import click

from acode_tui.cli.faults import FAULT
from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.output import Column, examples, json_option, print_json, print_table
from acode_tui.cli.progress import StepLine

if TYPE_CHECKING:
    from acode_tui.storage.ports import Check


@click.command(
    "check",
    epilog=examples(
        "acode-tui db check", "acode-tui db check --deep --remote", "acode-tui db check --json && echo sound"
    ),
)
@click.option("--deep", is_flag=True, help="Compare every artifact with its hash, however many there are.")
@click.option("--remote", is_flag=True, help="Look at the team's database too: its tables, its rows against these.")
@json_option
@pass_invocation
def command(invocation: Invocation, deep: bool, remote: bool, as_json: bool) -> int:
    """Look for damage in the workspace's file. Exits 1 if there is any; opens, migrates and changes nothing."""
    checks = _ask(invocation, deep=deep, remote=remote)
    sound = all(each.ok for each in checks)
    if as_json:
        print_json({"ok": sound, "checks": checks})
        return 0 if sound else FAULT
    rows = [("ok" if each.ok else "BAD", each.name, each.description) for each in checks]
    print_table((Column(""), Column("check"), Column("finding", flexible=True)), rows)
    if not all(each.ok for each in checks if not each.name.startswith("remote")):
        click.echo(
            "nothing was changed; damage is mended by `acode-tui db restore` or `acode-tui db recover --from postgres`",
            err=True,
        )
    return 0 if sound else FAULT


def _ask(invocation: Invocation, *, deep: bool, remote: bool) -> "tuple[Check, ...]":
    from acode_tui.cli.invocation import run_async

    async def run() -> "tuple[Check, ...]":
        with StepLine("checking") as line:
            found = await invocation.maintenance.check(deep=deep, on_step=line.show)
            if remote:
                found += await invocation.maintenance.check_team(on_step=line.show)
            return found

    return run_async(run())
