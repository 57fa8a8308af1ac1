"""``db outbox``: the records that are pending, retried or dead letters."""

from typing import TYPE_CHECKING

import click

from acode_tui.cli.errors import FAILURE
from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples, force_option, json_option
from acode_tui.cli.output import Column, print_json, print_table
from acode_tui.domain.quantities import counted
from acode_tui.domain.states import EntityType

if TYPE_CHECKING:
    from acode_tui.storage.ports import OutboxRecord, OutboxStatus
    from acode_tui.workspace import Workspace

_STATUSES: "tuple[OutboxStatus, ...]" = ("pending", "retrying", "failed", "processed", "all")
_NOTHING = {
    "pending": "no pending records",
    "retrying": "no records are retried",
    "failed": "no dead letters",
    "processed": "no record was processed yet; see `acode-tui db status`",
    "all": "the outbox is empty; every write to a run adds a record",
}
_COLUMNS = (
    Column("id", "right"),
    Column("kind"),
    Column("entity"),
    Column("operation"),
    Column("created"),
    Column("attempts", "right"),
    Column("outcome"),
    Column("last error", flexible=True),
)


@click.group("outbox", epilog=examples("acode-tui db outbox list --status failed"))
def group() -> None:
    """Records to be sent to the team's database."""


@group.command("list", epilog=examples("acode-tui db outbox list --status failed --json"))
@click.option("--status", type=click.Choice(_STATUSES), default="pending", show_default=True, help="Which records.")
@click.option("--limit", type=click.IntRange(1, 10000), default=100, show_default=True, help="At most so many.")
@json_option
@pass_invocation
def list_(invocation: Invocation, status: "OutboxStatus", limit: int, as_json: bool) -> None:
    """List records, the oldest first."""

    async def read(workspace: "Workspace") -> "tuple[OutboxRecord, ...]":
        return await workspace.outbox.list(status=status, limit=limit)

    records = invocation.with_workspace(read)
    if as_json:
        print_json({"records": records})
    elif not records:
        click.echo(_NOTHING[status])
    else:
        _print(records)


@group.command("retry", epilog=examples("acode-tui db outbox retry --all", "acode-tui db outbox retry 17 18"))
@click.argument("record_ids", metavar="[ID]...", type=int, nargs=-1)
@click.option(
    "--all", "every", is_flag=True, help="Every dead letter and every record that waits for its next attempt."
)
@json_option
@pass_invocation
def retry(invocation: Invocation, record_ids: tuple[int, ...], every: bool, as_json: bool) -> int:
    """Make records due now, with their attempts back at 0."""
    if every == bool(record_ids):
        raise click.UsageError("name records by id, or say --all")

    async def work(workspace: "Workspace") -> "tuple[tuple[OutboxRecord, ...], tuple[int, ...]]":
        for record_id in record_ids:
            await workspace.outbox.get(record_id)
        due = await workspace.outbox.retry(None if every else record_ids)
        shown = (due if every else record_ids) if as_json else ()
        return tuple([await workspace.outbox.get(record_id) for record_id in shown]), due

    records, due = invocation.with_workspace(work)
    if as_json:
        print_json({"records": records, "retried": len(due), "ids": due})
    else:
        click.echo(f"{counted(len(due), 'record')} due now")
    return 0 if every or len(due) == len(set(record_ids)) else FAILURE


@group.command("discard", epilog=examples("acode-tui db outbox discard 17"))
@click.argument("record_ids", metavar="ID...", type=int, nargs=-1, required=True)
@force_option
@json_option
@pass_invocation
def discard(invocation: Invocation, record_ids: tuple[int, ...], force: bool, as_json: bool) -> int:
    """Discard dead letters: they are never sent. The runs themselves are kept."""

    async def read(workspace: "Workspace") -> "tuple[OutboxRecord, ...]":
        return tuple([await workspace.outbox.get(record_id) for record_id in record_ids])

    found = invocation.with_workspace(read)
    dead = [record for record in found if record.failed_at is not None and record.processed_at is None]
    if len(dead) < len(found):
        others = ", ".join(str(record.id) for record in found if record not in dead)
        raise click.ClickException(
            f"ACODE-DB-005: not a dead letter: {others}; only these can be discarded; "
            "see `acode-tui db outbox list --status failed`"
        )
    if not force:
        _print(tuple(dead), err=True)
        click.confirm(f"Never send {'this record' if len(dead) == 1 else 'these records'}?", abort=True, err=True)

    async def work(workspace: "Workspace") -> "tuple[tuple[OutboxRecord, ...], int]":
        count = await workspace.outbox.discard([record.id for record in dead])
        return tuple([await workspace.outbox.get(record.id) for record in dead]), count

    records, count = invocation.with_workspace(work)
    if as_json:
        print_json({"records": records, "discarded": count})
    else:
        click.echo(f"{counted(count, 'record')} discarded")
    return 0 if count == len(dead) else FAILURE


def _print(records: "tuple[OutboxRecord, ...]", *, err: bool = False) -> None:
    rows = [
        (
            str(record.id),
            EntityType(record.entity_type).value,
            record.entity_id,
            record.operation.value,
            record.created_at,
            record.attempts,
            "failed" if record.failed_at and not record.processed_at else record.outcome,
            record.last_error,
        )
        for record in records
    ]
    print_table(_COLUMNS, rows, err=err)
