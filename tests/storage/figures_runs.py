"""Small runs with tokens, costs and calls over some days, and their figures by a scan of every entity."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st

from acode_tui.domain.entities import SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.figures import GIVEN, ONE_HOUR
from acode_tui.domain.states import SessionState, ToolCallState, WorkState
from acode_tui.storage.ports import Figures, Tokens

T0 = datetime(2026, 2, 27, 9, tzinfo=UTC)
MODELS = ("claude-sonnet-4-5", "gpt-5", "")
TOOLS = ("Bash", "Read")
NAMES = ("input", "output", "cacheRead", "cacheWrite")

DAYS = (0, 1, 20, 34, 40, 70)
"""The runs' days, over four months: of some spans there are whole months and days on both sides."""
moments = st.tuples(st.sampled_from(DAYS), st.integers(0, 14)).map(lambda at: T0 + timedelta(days=at[0], hours=at[1]))
tokens = st.fixed_dictionaries(
    {**{name: st.sampled_from((0, 3, 150_000)) for name in NAMES}, "cacheWrite1h": st.sampled_from((0, 2, 150_000))}
)
calls = st.tuples(st.sampled_from(TOOLS), st.booleans(), moments)
steps = st.tuples(moments, st.sampled_from(MODELS), tokens, st.sampled_from((None, 0.25)), st.lists(calls, max_size=2))


@st.composite
def counted_runs(draw: st.DrawFn, number: int) -> SessionGraph:
    """A run whose own metadata has the sum of its steps' tokens, and sometimes some more.

    Two of one ``number`` are versions of the same run.
    """
    session_id = str(uuid.UUID(int=number))
    drawn = draw(st.lists(steps, max_size=3))
    extra = draw(st.sampled_from((0, 7)))
    total = {name: sum(step[2][name] for step in drawn) + extra for name in NAMES}
    total["cacheWrite1h"] = sum(map(_kept_an_hour, (step[2] for step in drawn))) + draw(st.sampled_from((0, 5, 9)))
    costs = [step[3] for step in drawn if step[3] is not None]
    metadata: dict[str, Any] = {
        "source": draw(st.sampled_from(("claude-code", "codex"))),
        "cwd": draw(st.sampled_from(("/src/shop", "/src/site"))),
        "models": list(dict.fromkeys(step[1] for step in drawn if step[1])),
        "tokens": total,
    }
    if costs:
        metadata["cost"] = sum(costs)
    # A run's rows lie between its beginning and its last activity, those of another version too.
    at = T0
    task_id = str(uuid.uuid5(uuid.UUID(session_id), "task"))
    made = tuple(_step(session_id, task_id, number, given) for number, given in enumerate(drawn))
    return SessionGraph(
        id=session_id,
        task_description="count this",
        state=SessionState.COMPLETED,
        created_at=at,
        updated_at=T0 + timedelta(days=71),
        metadata=metadata,
        workspace_id=str(uuid.UUID(int=7)),
        tasks=(
            TaskGraph(
                id=task_id, session_id=session_id, title="t", state=WorkState.COMPLETED, order=0,
                created_at=at, updated_at=at, steps=made,
            ),
        ),
    )  # fmt: skip


def _kept_an_hour(used: dict[str, int]) -> int:
    """Part of what was written to the cache, whatever a transcript says."""
    return min(used["cacheWrite1h"], used["cacheWrite"])


def _step(session_id: str, task_id: str, order: int, given: Any) -> StepGraph:
    at, model, used, cost, drawn = given
    step_id = str(uuid.uuid5(uuid.UUID(task_id), str(order)))
    metadata: dict[str, Any] = {"tokens": used, **({"model": model} if model else {})}
    if cost is not None:
        metadata["cost"] = cost
    ids: dict[str, Any] = {"session_id": session_id, "step_id": step_id}
    made = tuple(
        ToolCallGraph(
            id=str(uuid.uuid5(uuid.UUID(step_id), str(number))), tool_name=tool, parameters={}, order=number,
            state=ToolCallState.FAILED if failed else ToolCallState.SUCCEEDED, created_at=began, updated_at=began,
            completed_at=began, error_message="no" if failed else None, **ids,
        )
        for number, (tool, failed, began) in enumerate(drawn)
    )  # fmt: skip
    return StepGraph(
        id=step_id, session_id=session_id, task_id=task_id, name="s", state=WorkState.COMPLETED, order=order,
        created_at=at, updated_at=at, metadata=metadata, tool_calls=made,
    )  # fmt: skip


