"""``db export`` and ``db import``: write runs to a file and read them back."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from acode_tui.cli.errors import FAILURE
from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples, json_option
from acode_tui.cli.output import is_terminal, print_json
from acode_tui.domain.display import clean
from acode_tui.domain.errors import DatabaseConnectionError, SchemaMismatchError
from acode_tui.domain.quantities import counted, number, size

if TYPE_CHECKING:
    from acode_tui.ops.export.export import ExportFormat, ExportReport, ExportRequest
    from acode_tui.ops.export.import_ import ImportedRuns
    from acode_tui.workspace import Workspace

_FORMATS = ("json", "csv", "sqlite", "markdown", "html", "atif", "otlp")
_MOST_ISSUES = 20
_NOUNS = (
    ("sessions", "session"),
    ("session_tasks", "task"),
    ("steps", "step"),
    ("tool_calls", "tool call"),
    ("artifacts", "artifact"),
    ("session_events", "event"),
)


@click.command(
    "export",
    epilog=examples(
        "acode-tui db export --format json",
        "acode-tui db export --format csv --output ~/runs --session 0190d6a1 --session 0190d6a2",
        "acode-tui db export --format html --session 0190d6a1 --output run.html",
        "acode-tui db export --format atif --session 0190d6a1 --output run.json",
        "acode-tui db export --format json --output - | gzip > runs.json.gz",
        "acode-tui db export --format sqlite --no-redact --json",
    ),
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(_FORMATS),
    default="json",
    show_default=True,
    help="One JSON document, a folder of CSV files, a SQLite database; OTLP's spans; one session as a page or as ATIF.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The file to write, or the folder for csv; - is standard output. Default: a new name in .agent/exports.",
)
@click.option("--session", "sessions", multiple=True, metavar="ID", help="Only this session; may be repeated.")
@click.option(
    "--redact/--no-redact",
    default=None,
    help="Replace known shapes of secrets, e-mail addresses and home directories. Default: export.redact, which is on.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be exported and redacted; write nothing.")
@click.option("--force", is_flag=True, help="Replace an existing export.")
@json_option
@pass_invocation
def export(
    invocation: Invocation,
    format_: str,
    output: Path | None,
    sessions: tuple[str, ...],
    redact: bool | None,
    dry_run: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write runs to a file, with known shapes of secrets hidden."""
    from acode_tui.cli.progress import ExportLine
    from acode_tui.ops.export.export import ExportRequest

    to_output = output is not None and str(output) == "-"
    if to_output:
        _require_stream(format_, as_json=as_json)
    request = ExportRequest(
        format=cast("ExportFormat", format_),
        path=None if output is None or to_output else output.expanduser().absolute(),
        sessions=sessions,
        redact=redact,
        overwrite=force,
        dry_run=dry_run,
    )

    async def work(workspace: "Workspace") -> "ExportReport":
        with ExportLine() as line:
            return await workspace.export(request, progress=line.show)

    if dry_run and not _is_current(invocation):
        raise DatabaseConnectionError(f"there is no database in {invocation.root}", hint="there is nothing to export")
    if to_output and not dry_run:
        _write_to_output(invocation, request)
        return
    report = invocation.with_workspace(work)
    if as_json:
        print_json(report)
    else:
        _print_export(report)


def _require_stream(format_: str, *, as_json: bool) -> None:
    """Refuse what cannot go to standard output. Raises click.UsageError."""
    if as_json:
        raise click.UsageError("--output - with --json: both would write to standard output")
    if format_ == "csv":
        raise click.UsageError("--output -: csv is a folder of files; give a name")
    if format_ == "sqlite" and is_terminal():
        raise click.UsageError("--output -: sqlite is binary and this is a terminal; redirect it, or give a name")


def _write_to_output(invocation: Invocation, request: "ExportRequest") -> None:
    """Export to a private file and copy it to standard output when it is whole: a fault writes nothing there."""
    import shutil

    import msgspec

    from acode_tui.cli.progress import ExportLine
    from acode_tui.ops.export.destination import scratch_folder

    async def work(workspace: "Workspace") -> None:
        with scratch_folder(workspace.agent_dir) as folder:
            path = folder / "standard output"
            with ExportLine() as line:
                report = await workspace.export(msgspec.structs.replace(request, path=path), progress=line.show)
            sys.stdout.flush()
            with path.open("rb") as file:
                if is_terminal():
                    for each in file:
                        # Line by line: a control character that an agent recorded must not reach the terminal.
                        click.echo(clean(each.decode(errors="replace").rstrip("\n")))
                else:
                    shutil.copyfileobj(file, sys.stdout.buffer)
                    sys.stdout.buffer.flush()
            _print_export(msgspec.structs.replace(report, path=path.name), err=True)

    invocation.with_workspace(work)


