"""``db backup``: creates, lists, verifies, deletes and prunes copies of the workspace's database."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from acode_tui.cli.errors import FAILURE
from acode_tui.cli.event_loop import run_async
from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples, force_option, json_option
from acode_tui.cli.output import Column, cell, print_checks, print_json, print_table
from acode_tui.cli.progress import PercentLine
from acode_tui.domain.quantities import counted, number, size

if TYPE_CHECKING:
    from acode_tui.storage.ports import Backup, Check, IncompleteBackup


@click.group(
    "backup",
    invoke_without_command=True,
    epilog=examples(
        "acode-tui db backup",
        "acode-tui db backup list",
        "acode-tui db backup verify --all",
        "acode-tui db backup --output /mnt/usb/shop.db --json",
    ),
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The file to make, ending in .db, or a folder to make one in. Default: backup.directory.",
)
@json_option
@click.pass_context
def group(context: click.Context, output: Path | None, as_json: bool) -> None:
    """Copy the workspace's database while it is in use; without a command, create a backup.

    Afterwards the oldest backups beyond `backup.max_backups` are deleted, but none with --output.
    """
    if context.invoked_subcommand is not None:
        if output is not None:
            raise click.UsageError("--output stands alone: `acode-tui db backup --output PATH`", context)
        return
    invocation = context.ensure_object(Invocation)
    if output is not None:
        output = output.expanduser().absolute()
        if output.suffix != ".db" and not output.is_dir():
            raise click.UsageError("--output: name a file that ends in .db, or a folder that is there", context)

    made = run_async(_create(invocation, output))
    if as_json:
        print_json(made)
        return
    click.echo(f"{made.name}: {size(made.size_bytes)}, {counted(made.counts.get('sessions', 0), 'session')}")
    click.echo(f"restore it with `acode-tui db restore {cell(made.name if output is None else made.path)}`", err=True)


async def _create(invocation: Invocation, output: Path | None) -> "Backup":
    """Copy the file without opening the workspace, so that its schema may be of any version."""
    invocation.start_log()
    with PercentLine("copying") as line:
        return await invocation.maintenance.create_backup(output=output, on_progress=line.show)


@group.command("list", epilog=examples("acode-tui db backup list", "acode-tui db backup list --json"))
@json_option
@pass_invocation
def list_(invocation: Invocation, as_json: bool) -> None:
    """List the backups, newest first. Does not need the database."""
    backups, incomplete = invocation.maintenance.list_backups()
    if as_json:
        print_json({"backups": backups, "incomplete": incomplete})
        return
    if backups:
        print_backups(backups)
    elif not incomplete:
        click.echo(
            f"no backups in {cell(invocation.maintenance.backup_folder)}; make one with `acode-tui db backup`", err=True
        )
    for each in incomplete:
        click.echo(f"{cell(each.name)}: not a complete backup: {cell(each.reason)}", err=True)


@group.command(
    "verify",
    epilog=examples("acode-tui db backup verify", "acode-tui db backup verify acode_backup_20260105_182345 --json"),
)
@click.argument("name", metavar="[NAME]", default="latest")
@click.option("--all", "every", is_flag=True, help="Check all backups.")
@click.option("--deep", is_flag=True, help="Also check every index entry of a large backup, as a restore does.")
@json_option
@pass_invocation
def verify(invocation: Invocation, name: str, every: bool, deep: bool, as_json: bool) -> int:
    """Check the manifest, size, hash and integrity of a backup, by default the newest. Exits with 1 if damaged."""
    wanted: list[Backup | IncompleteBackup] = []
    if every:
        backups, incomplete = invocation.maintenance.list_backups()
        wanted += [*backups, *incomplete]
        if not wanted:
            click.echo(
                f"no backups in {cell(invocation.maintenance.backup_folder)}; make one with `acode-tui db backup`",
                err=True,
            )
    else:
        wanted.append(invocation.maintenance.find_backup(name))
    results = [(each, _verify(invocation, each, deep=deep)) for each in wanted]
    sound = all(finding.ok for _, findings in results for finding in findings)
    if as_json:
        described = [_as_json(each, findings) for each, findings in results]
        print_json({"ok": sound, "backups": described} if every else described[0])
        return 0 if sound else FAILURE
    for each, findings in results:
        click.echo(cell(each.name))
        print_checks(findings)
    return 0 if sound else FAILURE


def _verify(invocation: Invocation, backup: "Backup | IncompleteBackup", *, deep: bool) -> "tuple[Check, ...]":
    async def run() -> "tuple[Check, ...]":
        with PercentLine("verifying") as line:
            return await invocation.maintenance.verify_backup(backup, deep=deep, on_progress=line.show)

    return run_async(run())


def _as_json(backup: "Backup | IncompleteBackup", findings: "tuple[Check, ...]") -> dict[str, Any]:
    import msgspec

    return {
        "ok": all(finding.ok for finding in findings),
        **msgspec.to_builtins(backup),
        "checks": msgspec.to_builtins(findings),
    }


@group.command("delete", epilog=examples("acode-tui db backup delete acode_backup_20260105_182345"))
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@force_option
@json_option
@pass_invocation
def delete(invocation: Invocation, names: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Delete backups permanently."""
    from acode_tui.storage.ports import Backup

    found = {each.name: each for each in map(invocation.maintenance.find_backup, names)}
    whole = [each for each in found.values() if isinstance(each, Backup)]
    others = [each for each in found.values() if not isinstance(each, Backup)]
    if others:
        raise click.ClickException(
            f"ACODE-DB-007: {others[0].name} is not a complete backup: {others[0].reason}; nothing was deleted; "
            "delete the file by hand if you do not need it"
        )
    if not force:
        print_backups(whole, err=True)
        click.confirm(f"Delete {counted(len(whole), 'backup')} permanently?", abort=True, err=True)
    invocation.maintenance.delete_backups(whole)
    if as_json:
        print_json({"deleted": whole})
    else:
        click.echo(f"{counted(len(whole), 'backup')} deleted")


