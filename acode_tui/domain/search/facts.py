"""What is known of a whole run: the facts that the fields of a query compare."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import PurePosixPath, PureWindowsPath

import msgspec

from acode_tui.domain.entities import Session
from acode_tui.domain.search.query import LIVE_SPAN, Conditions, Flag, Query
from acode_tui.domain.search.tokens import fold, tokens
from acode_tui.domain.states import SessionState

AT_WORK = (SessionState.PLANNING, SessionState.EXECUTING, SessionState.AWAITING_APPROVAL)
"""The states of a run whose agent does something, or waits to go on."""
_RESUMABLE = ("claude-code", "codex")


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a run. Those that the session's metadata does not name are None or empty."""

    agent: str | None = None
    project: str | None = None
    models: tuple[str, ...] = ()
    branch: str | None = None
    user: str | None = None
    state: SessionState
    parent_session_id: str | None = None
    resumable: bool = False
    failed_calls: int = 0
    unsynced: bool = False
    created_at: datetime
    updated_at: datetime


def facts_of(session: Session, *, failed_calls: int = 0, unsynced: bool = False) -> RunFacts:
    """The facts of a session; how many of its calls failed and whether it waits to be sent is counted elsewhere."""
    metadata = session.metadata or {}
    agent = _text(metadata, "agent", "source")
    models = metadata.get("models")
    names = [name for name in models if isinstance(name, str) and name] if isinstance(models, (list, tuple)) else []
    single = _text(metadata, "model")
    parent = _text(metadata, "parentSessionId")
    return RunFacts(
        agent=agent,
        project=_project(metadata),
        models=tuple(dict.fromkeys([*names, single] if single else names)),
        branch=_text(metadata, "gitBranch", "git_branch", "branch"),
        user=session.user_id,
        state=session.state,
        parent_session_id=parent,
        resumable=agent in _RESUMABLE and parent is None and _text(metadata, "nativeId") is not None,
        failed_calls=failed_calls,
        unsynced=unsynced,
        created_at=session.created_at,
        updated_at=session.updated_at,
    )


def agrees(name: str, given: str, stored: str | None) -> bool:
    """Whether a stored value is what a field asks for.

    ``agent`` and ``model`` are met by a part of the name (``model:opus``): its tokens stand together in the stored one.
    ``project``, ``branch`` and ``user`` are met by the whole name. Case and accents do not count.
    """
    if stored is None:
        return False
    if name in ("agent", "model"):
        wanted, found = tokens(given), tokens(stored)
        if wanted:
            return any(found[at : at + len(wanted)] == wanted for at in range(len(found) - len(wanted) + 1))
    return fold(given.strip()) == fold(stored.strip())


def meets(query: Query, facts: RunFacts) -> bool:
    """Whether a run meets the query as far as its facts decide it: everything but words, tools, files and failures."""
    if query.since is not None and facts.updated_at < query.since:
        return False
    if query.before is not None and facts.created_at >= query.before:
        return False
    held = _held(query, facts, query.now)
    if not all(any(each) for each in held.values()):
        return False
    if not all(_is(flag, facts, query.now) for flag in query.is_):
        return False
    out = _held(query.excluded, facts, query.now)
    return not any(any(each) for each in out.values()) and not any(
        _is(flag, facts, query.now) for flag in query.excluded.is_
    )


def _held(conditions: Conditions, facts: RunFacts, now: datetime) -> dict[str, list[bool]]:
    """By field, which of its values hold; only the fields that have values."""
    compared: tuple[tuple[str, tuple[str, ...], Iterable[str | None]], ...] = (
        ("agent", conditions.agents, (facts.agent,)),
        ("project", conditions.projects, (facts.project,)),
        ("model", conditions.models, facts.models),
        ("branch", conditions.branches, (facts.branch,)),
        ("user", conditions.users, (facts.user,)),
    )
    held = {
        name: [any(agrees(name, value, one) for one in stored) for value in values]
        for name, values, stored in compared
        if values
    }
    if conditions.states:
        held["state"] = [state is facts.state for state in conditions.states]
    return held


def _is(flag: Flag, facts: RunFacts, now: datetime) -> bool:
    if flag == "failed":
        return facts.state is SessionState.FAILED or facts.failed_calls > 0
    if flag == "live":
        return facts.state in AT_WORK and now - facts.updated_at < LIVE_SPAN
    if flag == "subagent":
        return facts.parent_session_id is not None
    if flag == "resumable":
        return facts.resumable
    return facts.unsynced


def _project(metadata: dict[str, object]) -> str | None:
    folder = _text(metadata, "gitRoot", "cwd")
    if folder is None:
        return _text(metadata, "project")
    path = PureWindowsPath(folder) if "\\" in folder and "/" not in folder else PurePosixPath(folder)
    return path.name or None


def _text(metadata: dict[str, object], *names: str) -> str | None:
    """The first of the values that is a text with something in it."""
    for name in names:
        value = metadata.get(name)
        if isinstance(value, str) and value.strip():
            return value
    return None
