"""``import``: imports transcripts of other agents into the workspace, once or continuously."""

from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from acode_tui.cli.errors import FAILURE
from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples, json_option
from acode_tui.cli.output import print_json
from acode_tui.domain.display import clean, split_columns
from acode_tui.domain.errors import IngestError
from acode_tui.domain.quantities import counted, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from acode_tui.config import Settings
    from acode_tui.ingest import ImportReport
    from acode_tui.ingest.explain import Explanation
    from acode_tui.workspace import Workspace

_MOST_ISSUES = 20
_WIDE = 120
"""Columns of a terminal from which on records are explained in a table."""
_MOST_FOLDERS = 20


@click.command(
    "import",
    epilog=examples(
        "acode-tui import --all",
        "acode-tui import ~/.claude/projects/-home-me-shop",
        "acode-tui import --format codex rollout.jsonl --json",
        "acode-tui import --all --watch",
        "acode-tui import --explain rollout.jsonl",
        "acode-tui import --everywhere",
    ),
)
# A path that may not be read is listed with the errors; the others are imported.
@click.argument("paths", metavar="[PATH]...", type=click.Path(path_type=Path, readable=False), nargs=-1)
@click.option(
    "--all",
    "all_roots",
    is_flag=True,
    help="Import the runs of this workspace's folder from ingest.roots, or where the known agents keep transcripts.",
)
@click.option("--everywhere", is_flag=True, help="Import the runs of every folder from there, not only of this one.")
@click.option("--format", "format_", metavar="NAME", help="The format of every file; otherwise its first lines decide.")
@click.option("--explain", is_flag=True, help="Import nothing; print how each record of one transcript is understood.")
@click.option("--watch", is_flag=True, help="Keep running and import new lines as they are written, until Ctrl-C.")
@json_option
@pass_invocation
def command(
    invocation: Invocation,
    paths: tuple[Path, ...],
    all_roots: bool,
    everywhere: bool,
    format_: str | None,
    explain: bool,
    watch: bool,
    as_json: bool,
) -> int:
    """Import transcripts of other agents into the workspace.

    It reads Claude Code, Codex, GitHub Copilot CLI, Gemini CLI, OpenCode, OpenHands, pi, ATIF, SWE-agent and OTLP.

    PATH is a transcript or a folder of transcripts, imported whatever the folder of its runs. With --all a run belongs
    to this workspace if it began in the workspace's folder, or in a git worktree of it; the others are counted by
    folder. Files that have not changed since they were last imported are not read again.
    """
    if not paths and not all_roots and not everywhere:
        raise click.UsageError("give a PATH, or use --all")
    for path in paths:
        if not path.exists():
            raise IngestError(f"{path}: no such file or folder", hint="check the path, or use --all")
    if explain:
        if len(paths) != 1 or all_roots or everywhere or watch:
            raise click.UsageError("--explain takes one PATH, and neither --all, --everywhere nor --watch")
        _explain(paths[0], format_, as_json=as_json)
        return 0
    roots = _roots(invocation.settings, invocation) if all_roots or everywhere else []
    source = _Source([*paths, *(roots if everywhere else ())], [] if everywhere else roots, format_)

    async def work(workspace: "Workspace") -> int:
        if watch:
            await _watch(workspace, source, as_json=as_json)
            return 0
        report = await _import(workspace, source)
        _print(report, source, as_json=as_json)
        return FAILURE if _nothing_readable(report) else 0

    invocation.require_file()
    return invocation.with_workspace(work)


def _explain(path: Path, format_: str | None, *, as_json: bool) -> None:
    from acode_tui.cli.output import Column, print_table, terminal_width
    from acode_tui.ingest.explain import explain
    from acode_tui.ingest.file_reader import UnknownFormatError

    try:
        found = explain(path, format_)
    except UnknownFormatError as error:
        raise IngestError(f"{path}: {error}") from error
    except OSError as error:
        raise IngestError(f"{path}: {error.strerror or error}", hint="give one transcript") from error
    if as_json:
        print_json(found)
        return
    width = terminal_width()
    if width is not None and width < _WIDE:
        for line in _explained_lines(found, width):
            click.echo(line)
        return
    columns = (
        Column("line", "right"),
        Column("kind"),
        Column("task", "right"),
        Column("step", "right"),
        Column("call", maximum=20),
        Column("what", flexible=True),
        Column("why", flexible=True),
    )
    print_table(
        columns,
        [(row.line, row.kind, row.task, row.step, row.call, row.what, row.why) for row in found.records],
    )


