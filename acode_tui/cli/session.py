"""``session``: lists the recorded runs and shows one of them."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, get_args

import click

from acode_tui.cli.invocation import Invocation, complete_query, complete_session_id, pass_invocation
from acode_tui.cli.options import examples, json_option, source_option
from acode_tui.cli.output import Column, cell, print_fields, print_json, print_table, state_colour, terminal_width
from acode_tui.domain.display import fit, session_name
from acode_tui.domain.entities import SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.quantities import ago, counted, dollars, number, short_duration, short_number, size
from acode_tui.domain.states import EntityType, SessionState
from acode_tui.storage.cursors import SortKey

if TYPE_CHECKING:
    from datetime import datetime

    from acode_tui.domain.entities import SessionEvent, SessionSummary
    from acode_tui.storage.ports import RunStateReader, SessionFilter, SessionPage
    from acode_tui.workspace import Workspace


class _State(click.Choice[str]):
    """A state by its name in any case; the error message has the exact names."""

    def __init__(self) -> None:
        super().__init__([state.value for state in SessionState], case_sensitive=False)

    def get_invalid_choice_message(self, value: object, ctx: click.Context | None) -> str:
        return f"{value!r} is not one of {', '.join(SessionState)}"


_COLUMNS = (
    Column("id"),
    Column("state"),
    Column("task", flexible=True, minimum=16, maximum=100),
    Column("project", flexible=True, minimum=8, maximum=16),
    Column("calls", "right"),
    Column("failed", "right"),
    Column("active"),
)
_SYNC = Column("sync")
_SORTED_BY = {"cost": "cost", "tokens": "tokens", "took": "took", "created": "created"}
"""The column that stands in the place of the calls, in an order whose value the other columns do not have."""


@asynccontextmanager
async def _reader(workspace: "Workspace", source: str) -> "AsyncIterator[RunStateReader]":
    if source == "local":
        yield workspace.store
        return
    async with workspace.open_team() as team:
        yield team


@click.group("session", epilog=examples("acode-tui session list --state Failed"))
def command() -> None:
    """List and show recorded runs."""


@command.command(
    "list",
    epilog=examples(
        "acode-tui session list --state Executing --state Failed",
        "acode-tui session list --search 'login tool:bash since:7d' --limit 20 --json",
        "acode-tui session list --resumable --source postgres",
    ),
)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=_State(),
    metavar="STATE",
    help="Only sessions in this state; may be repeated: " + ", ".join(SessionState) + ".",
)
@click.option(
    "--search",
    metavar="QUERY",
    shell_complete=complete_query,
    help="Only sessions that this query finds; see `acode-tui search --help`.",
)
@click.option("--user", metavar="NAME", help="Only sessions of this user.")
@click.option("--resumable", is_flag=True, help="Only sessions that their agent can resume: is:resumable.")
@click.option(
    "--sort",
    type=click.Choice(get_args(SortKey)),
    default="updated",
    show_default=True,
    help="What the list is ordered by, the latest or the largest first. The team's runs have no order by a figure.",
)
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="Sessions on a page.")
@click.option("--after", metavar="CURSOR", help="The page after this cursor (`nextCursor` of the previous page).")
@source_option
@json_option
@pass_invocation
def list_(
    invocation: Invocation,
    states: tuple[str, ...],
    search: str | None,
    user: str | None,
    resumable: bool,
    sort: SortKey,
    limit: int,
    after: str | None,
    source: str,
    as_json: bool,
) -> None:
    """List sessions, most recent activity first unless --sort says otherwise."""
    from acode_tui.storage.ports import SessionFilter

    # In front: a quote that the query leaves open would take in what follows it.
    text = f"is:resumable {search or ''}".rstrip() if resumable else search
    chosen = SessionFilter(states=tuple(map(SessionState, states)), text=text or None, user=user, sort=sort)

    async def read(workspace: "Workspace") -> "tuple[SessionPage, dict[str, float | None], datetime, list[str], int]":
        from acode_tui.ops.no_match import explain_no_match

        async with _reader(workspace, source) as reader:
            page = await reader.list(chosen, limit=limit, after=after)
            costs = await workspace.costs([each.id for each in page]) if sort == "cost" else {}
            asks_why = not page.sessions and after is None and not as_json
            why = await explain_no_match(reader, chosen) if asks_why else []
            return page, costs, workspace.wall(), why, await reader.count_unknown()

    page, costs, now, why, unknown = invocation.with_workspace(read)
    if unknown:
        click.echo(
            f"{counted(unknown, 'session')} left out: with a state that is not known here; a newer acode-tui shows it",
            err=True,
        )
    if as_json:
        print_json({"sessions": page.sessions, "nextCursor": page.next_cursor, "total": page.total})
        return
    if not page.sessions:
        click.echo(_no_sessions_message(chosen, after))
        for sentence in why:
            click.echo(cell(sentence))
        return
    from acode_tui.domain.search.facts import facts_of

    # Without a server nothing is ever sent, and every run would be pending for ever.
    has_server = source == "local" and invocation.settings.persistence.postgres.enabled
    ids = _short_ids([session.id for session in page])
    rows = [
        (
            short,
            session.state.value,
            session_name(session),
            facts_of(session).project,
            session.tool_call_count if (value := _sorted_by(sort, session, costs, now)) is None else value,
            session.failed_calls or "",
            ago(session.updated_at, now),
            *((session.sync,) if has_server else ()),
        )
        for short, session in zip(ids, page, strict=True)
    ]
    columns = [
        Column(_SORTED_BY.get(sort, each.title), each.align) if each.title == "calls" else each for each in _COLUMNS
    ]
    print_table((*columns, _SYNC) if has_server else columns, rows)
    if page.next_cursor is not None:
        total = f" of {number(page.total)}" if page.total is not None else ""
        click.echo(f"{len(page)}{total}; next page: --after {page.next_cursor}", err=True)


def _sorted_by(
    sort: SortKey, session: "SessionSummary", costs: "Mapping[str, float | None]", now: "datetime"
) -> str | None:
    """The value that the order adds, in the place of the calls; None where it adds none."""
    from acode_tui.domain.figures import duration_of, tokens_of

    if sort == "cost":
        return dollars(costs[session.id]) if session.id in costs else ""
    if sort == "tokens":
        return short_number(tokens_of(session))
    if sort == "took":
        return short_duration(duration_of(session))
    return ago(session.created_at, now) if sort == "created" else None


@command.command("show", epilog=examples("acode-tui session show 0190d6a1", "acode-tui session show 0190d6a1 --tree"))
@click.argument("session_id", metavar="ID", shell_complete=complete_session_id)
@click.option("--tree", is_flag=True, help="Show tasks, steps, tool calls and artifacts as a tree.")
@source_option
@json_option
@pass_invocation
def show(invocation: Invocation, session_id: str, tree: bool, source: str, as_json: bool) -> None:
    """Show one session as a conversation: prompts, reasoning in short, answers, and a line a tool call.

    ID may be any unique prefix. --json has everything that was recorded.
    """
    from acode_tui.cli.conversation import conversation, spoken

    async def read(workspace: "Workspace") -> "tuple[SessionGraph, dict[str, bytes]]":
        async with _reader(workspace, source) as reader:
            graph = await reader.get_with_hierarchy(await reader.resolve_id(EntityType.SESSION, session_id))
            said = () if tree or as_json else spoken(graph)
            return graph, {each.id: await reader.get_artifact_content(each.id) for each in said}

    graph, contents = invocation.with_workspace(read)
    if as_json:
        print_json(graph)
        return
    print_fields(
        [
            ("session", graph.id),
            ("task", graph.task_description),
            ("state", graph.state.value),
            ("user", graph.user_id),
            ("created", graph.created_at),
            ("updated", graph.updated_at),
            *sorted((f"  {name}", _readable(name, value)) for name, value in (graph.metadata or {}).items()),
        ]
    )
    click.echo()
    if tree:
        for line in session_tree(graph):
            click.echo(line)
        return
    if not graph.tasks:
        click.echo("no tasks were recorded")
    for line in conversation(graph, contents, terminal_width()):
        click.echo(line)


@command.command(
    "history", epilog=examples("acode-tui session history 0190d6a1", "acode-tui session history 0190d6a1 --json")
)
@click.argument("session_id", metavar="ID", shell_complete=complete_session_id)
@source_option
@json_option
@pass_invocation
def history(invocation: Invocation, session_id: str, source: str, as_json: bool) -> None:
    """Show each change of a session's state with its reason, oldest first. ID may be any unique prefix."""

    async def read(workspace: "Workspace") -> "tuple[SessionEvent, ...]":
        async with _reader(workspace, source) as reader:
            return await reader.get_events(await reader.resolve_id(EntityType.SESSION, session_id))

    events = invocation.with_workspace(read)
    if as_json:
        print_json({"events": events})
    elif events:
        _print_events(events)
    else:
        click.echo("its state has not changed since it was created")


