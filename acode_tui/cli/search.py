"""``search``: finds the places in recorded runs where words, tools or files occur."""

import shlex
import sys
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import click

from acode_tui.cli.invocation import Invocation, complete_query, pass_invocation
from acode_tui.cli.options import examples, json_option, query_of, source_option
from acode_tui.cli.output import GAP, cell, local_time, print_json, terminal_width
from acode_tui.domain.display import cell_width, fit
from acode_tui.domain.quantities import counted, number
from acode_tui.domain.search.match import snippet_parts

if TYPE_CHECKING:
    from acode_tui.storage.ports import SearchHit, SearchPage
    from acode_tui.workspace import Workspace

_LANGUAGE = """\b
What a query is made of; conditions are all met by a run, and none that is excluded:
  word              in prompts, answers, reasoning, calls, outputs, errors, files, metadata
  "a phrase"        words that follow one another
  pre*              words that begin so
  -word             runs without it; also -"a phrase" and -field:value
  agent: project: model: branch: user: state:    of the run
  tool:NAME  file:NAME  failed:WORD              of its tool calls
  is:failed|live|subagent|resumable|unsynced
  since:7d  before:2026-03-01                    m, h, d, w, a day or a moment"""

_KIND_WIDTH = len("reasoning")
_LEAST_SNIPPET = 24
"""Columns below which the time is left out for the snippet."""


@click.command(
    "search",
    # Not -h: `-html` is a part of a query.
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
    epilog=_LANGUAGE
    + "\n\n"
    + examples(
        "acode-tui search refresh token",
        "acode-tui search '\"connection refused\" tool:bash since:7d'",
        "acode-tui search 'file:login.ts -is:subagent' --json",
        "acode-tui search 'user:ada migration' --source postgres",
    ),
)
@click.argument("words", metavar="QUERY", nargs=-1, required=True, shell_complete=complete_query)
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="Hits on a page.")
@click.option("--after", metavar="CURSOR", help="The page after this cursor (`nextCursor` of the previous page).")
@source_option
@json_option
@pass_invocation
@click.pass_context
def command(
    context: click.Context,
    invocation: Invocation,
    words: tuple[str, ...],
    limit: int,
    after: str | None,
    source: str,
    as_json: bool,
) -> None:
    """Find what was said, run, read or written in any run, with its place.

    Put a query with quotes or a minus between single quotes, so that the shell leaves it alone.
    """
    if words == ("-h",):
        click.echo(context.get_help())
        return
    query = query_of(context, words)

    async def read(workspace: "Workspace") -> "tuple[SearchPage, list[str]]":
        search = workspace.search if source == "local" else workspace.search_team
        page = await search(query, limit=limit, after=after)
        is_whole = not page.hits and page.next_cursor is None and after is None
        return page, await _why_nothing(workspace, query, source) if is_whole and not as_json else []

    page, why = invocation.with_workspace(read)
    if as_json:
        print_json(page)
        return
    if not page.hits:
        click.echo(_nothing_found(page, after, source))
        for sentence in why:
            click.echo(cell(sentence))
    print_hits(page.hits)
    if page.next_cursor is not None:
        total = "" if page.total is None else f" of {number(page.total)}"
        again = f"acode-tui search {shlex.quote(query)}" + ("" if source == "local" else f" --source {source}")
        click.echo(f"{counted(len(page.hits), 'hit')}{total}; next page: {again} --after {page.next_cursor}", err=True)


async def _why_nothing(workspace: "Workspace", query: str, source: str) -> list[str]:
    from acode_tui.ops.no_match import explain_no_match
    from acode_tui.storage.ports import SessionFilter

    asked = SessionFilter(text=query)
    if source == "local":
        return await explain_no_match(workspace.store, asked)
    async with workspace.open_team() as team:
        return await explain_no_match(team, asked)


def print_hits(hits: "Sequence[SearchHit]") -> None:
    """Print each run's line and below it its hits: kind, time and snippet, with the match in bold on a terminal."""
    width = terminal_width()
    for index, (_, group) in enumerate(groupby(hits, key=lambda hit: hit.session_id)):
        of_run = list(group)
        if index:
            click.echo()
        session = of_run[0].session
        known = [cell(value) for value in (session.agent, session.project) if value]
        line = (" " * GAP).join([session.id, *known, cell(session.task_description)])
        click.echo(click.style(line if width is None else fit(line, width), bold=True))
        for hit in of_run:
            start = f"  {hit.kind.ljust(_KIND_WIDTH)}  {local_time(hit.at)}  "
            if width is not None and width - len(start) < _LEAST_SNIPPET:
                start = f"  {hit.kind.ljust(_KIND_WIDTH)}  "
            click.echo(start + _shown(hit.snippet, None if width is None else width - len(start)))


def _shown(snippet: str, room: int | None) -> str:
    """A snippet in at most ``room`` columns: in bold what matches, or between its marks where nothing can be bold."""
    if room is None and not sys.stdout.isatty():
        return snippet
    parts = snippet_parts(snippet)
    if room is not None:
        parts = fit_parts(parts, room)
    return "".join(click.style(text, bold=True, fg="yellow") if matched else text for text, matched in parts)


def fit_parts(parts: Sequence[tuple[str, bool]], room: int) -> list[tuple[str, bool]]:
    """The parts of a snippet in at most ``room`` columns, so that the first match can be seen."""
    text = "".join(piece for piece, _ in parts)
    first = next((index for index, (_, matched) in enumerate(parts) if matched), None)
    if cell_width(text) > room and first:
        lead, match = parts[0][0], parts[first][0]
        kept = max(room // 3, room - cell_width(match) - room // 2)
        if cell_width(lead) > kept:
            parts = [("…" + _last_columns(lead, kept - 1), False), *parts[1:]]
    fitted: list[tuple[str, bool]] = []
    for piece, matched in parts:
        if room <= 0:
            break
        shown = fit(piece, room)
        fitted.append((shown, matched))
        room = 0 if shown != piece else room - cell_width(shown)
    return fitted


def _last_columns(text: str, columns: int) -> str:
    """The end of a text in at most so many columns."""
    width, start = 0, len(text)
    while start > 0 and (width := width + cell_width(text[start - 1])) <= columns:
        start -= 1
    return text[start:]


def _nothing_found(page: "SearchPage", after: str | None, source: str) -> str:
    if page.next_cursor is not None:
        return "nothing so far"
    if after is not None:
        return "no further hits"
    place = "in this workspace" if source == "local" else "of the team"
    return (
        f"nothing {place} matches; try fewer conditions or the beginning of a word (refr*); "
        "`acode-tui search --help` shows what a query may have, `acode-tui session list` what there is"
    )
