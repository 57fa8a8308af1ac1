"""``db``: the state of both databases, their schema and its migrations; the group of all ``db`` commands."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from acode_tui.cli.db import (
    backup,
    check,
    conflicts,
    drill,
    export,
    outbox,
    recover,
    restore,
    search,
    server,
    sync,
    vacuum,
)
from acode_tui.cli.errors import FAILURE
from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples, json_option
from acode_tui.cli.output import Column, cell, print_fields, print_json, print_table
from acode_tui.cli.progress import CountLine
from acode_tui.config import PostgresTarget, resolve_postgres
from acode_tui.domain.quantities import counted, duration, number, size
from acode_tui.sync.ports import SyncState

if TYPE_CHECKING:
    from acode_tui.ops.recovery.validate import Validation
    from acode_tui.storage.ports import TierMigrations
    from acode_tui.workspace import Workspace

_MOST_MISMATCHES = 20


@click.group("db", epilog=examples("acode-tui db status"))
def command() -> None:
    """The workspace's database, the outbox and the sync."""


command.add_command(outbox.group)
command.add_command(conflicts.group)
command.add_command(sync.group)
command.add_command(check.command)
command.add_command(recover.command)
command.add_command(drill.command)
command.add_command(backup.group)
command.add_command(restore.command)
command.add_command(vacuum.command)
command.add_command(search.group)
command.add_command(server.group)
command.add_command(export.export)
command.add_command(export.import_)


@command.command("status", epilog=examples("acode-tui db status", "acode-tui db status --json"))
@json_option
@pass_invocation
def status(invocation: Invocation, as_json: bool) -> None:
    """Show the state of both databases, the outbox, the conflicts and the sync."""
    found, address, reason, journal = invocation.with_workspace(lambda workspace: _status(invocation, workspace))
    if as_json:
        print_json(found)
        return
    sqlite, postgres, queue = found["sqlite"], found["postgres"], found["outbox"]
    settled, sync = found["conflicts"], found["sync"]
    print_fields(
        [
            ("sqlite", sqlite["path"]),
            ("  schema", f"{sqlite['schemaVersion']} (this program: {sqlite['targetVersion']})"),
            ("  size", f"{size(sqlite['sizeBytes'])}, journal {journal}"),
            ("  sessions", f"{counted(sqlite['sessions'], 'session')}, last change {cell(sqlite['lastModified'])}"),
            ("postgres", f"{postgres['state']}  {address}".rstrip()),
            *([("  reason", reason)] if reason else []),
            ("outbox", ", ".join(f"{number(queue[key])} {key}" for key in ("pending", "retrying", "failed"))),
            ("  oldest", queue["oldestPendingAt"]),
            ("conflicts", f"{number(settled['total'])} total, {number(settled['unreviewed'])} to review"),
            *([("kept aside", counted(settled["quarantined"], "row"))] if settled["quarantined"] else []),
            ("sync", sync["state"]),
            ("  last", sync["lastSyncAt"]),
            ("  next", sync["nextAttemptAt"]),
        ]
    )


async def _status(invocation: Invocation, workspace: "Workspace") -> tuple[dict[str, Any], str, str, str]:
    """The JSON's content; ``host:port/database``; the reason if the sync does not work; the journal, in words."""
    facts = await workspace.database_facts()
    queue = await workspace.outbox.stats()
    counts = await workspace.conflicts.counts()
    sync = await workspace.sync.probe()
    target = resolve_postgres(workspace.settings.persistence.postgres, invocation.environ)
    known = target if isinstance(target, PostgresTarget) else None
    state, reason, hint = sync.state, sync.reason, sync.hint
    if state is SyncState.STOPPED and sync.latency_ms is not None:
        # Without a worker the sync is stopped, but the server answers.
        state, reason, hint = SyncState.IDLE, "", ""
    found = {
        "sqlite": {
            "path": facts.path,
            "sizeBytes": facts.size_bytes,
            "schemaVersion": facts.schema_version,
            "targetVersion": facts.target_version,
            "journalMode": facts.journal_mode,
            "sessions": facts.sessions,
            "lastModified": facts.last_modified,
        },
        "postgres": {
            "state": state,
            "reason": reason,
            "hint": hint,
            "host": known.host if known else None,
            "database": known.database if known else None,
            "schemaVersion": sync.schema_version,
            "latencyMs": sync.latency_ms,
            "clockOffsetMs": sync.clock_offset_ms,
        },
        "outbox": {
            "pending": queue.pending,
            "oldestPendingAt": queue.oldest_pending_at,
            "retrying": queue.retrying,
            "failed": queue.failed,
        },
        "conflicts": {
            "total": counts.total,
            "unreviewed": counts.unreviewed,
            "quarantined": counts.quarantined,
        },
        "sync": {
            "state": sync.state,
            "holder": sync.holder,
            "lastSyncAt": sync.last_sync_at,
            "nextAttemptAt": sync.next_attempt_at,
        },
    }
    journal, shared = facts.journal_mode, facts.shared_file_system
    if shared:
        journal += f" ({shared}: two kernels may share this file system, so no WAL)"
    return found, known.display if known else "", "; ".join(filter(None, (sync.reason, sync.hint))), journal


