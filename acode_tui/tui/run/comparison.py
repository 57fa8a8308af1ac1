"""Two runs side by side: their figures, prompts, tools and files, and the first call in which they differ. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest
from typing import NamedTuple

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.figures import duration_of, tokens_of
from acode_tui.domain.states import ToolCallState
from acode_tui.tui.run.file_changes import changes_in
from acode_tui.tui.run.nodes import telling_parameter


class Action(NamedTuple):
    """A tool call: its tool and the most telling parameter, without the folder of its run. ``call_id`` is its row."""

    tool: str
    argument: str
    call_id: str

    @property
    def what(self) -> tuple[str, str]:
        """What is compared: two runs in two folders that do the same are the same."""
        return self.tool, self.argument


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """What is compared of a run. ``cost`` is in US dollars, None where it is not known."""

    graph: SessionGraph
    prompts: tuple[str, ...]
    steps: int
    failed: int
    tokens: int
    took: timedelta
    cost: float | None
    actions: tuple[Action, ...]
    tools: Mapping[str, int]
    files: Mapping[str, int]
    """How often each changed file was changed."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs. ``divergence`` is the index of the first call that differs; None if all are the same."""

    runs: tuple[ComparedRun, ComparedRun]
    divergence: int | None

    def place(self, side: int) -> tuple[str, ...]:
        """The call to open a run at: the first that differs, else its last; none in a run without calls."""
        actions = self.runs[side].actions
        at = len(actions) if self.divergence is None else self.divergence
        return (actions[min(at, len(actions) - 1)].call_id,) if actions else ()


def first_divergence(one: Sequence[Action], two: Sequence[Action]) -> int | None:
    """The index of the first call that differs by tool or argument, or that only one run made; None if none does."""
    for at, (left, right) in enumerate(zip_longest(one, two)):
        if left is None or right is None or left.what != right.what:
            return at
    return None


def compare_runs(one: ComparedRun, two: ComparedRun) -> Comparison:
    """The comparison of two runs."""
    return Comparison((one, two), first_divergence(one.actions, two.actions))


def compared_run(graph: SessionGraph) -> ComparedRun:
    """What is compared of a run. Slow for a long one: call it in a thread."""
    folder = str((graph.metadata or {}).get("cwd") or "").rstrip("/")
    steps = [step for task in graph.tasks for step in task.steps]
    calls = [call for step in steps for call in step.tool_calls]
    return ComparedRun(
        graph,
        tuple(task.description or task.title for task in graph.tasks),
        len(steps),
        sum(call.state is ToolCallState.FAILED for call in calls),
        tokens_of(graph),
        duration_of(graph),
        None,
        tuple(Action(call.tool_name, _within(telling_parameter(call.parameters), folder), call.id) for call in calls),
        Counter(call.tool_name for call in calls),
        Counter(change.path for change in changes_in(graph)),
    )


def _within(argument: str, folder: str) -> str:
    """An argument without the run's folder, which differs between two worktrees of one project."""
    return argument.replace(f"{folder}/", "").replace(folder, ".") if folder else argument
