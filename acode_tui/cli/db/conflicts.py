"""``db conflicts``: rows that two machines changed, the version that won, and how to take the other one."""

from typing import TYPE_CHECKING, Any

import click

from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples, force_option, json_option
from acode_tui.cli.output import Column, print_fields, print_json, print_table
from acode_tui.domain.codec import decode_json
from acode_tui.domain.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from acode_tui.storage.ports import Conflict, QuarantinedRow
    from acode_tui.workspace import Workspace

_COLUMNS = (
    Column("id"),
    Column("kind"),
    Column("entity", flexible=True),
    Column("winner"),
    Column("local"),
    Column("remote"),
    Column("detected"),
    Column("reviewed"),
)

_ASIDE = (
    Column("kind"),
    Column("row", flexible=True),
    Column("reason", flexible=True),
    Column("seen"),
    Column("begins with", flexible=True),
)


@click.group("conflicts", invoke_without_command=True, epilog=examples("acode-tui db conflicts list --unreviewed"))
@json_option
@click.pass_context
def group(context: click.Context, as_json: bool) -> None:
    """Settled conflicts, with both versions, and rows kept aside. Without a command: list them."""
    if context.invoked_subcommand is None:
        context.invoke(list_, as_json=as_json)


@group.command("list", epilog=examples("acode-tui db conflicts list --unreviewed --json"))
@click.option("--unreviewed", is_flag=True, help="Only those that are not reviewed.")
@click.option("--limit", type=click.IntRange(1, 10000), default=100, show_default=True, help="At most so many.")
@json_option
@pass_invocation
def list_(invocation: Invocation, unreviewed: bool = False, limit: int = 100, as_json: bool = False) -> None:
    """List conflicts, the latest first, and the rows of the team's database that are not valid and were kept aside."""

    async def read(workspace: "Workspace") -> "tuple[tuple[Conflict, ...], tuple[QuarantinedRow, ...], int]":
        log = workspace.conflicts
        conflicts = await log.list(unreviewed_only=unreviewed, limit=limit)
        return conflicts, await log.quarantined(limit=limit), (await log.counts()).quarantined

    conflicts, aside, count = invocation.with_workspace(read)
    if as_json:
        print_json({"conflicts": conflicts, "quarantined": aside})
        return
    _print_conflicts(conflicts, unreviewed=unreviewed)
    if aside:
        click.echo(f"\n{counted(count, 'row')} of the team's database kept aside: not valid, and not taken over")
        print_table(
            _ASIDE,
            [(each.entity_type.value, each.entity_id, each.reason, each.seen_at, each.excerpt) for each in aside],
        )


def _print_conflicts(conflicts: "Sequence[Conflict]", *, unreviewed: bool) -> None:
    if not conflicts:
        click.echo(
            "no conflicts to review" if unreviewed else "no conflicts: no row was changed on two machines at once"
        )
    else:
        rows = [
            (
                each.id[:13],
                each.entity_type.value,
                each.entity_id,
                each.winner,
                each.local_updated_at,
                each.remote_updated_at,
                each.detected_at,
                each.reviewed_at is not None,
            )
            for each in conflicts
        ]
        print_table(_COLUMNS, rows)


@group.command("show", epilog=examples("acode-tui db conflicts show 0190d6a1"))
@click.argument("conflict_id", metavar="ID")
@json_option
@pass_invocation
def show(invocation: Invocation, conflict_id: str, as_json: bool) -> None:
    """Show one conflict, and the fields in which its two versions differ."""

    async def read(workspace: "Workspace") -> "Conflict":
        return await workspace.conflicts.get(conflict_id)

    conflict = invocation.with_workspace(read)
    if as_json:
        print_json({"conflicts": [conflict]})
        return
    print_fields(
        [
            ("conflict", conflict.id),
            ("row", f"{conflict.entity_type.value} {conflict.entity_id}"),
            ("session", conflict.session_id),
            ("winner", conflict.winner),
            ("detected", conflict.detected_at),
            ("reviewed", conflict.reviewed_at),
        ]
    )
    click.echo()
    local: dict[str, Any] = decode_json(bytes(conflict.local_payload), dict)
    remote: dict[str, Any] = decode_json(bytes(conflict.remote_payload), dict)
    rows = [
        (name, local.get(name), remote.get(name))
        for name in dict.fromkeys([*local, *remote])
        if local.get(name) != remote.get(name)
    ]
    print_table((Column("field"), Column("local", flexible=True), Column("remote", flexible=True)), rows)


@group.command(
    "resolve",
    epilog=examples(
        "acode-tui db conflicts resolve 0190d6a1                # the present version is right",
        "acode-tui db conflicts resolve 0190d6a1 --take-other   # the version that lost is right",
    ),
)
@click.argument("conflict_id", metavar="ID")
@click.option("--take-other", is_flag=True, help="Write the version that lost as the newest one, everywhere.")
@force_option
@json_option
@pass_invocation
def resolve(invocation: Invocation, conflict_id: str, take_other: bool, force: bool, as_json: bool) -> None:
    """Mark a conflict reviewed; with --take-other, let the other version win."""
    if take_other and not force:
        click.confirm("Replace the present version with the one that lost?", abort=True, err=True)

    async def work(workspace: "Workspace") -> "Conflict":
        found = await workspace.conflicts.get(conflict_id)
        if take_other:
            return await workspace.conflicts.take_other(found.id)
        return await workspace.conflicts.mark_reviewed(found.id)

    conflict = invocation.with_workspace(work)
    if as_json:
        print_json({"conflicts": [conflict]})
    else:
        click.echo(f"{conflict.id}: {'the other version was taken' if take_other else 'reviewed'}")