Numbers = dict[str, int]
Found = defaultdict[str, defaultdict[str, int]]


def numbers(figures: Figures) -> dict[str, Numbers]:
    """The figures in the form of the scan's."""
    found: dict[str, Numbers] = {}
    for key, count in figures.counts.items():
        found[key] = {"sessions": count.sessions, "calls": count.calls, "failed": count.failed}
    for usage in figures.usage:
        of = found.setdefault(usage.key, {})
        for name, value in msgspec.to_builtins(usage.tokens).items():
            of[name] = of.get(name, 0) + value
        if usage.context != GIVEN and usage.context & ONE_HOUR:
            assert usage.tokens == Tokens(cache_write=usage.tokens.cache_write), "a price is that of all in its row"
            of["hour"] = of.get("hour", 0) + usage.tokens.cache_write
    filled = {key: {name: n for name, n in of.items() if n} for key, of in found.items()}
    return {key: of for key, of in filled.items() if of}


def scanned(
    runs: Iterable[SessionGraph], by: str, since: date = date.min, before: date = date.max
) -> dict[str, Numbers]:
    """By key the sessions, calls, failed calls and tokens of the runs on these days, from every entity of each."""
    found: Found = defaultdict(lambda: defaultdict(int))
    for run in runs:
        for at, values, name, number in _scan(run, by):
            if since <= at.date() < before:
                found[{**values, "day": f"{at:%Y-%m-%d}"}[by]][name] += number
    filled = {key: {name: n for name, n in numbers.items() if n} for key, numbers in found.items()}
    return {key: numbers for key, numbers in filled.items() if numbers}


def _scan(run: SessionGraph, by: str) -> Iterator[tuple[datetime, dict[str, str], str, int]]:
    """Each number of a run: when it counts, for whom, its name and how much."""
    metadata: dict[str, Any] = run.metadata or {}
    last = metadata["models"][-1] if metadata["models"] else ""
    of_run = {"agent": metadata["source"], "project": metadata["cwd"].rpartition("/")[2], "model": last}
    first_used: dict[str, datetime] = {}
    rest = dict(metadata["tokens"])
    for step in run.tasks[0].steps:
        own: dict[str, Any] = step.metadata or {}
        of_step = {**of_run, "model": own.get("model") or last}
        for call in step.tool_calls:
            values = {**of_step, "tool": call.tool_name}
            yield call.created_at, values, "calls", 1
            yield call.created_at, values, "failed", int(call.state is ToolCallState.FAILED)
            first_used[values[by if by == "tool" else "model"]] = min(
                call.created_at, first_used.get(values[by if by == "tool" else "model"], call.created_at)
            )
        hour = _kept_an_hour(own["tokens"])
        rest["cacheWrite1h"] -= hour
        if by != "tool" and "cost" not in own:
            yield step.created_at, of_step, "hour", hour
        for name in NAMES:
            rest[name] -= own["tokens"][name]
            if by != "tool":
                yield step.created_at, of_step, name, own["tokens"][name]
        if by != "tool" and (any(own["tokens"][name] for name in NAMES) or own.get("cost")):
            first_used[of_step["model"]] = min(step.created_at, first_used.get(of_step["model"], step.created_at))
    if by == "tool":
        for tool, at in first_used.items():
            yield at, {**of_run, "tool": tool}, "sessions", 1
        return
    yield run.created_at, of_run, "hour", max(_kept_an_hour(rest), 0)
    for name in NAMES:
        yield run.created_at, of_run, name, max(rest[name], 0)
    if any(rest[name] > 0 for name in NAMES) or not first_used:
        first_used[last] = min(run.created_at, first_used.get(last, run.created_at))
    if by != "model":
        first_used = {last: run.created_at}
    for model, at in first_used.items():
        yield at, {**of_run, "model": model}, "sessions", 1
