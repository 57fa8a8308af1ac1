"""Counts the same things in a run that a reader made."""

from collections import Counter
from datetime import datetime
from typing import Any

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.states import ArtifactType, ToolCallState
from tests.ingest.builders import calls_of, steps_of
from tests.ingest.counting.tally import Tally


def tally_of(graph: SessionGraph) -> Tally:
    """The run in numbers."""
    steps, calls, metadata = steps_of(graph), calls_of(graph), graph.metadata or {}
    tokens = metadata["tokens"]
    unclaimed = [entry for step in steps for entry in (step.metadata or {}).get("unclaimedResults", [])]

    artifacts = [found for task in graph.tasks for found in task.artifacts]
    artifacts += [found for step in steps for found in step.artifacts]
    artifacts += [found for call in calls for found in call.artifacts]

    def with_type(kind: ArtifactType) -> int:
        return sum(
            any(found.type is kind and (found.content or b"").strip() for found in step.artifacts) for step in steps
        )

    return Tally(
        prompts=sum(any(found.type is ArtifactType.USER_PROMPT for found in task.artifacts) for task in graph.tasks),
        steps=sum(step.name != "(result)" for step in steps),
        calls=len(calls),
        failed=sum(call.state is ToolCallState.FAILED for call in calls),
        # A call at the end of the file stays open: its result may still come.
        cancelled=sum(call.state in (ToolCallState.CANCELLED, ToolCallState.EXECUTING) for call in calls),
        results=sum(bool(call.artifacts) for call in calls) + len(unclaimed),
        answers=with_type(ArtifactType.MODEL_RESPONSE),
        thoughts=with_type(ArtifactType.REASONING),
        input=tokens["input"],
        output=tokens["output"],
        cache_read=tokens["cacheRead"],
        cache_write=tokens["cacheWrite"],
        first=_moment(metadata.get("firstTime")),
        last=_moment(metadata.get("lastTime")),
        parent=metadata.get("parentNativeId", ""),
        artifacts=dict(sorted(Counter(artifact.type.value for artifact in artifacts).items())),
    )


def _moment(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
