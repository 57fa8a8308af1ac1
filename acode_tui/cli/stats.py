"""``stats``: what runs used and what that costs, summed by one kind of key."""

from typing import TYPE_CHECKING

import click

from acode_tui.cli.invocation import Invocation, complete_query, pass_invocation
from acode_tui.cli.options import examples, json_option, query_of, source_option
from acode_tui.cli.output import Column, cell, print_json, print_table
from acode_tui.cli.progress import PercentLine
from acode_tui.domain.quantities import dollars, short_number

if TYPE_CHECKING:
    from acode_tui.ops.stats.report import Stats
    from acode_tui.storage.ports import Tokens
    from acode_tui.workspace import Workspace

_BY = ("day", "model", "agent", "project", "tool")


@click.command(
    "stats",
    # Not -h: `-html` is a part of a query.
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
    epilog=examples(
        "acode-tui stats",
        "acode-tui stats since:7d --by model",
        "acode-tui stats 'agent:codex -is:subagent' --by project --json",
        "acode-tui stats since:30d --by agent --source postgres",
    ),
)
@click.argument("words", metavar="[QUERY]", nargs=-1, shell_complete=complete_query)
@click.option("--by", type=click.Choice(_BY), default="day", show_default=True, help="What the figures are summed by.")
@source_option
@json_option
@pass_invocation
@click.pass_context
def command(
    context: click.Context, invocation: Invocation, words: tuple[str, ...], by: str, source: str, as_json: bool
) -> None:
    """Show what runs used and cost, by day, model, agent, project or tool.

    QUERY chooses the runs, as `acode-tui search --help` says; since: and before: choose whole days. Days are UTC. A run
    counts on the day it began, tokens and calls on their own. Cost is what the transcript says, else that of public
    prices, in US dollars. Put a query with quotes or a minus between single quotes.
    """
    if words == ("-h",):
        click.echo(context.get_help())
        return
    query = query_of(context, words)

    async def read(workspace: "Workspace") -> "Stats":
        if source != "local":
            return await workspace.stats_team(query, by)
        with PercentLine("counting") as line:
            return await workspace.stats(query, by, progress=line.show)

    stats = invocation.with_workspace(read)
    if as_json:
        print_json({"rows": stats.rows, "cost": stats.cost})
    elif stats.rows:
        _print(stats, by)
    else:
        click.echo(_nothing(query, source))


def _print(stats: "Stats", by: str) -> None:
    columns = [Column(by, flexible=True), *(Column(name, "right") for name in ("runs", "calls", "failed"))]
    rows = [[row.key or "(none)", row.sessions, row.tool_calls, row.failed] for row in stats.rows]
    total: list[object] = ["total", stats.sessions, *(sum(getattr(row, n) for row in stats.rows) for n in _COUNTS)]
    if by != "tool":
        columns += [Column(name, "right") for name in ("input", "output", "cached", "cost")]
        rows = [[*row, *_used(each.tokens), dollars(each.cost)] for row, each in zip(rows, stats.rows, strict=True)]
        total += [*_used(stats.tokens), dollars(stats.cost.total)]
    print_table(columns, [*rows, total])
    if by == "tool":
        return
    if stats.cost.unpriced:
        click.echo(f"no known price, so not in the cost: {cell(stats.cost.unpriced)}", err=True)


_COUNTS = ("tool_calls", "failed")


def _used(tokens: "Tokens | None") -> list[str]:
    """Input that was not cached, output, and what was read from the cache or written to it."""
    if tokens is None:
        return ["", "", ""]
    return [short_number(each) for each in (tokens.input, tokens.output, tokens.cache_read + tokens.cache_write)]


def _nothing(query: str, source: str) -> str:
    if query:
        return "no run fits; try fewer conditions, `acode-tui search --help` shows what a query may have"
    if source == "local":
        return "no runs yet; `acode-tui import --all` imports those of the agents on this machine"
    return "no runs of the team yet; `acode-tui db sync now` sends those of this workspace"
