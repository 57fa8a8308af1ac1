"""The top group: which commands there are, and what happens around every one of them."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

import click

from acode_tui.cli.faults import guarded
from acode_tui.cli.invocation import Invocation

PROGRAM = "acode-tui"
COMPLETE_VARIABLE = "_ACODE_TUI_COMPLETE"


class CommandPlace(NamedTuple):
    """Where a command is, and the sentence that the top help has for it (the command's own first one)."""

    module: str
    summary: str


COMMANDS = {
    "artifact": CommandPlace("artifact", "Show and save artifacts."),
    "completion": CommandPlace("completion", "Print a shell's completion script."),
    "config": CommandPlace("config", "Show and change settings."),
    "db": CommandPlace("db.status", "Look after the workspace's database and the outbox."),
    "diagnostics": CommandPlace("diagnostics", "Print a report of the workspace that is safe to publish."),
    "demo": CommandPlace("demo", "Try everything in a temporary folder."),
    "import": CommandPlace("import_", "Read transcripts of Claude Code, Codex and others into the workspace."),
    "session": CommandPlace("session", "List and show recorded runs."),
    "status": CommandPlace("status", "Show how healthy the workspace is."),
}


class ProgramGroup(click.Group):
    """The top group. Its faults end as one line and an exit code, however it is called; a command's module is imported
    when that command is, so that ``--help`` and ``--version`` import none."""

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

        code = guarded(work, lambda: invocation.secrets)
        if not standalone_mode:
            return code
        sys.exit(code)
