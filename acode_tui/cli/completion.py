"""``completion``: the script with which a shell completes commands, options, ids, settings and fields of queries."""

import click
from click.shell_completion import get_completion_class

from acode_tui.cli.options import examples


@click.command(
    "completion",
    epilog=examples(
        'eval "$(acode-tui completion bash)"                                    # in ~/.bashrc',
        'eval "$(acode-tui completion zsh)"                                     # in ~/.zshrc',
        "acode-tui completion fish > ~/.config/fish/completions/acode-tui.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a shell's completion script."""
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}", context)
    complete = found(context.find_root().command, {}, "acode-tui", "_ACODE_TUI_COMPLETE")
    # Not ``complete.source()``: for bash it runs bash to check its version.
    click.echo(complete.source_template % complete.source_vars())
