"""``db restore``: replaces the workspace's database with a backup."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from acode_tui.cli.event_loop import run_async
from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples, force_option, json_option
from acode_tui.cli.output import cell, local_time, print_json
from acode_tui.cli.progress import PercentLine
from acode_tui.domain.quantities import counted, size

if TYPE_CHECKING:
    from acode_tui.ops.backup.restore import Restored
    from acode_tui.storage.ports import Backup


@click.command(
    "restore",
    epilog=examples(
        "acode-tui db backup list",
        "acode-tui db restore latest --dry-run",
        "acode-tui db restore acode_backup_20260105_182345",
    ),
)
@click.argument("name", metavar="NAME")
@click.option("--dry-run", is_flag=True, help="Check everything; change nothing.")
@force_option
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait until other programs close the workspace.",
)
@json_option
@pass_invocation
def command(invocation: Invocation, name: str, dry_run: bool, force: bool, wait: float, as_json: bool) -> None:
    """Replace the workspace's database with the backup NAME.

    NAME may be a unique prefix, a path or `latest`. The backup is checked first, and the current database becomes a
    backup. No other program may have the workspace open.
    """
    from acode_tui.domain.errors import IntegrityError
    from acode_tui.storage.ports import Backup

    found = invocation.maintenance.find_backup(name)
    if not isinstance(found, Backup):
        raise IntegrityError(
            f"the backup {found.name} cannot be restored: {found.reason}",
            hint="choose another one: `acode-tui db backup list`; nothing was changed",
        )
    database = invocation.settings.persistence.sqlite.resolve(invocation.root)
    if not dry_run and not force:
        made = local_time(_time(found.created_at))
        click.echo(f"{cell(found.name)}: made {made}, {counted(found.counts.get('sessions', 0), 'session')}", err=True)
        click.confirm(f"Replace {cell(database)} with it?", abort=True, err=True)
    invocation.start_log()
    done = run_async(_restore(invocation, found, dry_run=dry_run, wait_seconds=wait))
    if as_json:
        print_json(done)
        return
    _print_done(invocation, done)


async def _restore(invocation: Invocation, backup: "Backup", *, dry_run: bool, wait_seconds: float) -> "Restored":
    with PercentLine() as line:
        return await invocation.maintenance.restore(
            backup, wait_seconds=wait_seconds, dry_run=dry_run, on_step=line.begin, on_progress=line.show
        )


def _print_done(invocation: Invocation, done: "Restored") -> None:
    sessions = counted(done.counts.get("sessions", 0), "session")
    verb = "could be restored" if done.dry_run else "restored"
    click.echo(f"{cell(done.name)}: {verb}, {size(done.size_bytes)}, {sessions}, schema {cell(done.schema_version)}")
    if done.safety_backup:
        click.echo(f"the previous database is the backup {cell(done.safety_backup)}")
    if done.kept_as:
        click.echo(f"the previous file was not a valid workspace and is kept as {cell(done.kept_as)}")
    if done.replaced_workspace_id and done.workspace_id and done.replaced_workspace_id != done.workspace_id:
        click.echo("note: the backup is of another workspace than the previous database", err=True)
    if not done.dry_run and invocation.settings.persistence.postgres.enabled:
        click.echo(
            "the next sync brings back later changes from the team's database: `acode-tui db sync now`", err=True
        )


def _time(text: str) -> "datetime":
    from acode_tui.domain.clock import parse_time

    return parse_time(text)