def _readable(name: str, value: object) -> object:
    """A stored time as a moment, a cost in dollars; any other value unchanged."""
    if name == "cost" and isinstance(value, int | float):
        return dollars(value)
    if isinstance(value, str):
        from acode_tui.domain.clock import parse_time

        with suppress(ValidationError):
            return parse_time(value)
    return value


def _print_events(events: "Sequence[SessionEvent]") -> None:
    rows = [(event.timestamp, event.from_state.value, event.to_state.value, event.reason) for event in events]
    print_table((Column("time"), Column("from"), Column("to"), Column("reason", flexible=True)), rows)


def _no_sessions_message(chosen: "SessionFilter", after: str | None) -> str:
    if after or chosen.states or chosen.text or chosen.user:
        return "no session matches; try fewer conditions: `acode-tui session list`"
    return (
        "no sessions yet; import your agents' transcripts with `acode-tui import --all`, "
        "or record runs from Python with acode_tui.open_workspace"
    )


def _short_ids(ids: list[str]) -> list[str]:
    """The ids shortened to the least length, at least eight, at which they are all different."""
    for length in range(8, 37):
        cut = [each[:length] for each in ids]
        if len(set(cut)) == len(set(ids)):
            return cut
    return ids


Node = tuple[str, str, Sequence["Node"]]
"""A node's text, its state ("" for none) and its children."""


