"""The top command: options before a command, and the dashboard if there is no command."""

import codecs
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple

import click

from acode_tui.cli.errors import exit_code_of
from acode_tui.cli.invocation import Invocation
from acode_tui.cli.options import examples
from acode_tui.version import VERSION

PROGRAM = "acode-tui"
COMPLETE_VARIABLE = "_ACODE_TUI_COMPLETE"


class CommandModule(NamedTuple):
    """The module of a command, and its summary in the top help: the first sentence of the command's own help."""

    module: str
    summary: str


COMMANDS = {
    "artifact": CommandModule("artifact", "Show and save artifacts."),
    "completion": CommandModule("completion", "Print a shell's completion script."),
    "config": CommandModule("config", "Show and change settings."),
    "db": CommandModule("db.status", "The workspace's database, the outbox and the sync."),
    "diagnostics": CommandModule("diagnostics", "Print a report of the workspace for a bug report."),
    "demo": CommandModule("demo", "Try everything in a temporary folder."),
    "hook": CommandModule("hook", "Take events from a running agent."),
    "import": CommandModule("import_", "Import transcripts of other agents into the workspace."),
    "mcp": CommandModule("mcp", "Let an agent ask what was tried before."),
    "receive": CommandModule("receive", "Record runs that agents send with OpenTelemetry."),
    "search": CommandModule("search", "Find what was said, run, read or written in any run, with its place."),
    "session": CommandModule("session", "List and show recorded runs."),
    "stats": CommandModule("stats", "Show what runs used and cost, by day, model, agent, project or tool."),
    "status": CommandModule("status", "Show how healthy the workspace is."),
    "trust": CommandModule("trust", "Approve what this workspace's settings file asks for."),
}


class WorkspacePlace(click.Path):
    """A folder that exists, or the URL of a database, which no message quotes."""

    def __init__(self) -> None:
        super().__init__(exists=True, file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and value.lower().startswith(("postgresql://", "postgres://")):
            return value
        return super().convert(value, param, ctx)


class ProgramGroup(click.Group):
    """The top group. Prints every error as one line and exits with a code.

    A command's module is imported when the command runs, so ``--help`` and ``--version`` import none.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"acode_tui.cli.{COMMANDS[cmd_name].module}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].summary) for name in self.list_commands(ctx)])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        invocation = Invocation()

        def work() -> Any:
            return super(ProgramGroup, self).main(
                args,
                prog_name or PROGRAM,
                complete_var or COMPLETE_VARIABLE,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                obj=invocation,
                **extra,
            )

        code = exit_code_of(work, lambda: invocation.secrets)
        if not standalone_mode:
            return code
        sys.exit(code)


@click.group(
    cls=ProgramGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples("acode-tui", "acode-tui import --all", "acode-tui --workspace ~/src/shop session list"),
)
@click.option(
    "--workspace",
    type=WorkspacePlace(),
    metavar="DIR",
    help="Folder of the workspace, or a postgresql:// URL of a database that runs are in. "
    "Default: ACODE_WORKSPACE, else the nearest parent with .agent/, else this folder.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    help="Lowest level in .agent/logs/acode-tui.log. Default: ACODE_LOG_LEVEL, else info.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting for this run only; overrides files and environment. May be repeated.",
)
@click.option("--headless", is_flag=True, help="Run the sync worker without a terminal, until SIGINT or SIGTERM.")
@click.option("--once", is_flag=True, help="With --headless: send pending records, then exit (with 1 if some remain).")
@click.option(
    "--metrics",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="With --headless: metrics for Prometheus on 127.0.0.1 (0: any free port; see the log).",
)
@click.option("--serve", is_flag=True, help="Serve the dashboard to a browser on this machine, until a signal.")
@click.option("--serve-host", metavar="HOST", help="With --serve: the address to listen on. Default: 127.0.0.1.")
@click.option(
    "--serve-port", type=click.IntRange(0, 65535), metavar="PORT", help="With --serve: the port. Default: 8000; 0: any."
)
@click.option(
    "--serve-public",
    is_flag=True,
    help="With --serve: allow an address that other machines reach. Nothing is encrypted.",
)
@click.version_option(VERSION, prog_name=PROGRAM)
@click.pass_context
def cli(
    context: click.Context,
    workspace: Path | str | None,
    log_level: str | None,
    assignments: tuple[str, ...],
    headless: bool,
    once: bool,
    metrics: int | None,
    serve: bool,
    serve_host: str | None,
    serve_port: int | None,
    serve_public: bool,
) -> Any:
    """A flight recorder for AI-agent runs. Without a command: open the dashboard."""
    if os.environ.get("NO_COLOR"):
        context.color = False
    invocation = context.ensure_object(Invocation)
    invocation.apply_options(workspace, log_level)
    if assignments:
        _set_flags(context, assignments)
    if once and not headless:
        raise click.UsageError("--once requires --headless", context)
    if metrics is not None and (once or not headless):
        raise click.UsageError("--metrics requires --headless, without --once", context)
    if serve and headless:
        raise click.UsageError("--serve cannot be used with --headless", context)
    if not serve and (serve_public or serve_host is not None or serve_port is not None):
        raise click.UsageError("--serve-host, --serve-port and --serve-public require --serve", context)
    if context.invoked_subcommand is not None:
        if headless or serve:
            flag = "--headless" if headless else "--serve"
            raise click.UsageError(f"{flag} cannot be used with {context.invoked_subcommand}", context)
        return None
    if headless:
        from acode_tui.cli.headless import run_headless

        return run_headless(invocation, once=once, metrics=metrics)
    if serve:
        from acode_tui.cli.serve.command import DEFAULT_HOST, DEFAULT_PORT, run_serve

        return run_serve(
            invocation,
            host=serve_host or DEFAULT_HOST,
            port=DEFAULT_PORT if serve_port is None else serve_port,
            public=serve_public,
            arguments=[*(["--log-level", log_level] if log_level else []), *(f"--set={each}" for each in assignments)],
        )
    from acode_tui.cli.dashboard import open_dashboard

    return open_dashboard(invocation)


def _set_flags(context: click.Context, assignments: tuple[str, ...]) -> None:
    """Apply the settings of the command line to every load of this process, including reloads."""
    from acode_tui.config import keys, set_flags

    flags = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise click.UsageError(f"--set {name}: write KEY=VALUE", context)
        flags[name] = keys.parse(keys.find(name), text)
    set_flags(flags)
    context.call_on_close(lambda: set_flags({}))


def _encoded_anyway(error: UnicodeError) -> tuple[bytes, int]:
    """The bytes of file names, which may be any, unchanged; a question mark for what the terminal's encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    escaped = (bytes([ord(each) - 0xDC00]) if "\udc80" <= each <= "\udcff" else b"?" for each in found)
    return b"".join(escaped), error.end


def main() -> None:
    """Run the program and exit."""
    if isinstance(sys.stdout, TextIOWrapper):
        codecs.register_error("acode_tui", _encoded_anyway)
        sys.stdout.reconfigure(errors="acode_tui")
    cli.main()
