"""``db vacuum``: returns unused space in the workspace's database to the disk."""

from typing import TYPE_CHECKING

import click

from acode_tui.cli.event_loop import run_async
from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples, json_option
from acode_tui.cli.output import print_json
from acode_tui.cli.progress import StepLine
from acode_tui.domain.quantities import size

if TYPE_CHECKING:
    from acode_tui.ops.backup.vacuum import Vacuumed


@click.command(
    "vacuum", epilog=examples("acode-tui db vacuum --dry-run", "acode-tui db vacuum", "acode-tui db vacuum --json")
)
@click.option("--dry-run", is_flag=True, help="Show how much space it would free; change nothing.")
@json_option
@pass_invocation
def command(invocation: Invocation, dry_run: bool, as_json: bool) -> None:
    """Rewrite the workspace's database without unused pages, to free their space.

    Meanwhile readers continue and writers wait. Temporarily it needs twice the size of the database.
    """
    done = run_async(_vacuum(invocation, dry_run=dry_run))
    if as_json:
        print_json(done)
        return
    before, after = size(done.before_bytes), size(done.after_bytes)
    if dry_run:
        click.echo(f"{before} now, {after} of it in use: a vacuum frees the rest")
    else:
        click.echo(f"{before} before, {after} now")


async def _vacuum(invocation: Invocation, *, dry_run: bool) -> "Vacuumed":
    invocation.start_log()
    with StepLine("vacuum") as line:
        return await invocation.maintenance.vacuum(dry_run=dry_run, on_step=line.show)
