"""``mcp``: a server of the Model Context Protocol on standard input and output, for agents."""

import click

from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples
from acode_tui.domain.errors import ConfigError


@click.command(
    "mcp",
    epilog=examples(
        "claude mcp add acode-tui -- acode-tui mcp",
        "codex mcp add acode-tui -- acode-tui mcp",
        "acode-tui --workspace ~/src/shop mcp",
    ),
)
@pass_invocation
def command(invocation: Invocation) -> None:
    """Let an agent ask what was tried before.

    Its tools are search_runs, get_run, get_artifact and recent_failures. It speaks the Model Context Protocol on
    standard input and output, until its client ends. It changes nothing, and hides known shapes of secrets in its
    answers. Needs the extra: pip install 'acode-tui[mcp]'.
    """
    try:
        from acode_tui.integrations.mcp_server import server
    except ImportError as error:
        raise ConfigError(
            f"the extra for it is not installed ({error.name})", hint="pip install 'acode-tui[mcp]'"
        ) from error
    if invocation.database_url is None and not (invocation.root / ".agent").is_dir():
        raise ConfigError(
            f"{invocation.root} is no workspace", hint="name one with --workspace, or import runs into it first"
        )
    invocation.with_workspace(lambda workspace: server(workspace).run_stdio_async())