def _explained_lines(found: "Explanation", width: int) -> "Iterator[str]":
    """Each record on two lines or more, nothing of which is cut off: a table would have columns of few letters."""
    sessions = {row.session for row in found.records} - {0}
    indent = 21
    for row in found.records:
        numbers = (row.session if len(sessions) > 1 else None, row.task, row.step)
        place = ".".join(str(number) for number in numbers if number is not None)
        what = f"{row.what} [{row.call}]" if row.call is not None else row.what
        head = f"{row.line:>5} {row.kind:<7} {place:<6} "
        yield from split_columns(head + clean(what or row.why), width, indent=indent)
        if what:
            yield from split_columns(" " * indent + clean(row.why), width, indent=indent)


class _Source(NamedTuple):
    """Where to import from: paths of which everything is taken, and roots of which this workspace's runs are."""

    paths: list[Path]
    roots: list[Path]
    format: str | None

    @property
    def every(self) -> list[Path]:
        return [*self.paths, *self.roots]


def _roots(settings: "Settings", invocation: Invocation) -> list[Path]:
    from acode_tui.config import resolve_path
    from acode_tui.ingest import default_roots

    configured = [resolve_path(invocation.root, root) for root in settings.ingest.roots]
    return configured or default_roots(invocation.environ, settings.ingest.formats or None)


async def _import(workspace: "Workspace", source: _Source) -> "ImportReport":
    import asyncio

    from acode_tui.cli.progress import ImportLine
    from acode_tui.ingest import discover, import_transcripts
    from acode_tui.ingest.scope import split

    formats = workspace.settings.ingest.formats or None
    named = await discover(source.paths, formats)
    known = await workspace.transcripts.known() if source.roots else {}
    others = await discover(source.roots, formats)
    kept, elsewhere = await asyncio.to_thread(split, others, workspace.root, known)
    found = list({item.path: item for item in (*kept, *named)}.values())
    with ImportLine() as line:
        report = await import_transcripts(
            workspace.transcripts,
            found,
            workspace_id=workspace.workspace_id,
            user_id=workspace.user,
            limits=workspace.settings.limits,
            format=source.format,
            on_progress=line.show,
            wall=workspace.wall,
        )
    return msgspec.structs.replace(report, elsewhere=elsewhere)


async def _watch(workspace: "Workspace", source: _Source, *, as_json: bool) -> None:
    """Import, and again after every write under the roots, until SIGINT or SIGTERM."""
    import asyncio
    import signal

    if not any(root.exists() for root in source.every):
        raise IngestError("there is no folder to watch", hint="give a PATH, or set ingest.roots")
    following = asyncio.create_task(_follow(workspace, source, as_json=as_json))
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, following.cancel)
    with suppress(asyncio.CancelledError):
        await following


async def _follow(workspace: "Workspace", source: _Source, *, as_json: bool) -> None:
    from acode_tui.cli.progress import ImportLine
    from acode_tui.ingest.follow import FollowedRuns, Follower, leased
    from acode_tui.ingest.follow_lease import FollowLease

    follower = Follower(
        workspace.transcripts,
        FollowedRuns(
            roots=tuple(source.roots),
            paths=tuple(source.paths),
            within=workspace.root,
            format=source.format,
            formats=tuple(workspace.settings.ingest.formats) or None,
        ),
        workspace_id=workspace.workspace_id,
        user_id=workspace.user,
        limits=workspace.settings.limits,
        wall=workspace.wall,
    )
    lease = FollowLease(workspace.agent_dir)
    if source.roots:
        # Named paths are this command's own; the transcripts of the workspace's folder are followed by one process.
        await leased(lease, _held)
    first = True
    async with aclosing(follower.changes(_refused)) as changes:
        async for changed in changes:
            if changed is not None:
                report = await follower.import_changed(changed)
            else:
                with ImportLine() as line:
                    report = await follower.import_all(line.show)
            if first or report.written:
                _print(report, source, as_json=as_json)
            if first:
                click.echo(f"watching {counted(len(source.every), 'path')}; Ctrl-C ends", err=True)
            first = False


