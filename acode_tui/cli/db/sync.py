"""``db sync``: send pending records now; show the state of the sync and its log."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any

import click

from acode_tui.cli.errors import FAILURE
from acode_tui.cli.headless import handled
from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples, json_option
from acode_tui.cli.output import Column, is_terminal, print_fields, print_json, print_table
from acode_tui.cli.progress import SyncLine
from acode_tui.domain.display import clean
from acode_tui.domain.quantities import counted, duration, number

if TYPE_CHECKING:
    from acode_tui.domain.progress import ReportProgress
    from acode_tui.sync.ports import SyncReport
    from acode_tui.workspace import Workspace

_MOST_RECORDS = 100
_WATCH_SECONDS = 0.5
"""Seconds between two looks at the state; the heartbeat that another process writes comes every few seconds."""
_LOG_COLUMNS = (
    Column("at"),
    Column("event"),
    Column("state"),
    Column("synced", "right"),
    Column("dup", "right"),
    Column("conflicts", "right"),
    Column("failed", "right"),
    Column("pulled", "right"),
    Column("ms", "right"),
    Column("message", flexible=True),
)


@click.group(
    "sync",
    invoke_without_command=True,
    epilog=examples("acode-tui db sync now", "acode-tui db sync --historical", "acode-tui db sync log --tail 20"),
)
@click.option(
    "--historical",
    is_flag=True,
    help="Send every row that was never sent, also those from before the sync was switched on.",
)
@click.option("--full", is_flag=True, help="Send every row again, after the team's database was reset or restored.")
@json_option
@click.pass_context
def group(context: click.Context, historical: bool, full: bool, as_json: bool) -> Any:
    """Send pending records to the team's PostgreSQL."""
    if historical and full:
        raise click.UsageError("--historical and --full exclude each other", context)
    if context.invoked_subcommand is not None:
        if historical or full:
            raise click.UsageError("--historical and --full stand alone: `acode-tui db sync --historical`", context)
        return None
    if not (historical or full):
        if as_json:
            raise click.UsageError("--json goes with a command, --historical or --full", context)
        click.echo(context.get_help())
        return None

    def work(workspace: "Workspace", show: "ReportProgress") -> "Awaitable[SyncReport]":
        return workspace.sync.sync_full(progress=show) if full else workspace.sync.sync_history(progress=show)

    return _run(context.ensure_object(Invocation), work, as_json=as_json)


@group.command("now", epilog=examples("acode-tui db sync now", "acode-tui db sync now --batch-size 100 --json"))
@click.option("--batch-size", type=click.IntRange(1, 10_000), help="Records in a batch. Default: as configured.")
@json_option
@pass_invocation
def now(invocation: Invocation, batch_size: int | None, as_json: bool) -> int:
    """Send every record that is due, then pull what other machines sent. Ctrl-C ends it after the batch in flight."""
    return _run(
        invocation,
        lambda workspace, show: workspace.sync.sync_now(batch_size=batch_size, progress=show),
        as_json=as_json,
    )


@group.command("status", epilog=examples("acode-tui db sync status --json", "acode-tui db sync status --watch"))
@click.option("--watch", is_flag=True, help="Show it again at each change, until Ctrl-C; with --json a line a change.")
@json_option
@pass_invocation
def status(invocation: Invocation, watch: bool, as_json: bool) -> None:
    """Show the state of the sync, the pending records and the dead letters."""
    if watch:
        invocation.with_workspace(lambda workspace: _watch(workspace, as_json=as_json))
        return
    found = invocation.with_workspace(_status)
    _print_status(found, as_json=as_json)
    if found["failed"] and not as_json:
        click.echo("see `acode-tui db outbox list --status failed`", err=True)


async def _watch(workspace: "Workspace", *, as_json: bool) -> None:
    """Print the status at each change until SIGINT or SIGTERM. On a terminal it is painted over the one before."""
    ended = asyncio.Event()
    before: dict[str, Any] | None = None
    painted = 0
    with handled({signal.SIGINT: ended.set, signal.SIGTERM: ended.set}):
        while not ended.is_set():
            found = await _status(workspace)
            seen = {name: value for name, value in found.items() if not (as_json and name == "status")}
            if seen != before:
                if painted and is_terminal() and not as_json:
                    # Up to the first line of what was painted, and delete from there.
                    click.echo(f"\x1b[{painted}A\x1b[J", nl=False)
                elif painted and not as_json:
                    click.echo()
                painted = _print_status(found, as_json=as_json)
                sys.stdout.flush()
                before = seen
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), _WATCH_SECONDS)