def _is_current(invocation: Invocation) -> bool:
    """Whether the workspace's database exists. A dry run must not open one that does not: opening creates it.

    Raises SchemaMismatchError if migrations are pending, because opening would apply them.
    """
    from acode_tui.cli.event_loop import run_async
    from acode_tui.workspace import file_plan

    planned = run_async(file_plan(invocation.root, invocation.settings))
    if planned.from_version is not None and planned.pending:
        raise SchemaMismatchError(
            f"{counted(len(planned.pending), 'migration')} pending, and a dry run applies none",
            hint="run `acode-tui db migrate` first",
        )
    return planned.from_version is not None


def _print_export(report: "ExportReport", *, err: bool = False) -> None:
    held = ", ".join(counted(report.counts[table], noun) for table, noun in _NOUNS if report.counts[table])
    if report.dry_run:
        click.echo(f"would write {clean(report.path)}: {held or 'no sessions'}", err=err)
    else:
        click.echo(f"{clean(report.path)}: {held or 'no sessions'}, {size(report.size_bytes or 0)}", err=err)
    if report.redacted:
        kinds = ", ".join(f"{number(count)} {kind}" for kind, count in report.redactions.items())
        verb = "known shapes that would be hidden" if report.dry_run else "known shapes were hidden"
        click.echo(f"{verb}: {kinds}" if kinds else "no secret of a known shape was found", err=err)
    else:
        click.echo("nothing was redacted: the export may contain secrets", err=True)
    if not report.counts["sessions"]:
        click.echo("there is nothing to export yet; `acode-tui import --all` reads your agents' transcripts", err=True)


@click.command(
    "import",
    epilog=examples(
        "acode-tui db import runs.json --dry-run",
        "acode-tui db import runs.json",
        "acode-tui --workspace ~/copy db import .agent/backups/acode_backup_20260105_182345.db --json",
    ),
)
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would be written; write nothing.")
@click.option(
    "--force",
    is_flag=True,
    help="Let the export replace later rows, and rows that are not redacted.",
)
@json_option
@pass_invocation
def import_(invocation: Invocation, path: Path, dry_run: bool, force: bool, as_json: bool) -> int:
    """Import the runs of an export.

    FILE is a JSON or SQLite export, a backup, or the database of another workspace. Rows that exist are not written
    again; of two versions of a row the later one is kept. To import transcripts of agents, use `acode-tui import`.
    """
    from acode_tui.cli.progress import ExportLine

    async def work(workspace: "Workspace") -> "ImportedRuns":
        with ExportLine() as line:
            return await workspace.import_export(path.expanduser(), force=force, dry_run=dry_run, progress=line.show)

    is_new = dry_run and not _is_current(invocation)
    report = invocation.with_empty_workspace(work) if is_new else invocation.with_workspace(work)
    if as_json:
        print_json(report)
    else:
        _print_import(report)
    return 0 if report.ok else FAILURE


def _print_import(report: "ImportedRuns") -> None:
    if report.errors:
        click.echo(
            f"error: ACODE-EXPORT-001: {clean(report.path)}: nothing was written; the file is not valid", err=True
        )
        for issue in report.errors[:_MOST_ISSUES]:
            where = " ".join(
                part
                for part in (
                    f"line {issue.line}:" if issue.line else "",
                    f"session {issue.session_id}:" if issue.session_id else "",
                    f"{issue.field}" if issue.field and not issue.message.startswith(issue.field) else "",
                )
                if part
            )
            click.echo(clean(f"{where} {issue.message}".strip()), err=True)
        if len(report.errors) > _MOST_ISSUES:
            click.echo(f"and {number(len(report.errors) - _MOST_ISSUES)} more; --json has them", err=True)
        return
    held = ", ".join(counted(report.counts[table], noun) for table, noun in _NOUNS if report.counts[table])
    verb = "would be" if report.dry_run else "were"
    click.echo(
        f"{held or 'no sessions'}; {counted(sum(report.inserted.values()), 'row')} {verb} added, "
        f"{counted(sum(report.updated.values()), 'row')} changed, {number(report.unchanged)} unchanged"
    )
    if report.refused:
        click.echo(
            f"{counted(len(report.refused), 'session')} skipped: the export is redacted, the existing rows are not; "
            "--force replaces them",
            err=True,
        )
