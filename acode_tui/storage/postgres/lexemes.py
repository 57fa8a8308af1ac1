"""Lexemes: the strings that ``session_search`` holds of a session, and those that a query asks for. Pure.

Most are tokens of its texts. The others name a fact, such as ``tool=bash`` or ``is=failed``: no token has an equals
sign, so neither is taken for the other, and a filter finds its sessions in the same index as a word does.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from acode_tui.domain.entities import Entity, Session, ToolCall
from acode_tui.domain.search.facts import facts_of
from acode_tui.domain.search.query import Conditions, Query, index_entries
from acode_tui.domain.search.tokens import fold, index_tokens_of_all, tokens
from acode_tui.domain.states import ToolCallState

SEPARATOR = "\x1f"
"""Stands between the lexemes of a document on their way to the server."""

MAX_PART_BYTES = 256 * 1024
"""Bytes of the lexemes in one row. A tsvector holds 1 MiB of them, and ``array_to_tsvector`` garbles what is beyond."""

_MAX_FACT = 255
"""Characters of a fact's lexeme. Values that differ only beyond them are compared when the session is read."""

_MAX_TOOL = 64
"""Characters of a tool's name whose lexeme surely is whole."""

FAILED = "is=failed"
"""A lexeme of a session with a failed call."""

EDITED = "is=edited"
"""The lexeme of a session of which a row may have lost words that are still indexed: its texts decide a match."""

EVERY_SESSION = "is=session"
"""A lexeme of each session, so that one without any word has a document too."""


def add_lexemes(texts: Iterable[str], found: dict[str, None]) -> None:
    """Add the lexemes of texts of one session."""
    found.update(index_tokens_of_all(texts))


def add_facts(entity: Entity, found: dict[str, None]) -> None:
    """Add the lexemes of the facts of one row."""
    if isinstance(entity, Session):
        found.update(dict.fromkeys(_session_facts(entity)))
    elif isinstance(entity, ToolCall):
        found[_fact("tool", entity.tool_name.casefold())] = None
        if entity.state is ToolCallState.FAILED:
            found[FAILED] = None


def parts_of(lexemes: Iterable[str]) -> Iterator[str]:
    """The lexemes joined for the server, in as many parts as are needed."""
    part: list[str] = []
    size = 0
    for lexeme in lexemes:
        length = len(lexeme) if lexeme.isascii() else len(lexeme.encode())
        if size + length > MAX_PART_BYTES:
            yield SEPARATOR.join(part)
            part, size = [], 0
        part.append(lexeme)
        size += length
    if part:
        yield SEPARATOR.join(part)


class Wanted(NamedTuple):
    """Lexemes that a session must have for a query: of each tsquery in ``all_of`` one, and none of ``none_of``.

    ``exact`` is False where a session that has them may still not match, so that its texts have to be read: two words
    of a phrase stand apart, or a word stands in a call that did not fail. What the facts decide is not meant by that.
    """

    all_of: tuple[str, ...]
    none_of: tuple[str, ...]
    exact: bool


def wanted_lexemes(query: Query) -> Wanted:
    """What a query asks of ``session_search``."""
    found: dict[str, None] = {}
    for term in (*query.terms, *query.files, *query.failed):
        found.update((tsquery(token, prefix=prefix), None) for token, prefix in index_entries(term))
    if query.failed:
        found[tsquery(FAILED)] = None
    found.update((tsquery(_fact("tool", tool.casefold())), None) for tool in query.tools)
    for name, values in (("agent", query.agents), ("model", query.models)):
        found.update(_any_of(_part_of_name(name, value) for value in values))
    for name, values in (("project", query.projects), ("branch", query.branches), ("user", query.users)):
        found.update(_any_of(_whole_name(name, value) for value in values))
    found.update((tsquery(f"is={flag}"), None) for flag in query.is_ if flag in ("subagent", "resumable"))
    out = query.excluded
    none_of = [
        tsquery(token, prefix=prefix)
        for term in out.terms
        if len(term.tokens) == 1
        for token, prefix in index_entries(term)
    ]
    none_of += [tsquery(_fact("tool", tool.casefold())) for tool in out.tools if len(tool) < _MAX_TOOL]
    return Wanted(tuple(found), tuple(dict.fromkeys(none_of)), exact=_is_exact(query) and _is_exact(out))


def tsquery(lexeme: str, *, prefix: bool = False) -> str:
    """A lexeme as the text of a tsquery, or with ``prefix`` every lexeme that begins with it."""
    escaped = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'{':*' if prefix else ''}"


def _session_facts(session: Session) -> Iterator[str]:
    facts = facts_of(session)
    yield EVERY_SESSION
    for name, values in (("agent", (facts.agent,)), ("model", facts.models)):
        for value in values:
            if value is not None:
                yield _fact(f"{name}=", fold(value.strip()))
                yield from (_fact(name, token) for token in tokens(value))
    for name, value in (("project", facts.project), ("branch", facts.branch), ("user", facts.user)):
        if value is not None:
            yield _whole_name(name, value)
    if facts.parent_session_id is not None:
        yield "is=subagent"
    if facts.resumable:
        yield "is=resumable"


def _part_of_name(name: str, value: str) -> str:
    """The lexeme for a value that is compared with a part of a name: its longest token stands for all of them."""
    found = tokens(value)
    return _fact(name, max(found, key=len)) if found else _fact(f"{name}=", fold(value.strip()))


def _whole_name(name: str, value: str) -> str:
    return _fact(name, fold(value.strip()))


def _fact(name: str, value: str) -> str:
    return f"{name}={value.replace(SEPARATOR, ' ')}"[:_MAX_FACT]


def _any_of(lexemes: Iterable[str]) -> dict[str, None]:
    """A tsquery for one of the lexemes; none where there are none."""
    joined = " | ".join(dict.fromkeys(tsquery(lexeme) for lexeme in lexemes))
    return {joined: None} if joined else {}


def _is_exact(conditions: Conditions) -> bool:
    several = any(len(term.tokens) > 1 for term in conditions.terms)
    cut = any(len(tool) >= _MAX_TOOL for tool in conditions.tools)
    return not (several or cut or conditions.files or conditions.failed)