def _print_status(found: dict[str, Any], *, as_json: bool) -> int:
    """Print a status; returns the number of lines on standard output."""
    if as_json:
        print_json({name: value for name, value in found.items() if name != "status"})
        return 1
    shown = found["status"]
    reason = [("  reason", "; ".join(filter(None, (shown.reason, shown.hint))))] if shown.reason else []
    fields: list[tuple[str, object]] = [
        ("state", shown.state.value),
        *reason,
        ("target", shown.target),
        ("holder", shown.holder),
        ("heartbeat", shown.heartbeat_at),
        ("pending", shown.pending),
        ("  oldest", shown.oldest_pending_at),
        ("retrying", shown.retrying),
        ("failed", shown.failed),
        ("conflicts", f"{number(shown.conflicts)} total, {number(shown.unreviewed_conflicts)} to review"),
        ("duplicates", shown.duplicates),
        ("last sync", shown.last_sync_at),
        ("next attempt", shown.next_attempt_at),
    ]
    print_fields(fields)
    return len(fields)


async def _status(workspace: "Workspace") -> dict[str, Any]:
    shown = await workspace.sync.status()
    return {
        "state": shown.state,
        "pending": await workspace.outbox.list(status="pending", limit=_MOST_RECORDS),
        "failed": await workspace.outbox.list(status="failed", limit=_MOST_RECORDS),
        "lastSyncAt": shown.last_sync_at,
        "nextAttemptAt": shown.next_attempt_at,
        "status": shown,
    }


@group.command("log", epilog=examples("acode-tui db sync log --tail 20"))
@click.option("--tail", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many.")
@json_option
@pass_invocation
def log_(invocation: Invocation, tail: int, as_json: bool) -> None:
    """Show what the sync did, the newest entries last."""

    async def read(workspace: "Workspace") -> dict[str, Any]:
        return {**await _status(workspace), "entries": (await workspace.sync.log_tail(tail))[::-1]}

    found = invocation.with_workspace(read)
    if as_json:
        print_json({name: value for name, value in found.items() if name != "status"})
        return
    rows = [
        (e.at, e.event, e.state, e.synced, e.duplicates, e.conflicts, e.failed, e.pulled, e.duration_ms, e.message)
        for e in found["entries"]
    ]
    if rows:
        print_table(_LOG_COLUMNS, rows)
    else:
        click.echo("nothing was synced yet; run `acode-tui db sync now`")


Work = Callable[["Workspace", "ReportProgress"], Awaitable["SyncReport"]]


def _run(invocation: Invocation, work: Work, *, as_json: bool) -> int:
    async def run(workspace: "Workspace") -> "tuple[SyncReport, str | None]":
        with SyncLine() as line, _winding_down(workspace):
            report = await work(workspace, line.show)
            return report, (await workspace.sync.status()).holder

    report, holder = invocation.with_workspace(run)
    if holder is not None and not holder.endswith(f":{os.getpid()}"):
        click.echo(f"{clean(holder)} drains this workspace: what is counted here is what it did meanwhile", err=True)
    if as_json:
        print_json(report)
    else:
        parts = [f"{number(report.synced)} synced", f"{number(report.superseded)} superseded"]
        parts += [counted(report.duplicates, "duplicate"), counted(report.conflicts, "conflict")]
        parts += [f"{number(report.failed)} refused", f"{number(report.remaining)} remaining"]
        click.echo(f"{', '.join(parts)}; {duration(report.duration_seconds)}")
        if report.remaining:
            click.echo("the remaining records are sent later; see `acode-tui db sync status`", err=True)
    return FAILURE if report.failed else 0


def _winding_down(workspace: "Workspace") -> AbstractContextManager[None]:
    """Ctrl-C lets the batch in flight finish; a second one ends the program at once."""

    def once() -> None:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
        workspace.sync.wind_down()
        click.echo("\nfinishing the batch in flight", err=True)

    return handled({signal.SIGINT: once})
