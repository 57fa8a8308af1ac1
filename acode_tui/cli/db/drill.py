"""``db drill``: are there ways back, and do they lead there?"""

from typing import TYPE_CHECKING

import click

from acode_tui.cli.faults import FAULT
from acode_tui.cli.invocation import Invocation, pass_invocation, run_async
from acode_tui.cli.output import Column, examples, json_option, print_json, print_table
from acode_tui.cli.progress import StepLine
from acode_tui.domain.quantities import counted, duration

if TYPE_CHECKING:
    from acode_tui.ops.recovery.drill import Attempt, Drill


@click.command("drill", epilog=examples("acode-tui db drill", "acode-tui db drill --json && echo ready"))
@json_option
@pass_invocation
def command(invocation: Invocation, as_json: bool) -> int:
    """Try the ways back: restore the newest backup and recover from PostgreSQL, both into a scratch folder.

    What comes out is checked and compared with the manifest, the server and the present database, which is only looked
    at. Exits 1 if a way does not lead back, or there is no backup.
    """
    invocation.start_log()

    async def run() -> "Drill":
        with StepLine("drill") as line:
            return await invocation.maintenance.drill(on_step=line.show)

    done = run_async(run())
    if as_json:
        print_json(done)
    else:
        _print(f"backup {done.backup.name}".rstrip(), done.backup)
        if done.recovery is None:
            click.echo("recovery: not tried, PostgreSQL is not enabled")
        else:
            _print(f"recovery {done.recovery.name}", done.recovery)
        verdict = "every way tried leads back" if done.ok else "NOT every way leads back"
        click.echo(f"{verdict}; {duration(done.duration_seconds)}; nothing was changed")
    return 0 if done.ok else FAULT


def _print(title: str, tried: "Attempt") -> None:
    told = f"{title}: {'ok' if tried.ok else 'FAILED'}"
    if tried.counts:
        told += f", {counted(tried.counts.get('sessions', 0), 'session')}, {counted(sum(tried.counts.values()), 'row')}"
    click.echo(told)
    rows = [("ok" if each.ok else "BAD", each.name, each.description) for each in tried.checks]
    print_table((Column(""), Column("check"), Column("finding", flexible=True)), rows)
