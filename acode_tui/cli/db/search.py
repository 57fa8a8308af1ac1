"""``db search rebuild``: makes the search index of the workspace again from its rows."""

from typing import TYPE_CHECKING

import click

from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples, json_option
from acode_tui.cli.output import print_json
from acode_tui.cli.progress import PercentLine
from acode_tui.domain.quantities import counted, size, span

if TYPE_CHECKING:
    from acode_tui.storage.search_ports import IndexSize
    from acode_tui.workspace import Workspace


@click.group("search", epilog=examples("acode-tui db search rebuild"))
def group() -> None:
    """Care for the search index."""


@group.command("rebuild", epilog=examples("acode-tui db search rebuild", "acode-tui db search rebuild --json"))
@json_option
@pass_invocation
def rebuild(invocation: Invocation, as_json: bool) -> None:
    """Make the search index again from the recorded rows, such as after damage.

    Agents may write meanwhile. If it is interrupted, the next search indexes the rest.
    """

    async def work(workspace: "Workspace") -> "IndexSize":
        with PercentLine("indexing") as line:
            return await workspace.index.rebuild(line.show)

    made = invocation.with_workspace(work)
    if as_json:
        print_json(made)
        return
    click.echo(f"{counted(made.entries, 'document')}, {size(made.bytes)}, in {span(made.duration_seconds)}")