@command.group(
    "migrate",
    invoke_without_command=True,
    epilog=examples("acode-tui db migrate --to 1.2.0 --dry-run", "acode-tui db migrate", "acode-tui db migrate status"),
)
@click.option("--dry-run", is_flag=True, help="Print the SQL that would run, and change nothing.")
@click.option("--to", "version", metavar="VERSION", help="With --dry-run: only the migrations up to this version.")
@json_option
@click.pass_context
def migrate(context: click.Context, dry_run: bool, version: str | None, as_json: bool) -> None:
    """Bring the schema up to date. A backup is made first."""
    if context.invoked_subcommand is not None:
        return
    invocation = context.ensure_object(Invocation)
    if version is not None:
        _require_version(context, version, dry_run=dry_run)
    if dry_run:
        planned = _plan(invocation)
        if version is not None:
            planned = tuple(_up_to(tier, version) for tier in planned)
        if as_json:
            _print_tiers(planned, as_json=True)
        else:
            for tier in planned:
                _print_sql(tier)
        return

    async def migrated(workspace: "Workspace") -> "tuple[TierMigrations, ...]":
        return await workspace.migrate()

    _print_tiers(invocation.with_workspace(migrated, auto_migrate=True), as_json=as_json)


@migrate.command("status", epilog=examples("acode-tui db migrate status"))
@json_option
@pass_invocation
def migrate_status(invocation: Invocation, as_json: bool) -> None:
    """Show which migrations are pending. Changes nothing."""
    _print_tiers(_plan(invocation), as_json=as_json)


def _require_version(context: click.Context, version: str, *, dry_run: bool) -> None:
    """Refuse a version that no migration has, and one to stop at: a program works with its own schema only."""
    from acode_tui.storage.migrations.runner import packaged

    known = [migration.version for migration in packaged("sqlite")]
    if version not in known:
        raise click.UsageError(f"--to {version}: there is no such version; they are {', '.join(known)}", context)
    if version != known[-1] and not dry_run:
        raise click.UsageError(
            f"--to {version}: this program works with schema {known[-1]} only; --dry-run shows the way there", context
        )


def _up_to(tier: "TierMigrations", version: str) -> "TierMigrations":
    """The plan without the migrations beyond a version."""
    import msgspec

    from acode_tui.domain.schema import version_key

    pending = tuple(each for each in tier.pending if version_key(each) <= version_key(version))
    return msgspec.structs.replace(tier, pending=pending, to_version=pending[-1] if pending else tier.from_version)


def _plan(invocation: Invocation) -> "tuple[TierMigrations, ...]":
    from acode_tui.cli.event_loop import run_async
    from acode_tui.workspace import migration_plan

    return run_async(migration_plan(invocation.root, invocation.settings))


def _print_tiers(tiers: "Sequence[TierMigrations]", *, as_json: bool) -> None:
    if as_json:
        print_json({"tiers": [_tier(tier) for tier in tiers]})
        return
    for tier in tiers:
        for done in tier.applied:
            click.echo(f"{tier.tier}: applied {done.version} {done.description} ({duration(done.duration_ms / 1_000)})")
        if tier.pending:
            click.echo(
                f"{tier.tier}: schema {cell(tier.from_version)}, {counted(len(tier.pending), 'migration')} pending: "
                f"{', '.join(tier.pending)}; run `acode-tui db migrate`"
            )
        else:
            click.echo(f"{tier.tier}: schema {cell(tier.to_version)}, nothing pending")


