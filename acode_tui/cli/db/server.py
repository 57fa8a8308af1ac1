"""``db server``: the operator's view of the team's database, and the removal of what is old there."""

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from acode_tui.cli.event_loop import run_async
from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples, json_option
from acode_tui.cli.output import Column, print_fields, print_json, print_table
from acode_tui.cli.progress import PercentLine
from acode_tui.domain.display import clean
from acode_tui.domain.quantities import counted, duration, number, size

if TYPE_CHECKING:
    from acode_tui.ops.server.prune import PruneReport
    from acode_tui.storage.server_ports import ServerStatus

_UNITS = {"d": 1, "w": 7}


def _age(context: click.Context, parameter: click.Parameter, value: str) -> timedelta:
    """An age in days or weeks: ``90d``, ``26w``."""
    found = re.fullmatch(r"(\d{1,5})([dw])", value.strip())
    if found is None:
        raise click.BadParameter(f"{value!r} is not an age: give days or weeks, such as 90d or 26w", context, parameter)
    return timedelta(days=int(found[1]) * _UNITS[found[2]])


@click.group(
    "server", epilog=examples("acode-tui db server status", "acode-tui db server prune --older-than 90d --dry-run")
)
def group() -> None:
    """The team's PostgreSQL, for its operator."""


@group.command("status", epilog=examples("acode-tui db server status", "acode-tui db server status --json"))
@json_option
@pass_invocation
def status(invocation: Invocation, as_json: bool) -> None:
    """Show sizes, growth, the oldest session, dead rows, connections and the slowest statements."""
    found = run_async(invocation.maintenance.server_status())
    if as_json:
        print_json(found)
    else:
        _print_status(found)


@group.command(
    "prune",
    epilog=examples(
        "acode-tui db server prune --older-than 90d --dry-run",
        "acode-tui db server prune --older-than 90d",
        "acode-tui db server prune --older-than 52w --archive old-runs.json",
    ),
)
@click.option("--older-than", callback=_age, required=True, metavar="AGE", help="At least 30d, such as 90d or 26w.")
@click.option(
    "--archive",
    type=click.Path(path_type=Path),
    help="Write old sessions into this file, which `db import` reads, and then remove them.",
)
@click.option("--drop", is_flag=True, help="Remove old sessions without a copy.")
@click.option("--dry-run", is_flag=True, help="Count what would be removed; change nothing.")
@json_option
@pass_invocation
def prune(
    invocation: Invocation, older_than: timedelta, archive: Path | None, drop: bool, dry_run: bool, as_json: bool
) -> None:
    """Remove old rows of the ledger from the team's PostgreSQL and, with --archive or --drop, old sessions.

    A session is old if nothing of it changed for that long. Laptops keep their runs, and do not bring them back. The
    login needs the rights of `db schema --dialect postgres --prune-role`. It goes in short transactions; Ctrl-C ends it
    after the one in flight was undone, and what was done stays.
    """
    if archive is not None and drop:
        raise click.UsageError("--archive and --drop exclude each other")

    from acode_tui.ops.server.prune import PruneRequest

    request = PruneRequest(older_than=older_than, archive=archive, drop=drop, dry_run=dry_run)
    invocation.start_log()

    async def run() -> "PruneReport":
        with PercentLine() as line:
            return await invocation.maintenance.prune_server(request, on_step=line.begin, on_progress=line.show)

    done = run_async(run())
    if as_json:
        print_json(done)
    else:
        _print_pruned(done)


def _print_pruned(done: "PruneReport") -> None:
    verb = "would be removed" if done.dry_run else "removed"
    ledger = f"{counted(done.ledger_rows, 'ledger row')} {verb}"
    if done.ledger_kept:
        ledger += f", {number(done.ledger_kept)} kept for laptops that are away"
    parts = [f"older than {done.cutoff:%Y-%m-%d %H:%M} UTC: {ledger}"]
    if done.sessions:
        parts.append(f"{counted(done.sessions, 'session')} with {number(sum(done.rows.values()))} rows {verb}")
    click.echo("; ".join((*parts, duration(done.duration_seconds))))
    if done.archive is not None:
        click.echo(f"the sessions are in {clean(done.archive)}; `acode-tui db import` reads it", err=True)


def _print_status(found: "ServerStatus") -> None:
    rows = [
        (
            each.table,
            "-" if each.rows is None else number(each.rows),
            size(each.bytes),
            size(each.index_bytes),
            number(each.dead_rows),
            each.vacuumed_at,
        )
        for each in found.tables
    ]
    columns = ("rows", "data", "indexes", "dead rows")
    print_table((Column("table"), *(Column(name, "right") for name in columns), Column("vacuumed")), rows)
    growth, used = found.growth, found.connections
    a_day = "-" if growth.bytes_a_day is None else f"about {size(growth.bytes_a_day)} a day"
    last = found.last_prune
    cluster = f", distributed over {counted(found.nodes, 'node')}" if found.distributed else ""
    print_fields(
        [
            ("server", f"PostgreSQL {found.server_version}, schema {found.schema_version}{cluster}"),
            ("database", size(found.database_bytes)),
            ("growth", f"{a_day} ({counted(growth.sessions, 'session')} in {growth.days} days)"),
            ("oldest session", found.oldest_session_at),
            ("workspaces", number(found.workspaces)),
            ("connections", f"{used.used} of {used.most}, {used.acode} of them acode-tui's"),
            ("last prune", "never" if last is None else last.started_at),
        ]
    )
    if found.slow_statements:
        statements = [
            (f"{each.total_seconds:,.1f} s", number(each.calls), f"{each.mean_ms:,.2f} ms", each.statement)
            for each in found.slow_statements
        ]
        heads = (Column("total", "right"), Column("calls", "right"), Column("mean", "right"))
        print_table((*heads, Column("statement", flexible=True)), statements)
    if found.hint:
        click.echo(found.hint, err=True)