@group.command("prune", epilog=examples("acode-tui db backup prune --dry-run", "acode-tui db backup prune --keep 3"))
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N", help="How many to keep. Default: `backup.max_backups`."
)
@click.option("--dry-run", is_flag=True, help="Show which would be deleted; change nothing.")
@force_option
@json_option
@pass_invocation
def prune(invocation: Invocation, keep: int | None, dry_run: bool, force: bool, as_json: bool) -> None:
    """Delete all but the newest backups."""
    deleted, kept = invocation.maintenance.prune_backups(keep=keep, dry_run=True)
    if not dry_run and deleted:
        if not force:
            print_backups(deleted, err=True)
            click.confirm(f"Delete {counted(len(deleted), 'backup')} permanently?", abort=True, err=True)
        deleted, kept = invocation.maintenance.prune_backups(keep=keep)
    if as_json:
        print_json({"deleted": deleted, "kept": kept, "dryRun": dry_run})
        return
    if dry_run and deleted:
        print_backups(deleted)
    click.echo(f"{counted(len(deleted), 'backup')} {'would be ' if dry_run else ''}deleted, {number(len(kept))} kept")


def print_backups(backups: "tuple[Backup, ...] | list[Backup]", *, err: bool = False) -> None:
    """Print a table of backups."""
    from acode_tui.domain.clock import parse_time

    rows = [
        (
            each.name,
            parse_time(each.created_at),
            each.schema_version,
            size(each.size_bytes),
            each.counts.get("sessions"),
        )
        for each in backups
    ]
    columns = (
        Column("name"),
        Column("made"),
        Column("schema"),
        Column("size", align="right"),
        Column("sessions", align="right"),
    )
    print_table(columns, rows, err=err)
