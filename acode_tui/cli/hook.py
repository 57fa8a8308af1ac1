"""``hook``: takes an agent's events, and installs itself in the agent's settings.

``hook AGENT`` does not come through here when an agent runs it: ``__main__`` hands it on before it imports click.
"""

import shutil
import sys
from pathlib import Path

import click

from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples, force_option, json_option
from acode_tui.cli.output import print_json
from acode_tui.domain.display import clean
from acode_tui.home import home
from acode_tui.hooks.events import READERS

_AGENT = click.argument("agent", type=click.Choice(sorted(READERS)))
_PROJECT = click.option(
    "--project", is_flag=True, help="In the workspace's .claude/settings.json, for everybody who works there."
)


@click.group(
    "hook",
    epilog=examples(
        "acode-tui hook install claude-code",
        "acode-tui hook install claude-code --project --yes",
        "acode-tui hook uninstall codex",
        "acode-tui hook claude-code < event.json",
    ),
)
def command() -> None:
    """Take events from a running agent.

    An installed hook makes the agent report what happens. The run is then imported while it goes on, and shows at once
    that it waits for your consent. The agent never waits for the database. In folders that are no workspace it does
    nothing.
    """


@command.command("claude-code", epilog=examples("acode-tui hook claude-code < event.json"))
def claude_code() -> int:
    """Take one event of Claude Code from standard input."""
    from acode_tui.hooks.receive import receive

    return receive("claude-code")


@command.command("codex", epilog=examples('acode-tui hook codex \'{"type": "agent-turn-complete"}\''))
@click.argument("event")
def codex(event: str) -> int:
    """Take one event of Codex, which gives it as an argument."""
    from acode_tui.hooks.receive import receive

    return receive("codex", event)


@command.command("install", epilog=examples("acode-tui hook install claude-code", "acode-tui hook install codex --yes"))
@_AGENT
@_PROJECT
@force_option
@json_option
@pass_invocation
def install(invocation: Invocation, agent: str, project: bool, force: bool, as_json: bool) -> int:
    """Add the hook to an agent; shows the change first. Other hooks stay as they are."""
    return _change(invocation, agent, project=project, force=force, as_json=as_json, remove=False)


@command.command("uninstall", epilog=examples("acode-tui hook uninstall claude-code"))
@_AGENT
@_PROJECT
@force_option
@json_option
@pass_invocation
def uninstall(invocation: Invocation, agent: str, project: bool, force: bool, as_json: bool) -> int:
    """Remove the hook again; shows the change first. Other hooks stay as they are."""
    return _change(invocation, agent, project=project, force=force, as_json=as_json, remove=True)


def _change(invocation: Invocation, agent: str, *, project: bool, force: bool, as_json: bool, remove: bool) -> int:
    from acode_tui.hooks.install import plan

    change = plan(
        agent,
        # A project's settings are for several machines: the program is found on the path there.
        program="acode-tui" if project else _program(),
        remove=remove,
        project=invocation.root if project else None,
        environ=invocation.environ,
        home=home(),
    )
    if change.diff:
        if not as_json:
            click.echo(clean(change.diff, keep_newlines=True), err=not force)
        if not force:
            click.confirm("Write this?", abort=True, err=True)
        change.apply()
    if as_json:
        print_json({"agent": agent, "path": str(change.path), "changed": bool(change.diff), "diff": change.diff})
    elif not change.diff:
        click.echo(f"nothing to change in {clean(str(change.path))}")
    else:
        undo = "install" if remove else "uninstall"
        where = " --project" if project else ""
        click.echo(f"written; `acode-tui hook {undo} {agent}{where}` takes it back; running agents need a restart")
    return 0


def _program() -> str:
    """The absolute path of this program, as it was started or as it is found on the path."""
    started = Path(sys.argv[0])
    if started.name == "acode-tui" and started.is_file():
        return str(started.absolute())
    return shutil.which("acode-tui") or "acode-tui"
