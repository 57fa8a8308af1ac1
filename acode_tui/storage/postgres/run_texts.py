"""Reads whole runs for the search: their rows in the order of the hierarchy, with the texts that a query may find.

A run of many megabytes has a word in few of its rows. So the server leaves out texts in which no token of the query can
stand: what is left decides the same, and is much less to send, to decode and to read.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from acode_tui.domain.entities import Entity, Session
from acode_tui.domain.errors import IntegrityError
from acode_tui.domain.schema import TABLES, parent_of
from acode_tui.domain.search.places import MAX_TEXT
from acode_tui.domain.search.query import Query
from acode_tui.domain.states import ArtifactType, EntityType
from acode_tui.storage.postgres.identifiers import Connection
from acode_tui.storage.postgres.rows import entity_from_row, has_known_names, select_column

_Below: TypeAlias = dict[str, list[Any]]
"""Rows by the id of the row that they hang on, in order."""


async def read_runs(
    connection: Connection, schema: str, sessions: Sequence[Session], query: Query
) -> dict[str, list[Entity]]:
    """By session id, the rows of each run in the order of ``SessionGraph.entities``, without its events.

    ``schema`` is quoted. Texts that no token of the query can be in are None, and contents end after 64 KiB.
    """
    if not (query.has_places or query.excluded.has_places):
        return {session.id: [session] for session in sessions}
    ids = [session.id for session in sessions]
    patterns = _patterns(query)
    named = (query.tools, query.files, query.excluded.tools, query.excluded.files)
    # Without a tool or a file to find, a call without the words is of no account, unless an artifact with them is its.
    is_partial = patterns is not None and not any(named)
    below: dict[EntityType, _Below] = {}
    for kind in (EntityType.SESSION_TASK, EntityType.STEP, EntityType.ARTIFACT, EntityType.TOOL_CALL):
        arguments = [ids] if patterns is None or kind in _READ_WHOLE else [ids, patterns]
        paths = bool(query.files or query.excluded.files)
        statement = _select(schema, kind, filtered=len(arguments) == 2, paths=paths, partial=is_partial)
        if is_partial and kind is EntityType.TOOL_CALL:
            found = (artifact for every in below[EntityType.ARTIFACT].values() for artifact in every)
            arguments.append(list({each.tool_call_id for each in found if each.tool_call_id is not None}))
        grouped = below[kind] = {}
        for row in await connection.fetch(statement, *arguments):
            if not has_known_names(kind, row):
                continue
            try:
                entity = entity_from_row(kind, row)
            except IntegrityError:
                continue  # JSON that a foreign program wrote and no reader can hold: the others can be found
            holder = parent_of(entity)
            assert holder is not None
            grouped.setdefault(holder[1], []).append(entity)
    return {session.id: list(_in_order(session, below)) for session in sessions}


_READ_WHOLE = (EntityType.SESSION_TASK, EntityType.STEP)
"""Kinds whose rows are few and short."""


def _patterns(query: Query) -> list[str] | None:
    """LIKE patterns, one of which each text fits that has a term of the query and is ASCII; None for all texts.

    The folding of an ASCII text is its lower case, so a token stands in it as a substring. Tokens that are not ASCII
    need no pattern: texts that are not are always read.
    """
    if not query.texts:
        # Conditions without words: a hit shows the beginning of its text, whatever that is.
        return None
    longest = {max(term.tokens, key=len) for term in (*query.texts, *query.excluded.texts)}
    return [f"%{token}%" for token in sorted(longest) if token.isascii()]


def _may_match(text: str) -> str:
    """The condition that a text may hold a term. COLLATE "C" lowers ASCII alone, which is fast and all that counts."""
    return f'(lower({text} COLLATE "C") LIKE ANY($2::text[]) OR octet_length({text}) <> char_length({text}))'


def _select(schema: str, kind: EntityType, *, filtered: bool, paths: bool, partial: bool) -> str:
    """With ``partial`` calls and artifacts are left out of which no text may match, but the calls in $3."""
    table = TABLES[kind]
    condition = ""
    chosen = {column.name: select_column(column) for column in table.columns}
    if kind is EntityType.TOOL_CALL and filtered:
        outcome = _may_match("concat(error_message, ' ', result::text)")
        chosen["result"] = f"CASE WHEN {outcome} THEN result END AS result"
        chosen["error_message"] = f"CASE WHEN {outcome} THEN error_message END AS error_message"
        call = _may_match("concat(tool_name, ' ', parameters::text)")
        if partial:
            condition = f" AND ({outcome} OR {call} OR id = ANY($3::uuid[]))"
        if not paths:
            chosen["parameters"] = f"CASE WHEN {call} THEN parameters END AS parameters"
    if kind is EntityType.ARTIFACT:
        content = f"substring(content FOR {MAX_TEXT})"
        if filtered:
            # Bytes beyond ASCII and backslashes are escaped by a backslash, and such texts are always read.
            text = f"encode({content}, 'escape')"
            held = (
                f'lower(name COLLATE "C") LIKE ANY($2::text[]) OR octet_length(name) <> char_length(name) '
                f"OR lower({text} COLLATE \"C\") LIKE ANY($2::text[]) OR strpos({text}, '\\') > 0"
            )
            content = f"CASE WHEN {held} THEN {content} END"
            if partial:
                # Which task is the first with a prompt counts too, whatever the prompt says.
                condition = f" AND (type = '{ArtifactType.USER_PROMPT.value}' OR {held})"
        chosen["content"] = f"{content} AS content"
    order = "created_at, id" if kind is EntityType.ARTIFACT else '"order", created_at, id'
    return (
        f"SELECT {', '.join(chosen.values())} FROM {schema}.{table.name} "  # noqa: S608
        f"WHERE session_id = ANY($1::uuid[]){condition} ORDER BY {order}"
    )


def _in_order(session: Session, below: dict[EntityType, _Below]) -> Iterator[Entity]:
    def held(kind: EntityType, holder: str) -> list[Any]:
        return below[kind].get(holder, [])

    yield session
    for task in held(EntityType.SESSION_TASK, session.id):
        yield task
        yield from held(EntityType.ARTIFACT, task.id)
        for step in held(EntityType.STEP, task.id):
            yield step
            yield from held(EntityType.ARTIFACT, step.id)
            for call in held(EntityType.TOOL_CALL, step.id):
                yield call
                yield from held(EntityType.ARTIFACT, call.id)