def session_tree(graph: SessionGraph) -> Iterator[str]:
    """The lines of the tree, not wider than the terminal."""
    width = terminal_width()
    yield _styled(cell(session_name(graph)), graph.state.value, width)
    yield from _branches([_task_node(task) for task in graph.tasks], "", width)


def _branches(nodes: Sequence[Node], indent: str, width: int | None) -> Iterator[str]:
    for index, (text, state, children) in enumerate(nodes):
        last = index == len(nodes) - 1
        stem = indent + ("└─ " if last else "├─ ")
        room = None if width is None else max(width - len(stem), 8)
        yield stem + _styled(text, state, room)
        yield from _branches(children, indent + ("   " if last else "│  "), width)


def _styled(text: str, state: str, room: int | None) -> str:
    if not state:
        return text if room is None else fit(text, room)
    suffix = f"  {state}"
    shown = text if room is None else fit(text, max(room - len(suffix), 4))
    return shown + click.style(suffix, fg=state_colour(state))


def _task_node(task: TaskGraph) -> Node:
    return cell(task.title), task.state.value, [*_artifact_nodes(task), *map(_step_node, task.steps)]


def _step_node(step: StepGraph) -> Node:
    return cell(step.name), step.state.value, [*_artifact_nodes(step), *map(_call_node, step.tool_calls)]


def _call_node(call: ToolCallGraph) -> Node:
    text = cell(call.tool_name)
    if call.error_message:
        text = f"{text}: {cell(call.error_message)}"
    return text, call.state.value, _artifact_nodes(call)


def _artifact_nodes(holder: TaskGraph | StepGraph | ToolCallGraph) -> list[Node]:
    return [
        (f"{each.id}  {each.type.value}  {cell(each.name)}  {size(each.size)}", "", []) for each in holder.artifacts
    ]
