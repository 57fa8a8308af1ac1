"""``db drill``: tests that the workspace can be restored from a backup and recovered from PostgreSQL."""

from typing import TYPE_CHECKING

import click

from acode_tui.cli.errors import FAILURE
from acode_tui.cli.event_loop import run_async
from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples, json_option
from acode_tui.cli.output import print_checks, print_json
from acode_tui.cli.progress import StepLine
from acode_tui.domain.quantities import counted, duration

if TYPE_CHECKING:
    from acode_tui.ops.recovery.drill import Attempt, Drill


@click.command("drill", epilog=examples("acode-tui db drill", "acode-tui db drill --json && echo ready"))
@json_option
@pass_invocation
def command(invocation: Invocation, as_json: bool) -> int:
    """Test restore and recovery: restore the newest backup and recover from PostgreSQL, in a temporary folder.

    The results are checked and compared with the manifest, the server and the current database, which is only read.
    Exits with 1 if one of them fails or there is no backup.
    """
    invocation.start_log()

    async def run() -> "Drill":
        with StepLine("drill") as line:
            return await invocation.maintenance.drill(on_step=line.show)

    done = run_async(run())
    if as_json:
        print_json(done)
    else:
        _print_result(f"backup {done.backup.name}".rstrip(), done.backup)
        if done.recovery is None:
            click.echo("recovery: not tested, PostgreSQL is not enabled")
        else:
            _print_result(f"recovery {done.recovery.name}", done.recovery)
        verdict = "everything tested works" if done.ok else "NOT everything works"
        click.echo(f"{verdict}; {duration(done.duration_seconds)}; nothing was changed")
    return 0 if done.ok else FAILURE


def _print_result(title: str, tried: "Attempt") -> None:
    line = f"{title}: {'ok' if tried.ok else 'FAILED'}"
    if tried.counts:
        line += f", {counted(tried.counts.get('sessions', 0), 'session')}, {counted(sum(tried.counts.values()), 'row')}"
    click.echo(line)
    print_checks(tried.checks)