def _held(pid: int | None) -> None:
    who = "another process" if pid is None else f"pid {pid}"
    click.echo(f"{who} follows this workspace already; waiting until that ends; Ctrl-C ends", err=True)


def _refused(error: OSError) -> None:
    click.echo(f"the system watches no more folders ({error}); they are looked at every few seconds", err=True)


def _print(report: "ImportReport", source: _Source, *, as_json: bool) -> None:
    if as_json:
        print_json(_json(report))
        return
    if not report.files and report.elsewhere:
        click.echo("no transcript is of a run in this workspace's folder")
        _print_elsewhere(report.elsewhere)
        return
    if not report.files:
        searched = (
            ", ".join(clean(str(root)) for root in source.every) or "the known agents' folders, none of which exists"
        )
        click.echo(f"no transcripts found in {searched}; give a file or a folder: `acode-tui import PATH`")
        return
    counts = (
        (report.sessions, "session"),
        (report.tasks, "task"),
        (report.steps, "step"),
        (report.tool_calls, "tool call"),
        (report.artifacts, "artifact"),
    )
    click.echo(
        f"{counted(report.files, 'file')}, {number(report.unchanged)} unchanged; read "
        + ", ".join(counted(count, noun) for count, noun in counts)
        + f"; {counted(report.written, 'row')} written; {counted(report.skipped_lines, 'line')} skipped"
    )
    if report.ending:
        click.echo(
            f"{counted(report.ending, 'transcript')} of those found "
            f"{'is' if report.ending == 1 else 'are'} deleted within a week by the agent that wrote "
            f"{'it' if report.ending == 1 else 'them'}; what is imported stays"
        )
    _print_elsewhere(report.elsewhere)
    for issue in report.errors[:_MOST_ISSUES]:
        location = f"{issue.file}:{issue.line}" if issue.line is not None else issue.file
        hint = f"; {issue.hint}" if issue.hint else ""
        click.echo(clean(f"{location}: {issue.message}{hint}"), err=True)
    if len(report.errors) > _MOST_ISSUES:
        click.echo(f"and {number(len(report.errors) - _MOST_ISSUES)} more; --json has all of them", err=True)


def _print_elsewhere(elsewhere: dict[str, int]) -> None:
    """Say how many runs of other folders were left out, and how to take them."""
    if not elsewhere:
        return
    click.echo(
        f"{counted(sum(elsewhere.values()), 'transcript')} of {counted(len(elsewhere), 'other folder')} "
        "not imported; --everywhere takes them, or run this in their workspace:",
        err=True,
    )
    for folder, count in list(elsewhere.items())[:_MOST_FOLDERS]:
        click.echo(f"{number(count):>8}  {clean(folder) or '(no folder is named)'}", err=True)
    if len(elsewhere) > _MOST_FOLDERS:
        click.echo(f"and {number(len(elsewhere) - _MOST_FOLDERS)} more folders; --json has all of them", err=True)


def _json(report: "ImportReport") -> dict[str, Any]:
    return {
        "files": report.files,
        "sessions": report.sessions,
        "tasks": report.tasks,
        "steps": report.steps,
        "toolCalls": report.tool_calls,
        "artifacts": report.artifacts,
        "unchanged": report.unchanged,
        "skippedLines": report.skipped_lines,
        "unknownRecords": report.unknown_records,
        "ending": report.ending,
        "elsewhere": report.elsewhere,
        "errors": report.errors,
    }


def _nothing_readable(report: "ImportReport") -> bool:
    """Whether files were found and none of them could be read."""
    unreadable = {issue.file for issue in report.errors if issue.line is None}
    return report.files > 0 and len(unreadable) >= report.files and not report.sessions
