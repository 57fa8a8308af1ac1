"""``db recover``: rebuilds the workspace's database from the team's database."""

import sys
from typing import TYPE_CHECKING

import click

from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples, json_option
from acode_tui.cli.output import cell, print_fields, print_json
from acode_tui.cli.progress import RebuildLine
from acode_tui.domain.quantities import counted, duration, number

if TYPE_CHECKING:
    from acode_tui.ops.recovery.recover import Recovery, RecoveryPlan


@click.command(
    "recover",
    epilog=examples(
        "acode-tui db recover --from postgres --dry-run",
        "acode-tui db recover --from postgres",
        "acode-tui db recover --from postgres --workspace-id 0190d6a1 --json",
    ),
)
@click.option("--from", "source", type=click.Choice(["postgres"]), required=True, help="The source of the runs.")
@click.option(
    "--workspace-id",
    metavar="ID",
    help="The workspace on the server, by a unique prefix of its id. Default: the workspace of this folder.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be done; change nothing.")
@click.option("--force", is_flag=True, help="Replace an undamaged file without asking. It is kept beside the new one.")
@json_option
@pass_invocation
def command(
    invocation: Invocation, source: str, workspace_id: str | None, dry_run: bool, force: bool, as_json: bool
) -> None:
    """Rebuild the workspace's database from the team's PostgreSQL after it was damaged or lost.

    Before the new file replaces the old one, it is compared with the server row by row. The old one is kept as
    workspace.db.corrupted-TIME. Records that were never sent are lost. After an interruption, run it again.
    """
    from acode_tui.cli.event_loop import run_async

    if dry_run:
        planned = run_async(invocation.maintenance.plan_recovery(workspace_id=workspace_id))
        if as_json:
            print_json(planned)
        else:
            _print_plan(planned)
        return
    invocation.start_log()

    def confirmed(plan: "RecoveryPlan") -> bool:
        if force or not sys.stdin.isatty():
            return force
        _print_plan(plan, err=True)
        return click.confirm("The file is not damaged. Replace it anyway?", err=True)

    async def run() -> "Recovery":
        with RebuildLine() as line:
            return await invocation.maintenance.recover(
                workspace_id=workspace_id, confirm=confirmed, on_progress=line.show
            )

    done = run_async(run())
    if as_json:
        print_json(done)
    else:
        _print_done(done)


def _print_plan(plan: "RecoveryPlan", *, err: bool = False) -> None:
    found = plan.file if not plan.reason else f"{plan.file}: {plan.reason}"
    unsent = f"{counted(plan.unsent, 'record')}, which would be lost" if plan.unsent else "nothing"
    if plan.unsent is None:
        unsent = "unknown" if plan.file == "damaged" else "-"
    print_fields(
        [
            ("workspace", plan.workspace_id),
            ("file", plan.path),
            ("  state", found),
            ("  unsent", unsent),
            *((f"  {table}", f"{number(count)} on the server") for table, count in plan.counts.items()),
        ],
        err=err,
    )


def _print_done(done: "Recovery") -> None:
    rows = sum(done.counts.values())
    rate = rows / done.duration_seconds if done.duration_seconds else 0.0
    click.echo(
        f"recovered {counted(rows, 'row')} of {counted(done.counts['sessions'], 'session')} "
        f"in {duration(done.duration_seconds)} ({number(rate)}/s); "
        f"all {number(done.compared)} match the team's database"
    )
    click.echo(f"workspace {done.workspace_id} is in {cell(done.path)}", err=True)
    if done.kept_as is not None:
        click.echo(f"the old file is kept as {cell(done.kept_as)}; delete it when you no longer need it", err=True)
    if done.unsent:
        click.echo(f"{counted(done.unsent, 'record')} that had not been sent are only in the old file", err=True)