def _tier(tier: "TierMigrations") -> dict[str, Any]:
    applied = [
        {"version": done.version, "description": done.description, "durationMs": done.duration_ms}
        for done in tier.applied
    ]
    return {
        "tier": tier.tier,
        "from": tier.from_version,
        "to": tier.to_version,
        "applied": applied,
        "pending": tier.pending,
    }


def _print_sql(planned: "TierMigrations") -> None:
    from acode_tui.storage.migrations.runner import packaged

    if not planned.pending:
        click.echo(f"-- {planned.tier}: schema {cell(planned.to_version)}, nothing pending")
    for migration in packaged(planned.tier):
        if migration.version in planned.pending:
            click.echo(f"-- {planned.tier} {migration.version}: {migration.description}\n{migration.sql}")


@command.command(
    "schema",
    epilog=examples("acode-tui db schema --dialect postgres --role agents | psql shop", "acode-tui db schema"),
)
@click.option(
    "--dialect",
    type=click.Choice(["sqlite", "postgres"]),
    default="sqlite",
    show_default=True,
    help="Which database's SQL.",
)
@click.option("--role", metavar="NAME", help="With postgres: grant this role what the sync needs, and no more.")
@click.option("--shared", is_flag=True, help="With postgres: everybody with the role may write every row.")
@click.option("--prune-role", metavar="NAME", help="With postgres: grant this role what `db server prune` needs.")
@pass_invocation
def schema(invocation: Invocation, dialect: str, role: str | None, shared: bool, prune_role: str | None) -> None:
    """Print the SQL that creates or updates the tables. Nothing is run.

    With postgres, row-level security lets each login write only into workspaces that it registered itself, and
    everybody read everything; --shared leaves that out.
    """
    if dialect == "sqlite":
        given = {"--role": role is not None, "--shared": shared, "--prune-role": prune_role is not None}
        if first := next((name for name, is_given in given.items() if is_given), None):
            raise click.UsageError(f"{first} goes with --dialect postgres")
        from acode_tui.storage.migrations.runner import packaged

        click.echo("\n".join(migration.sql for migration in packaged("sqlite")))
        return
    from acode_tui.workspace.maintenance import provisioning_sql

    click.echo(provisioning_sql(invocation.settings, role, shared=shared, prune_role=prune_role))


@command.command(
    "validate", epilog=examples("acode-tui db validate", "acode-tui db validate --compare-checksums --json")
)
@click.option("--compare-checksums", is_flag=True, help="Compare row by row (what it does in any case).")
@json_option
@pass_invocation
def validate(invocation: Invocation, compare_checksums: bool, as_json: bool) -> int:
    """Compare every row here with the team's database. Exits 1 where they differ; changes nothing."""

    async def compare(workspace: "Workspace") -> "Validation":
        with CountLine("sessions compared") as line:
            return await workspace.validate(progress=line.show)

    found = invocation.with_workspace(compare)
    unlisted = found.mismatched_rows - len(found.mismatched)
    if as_json:
        print_json(
            {
                "compared": found.compared,
                "matching": found.matching,
                "pruned": found.pruned,
                "mismatched": found.mismatched,
            }
        )
        if unlisted:
            click.echo(f"{number(unlisted)} more rows differ", err=True)
    else:
        click.echo(f"{number(found.matching)} of {counted(found.compared, 'session')} match")
        if found.pruned:
            click.echo(f"{counted(found.pruned, 'session')} removed from the server because of their age are kept here")
        if found.mismatched:
            shown = found.mismatched[:_MOST_MISMATCHES]
            rows = [(each.table, each.id, each.session_id, each.finding) for each in shown]
            print_table((Column("table"), Column("id"), Column("session"), Column("finding", flexible=True)), rows)
            if found.mismatched_rows > len(shown):
                click.echo(f"and {number(found.mismatched_rows - len(shown))} more; --json names them", err=True)
            click.echo("pending records differ until they are sent: `acode-tui db sync now`", err=True)
    return FAILURE if found.mismatched else 0
