"""Turns a draft into entities: ids, times, states, orders. The same lines give the same entities on every machine.

No clock is read: every time comes from the transcript. Where a line has none, it takes the time before it in the
file, or the first one after it, or the epoch.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from acode_tui.domain.clock import EPOCH, format_time
from acode_tui.domain.codec import digest
from acode_tui.domain.entities import Artifact, SessionEvent, SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.ids import ImportedIds
from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState, WorkState
from acode_tui.domain.transitions import derive_step_state
from acode_tui.domain.validation import Limits, escape
from acode_tui.ingest.draft import (
    ArtifactDraft,
    CallDraft,
    RunDraft,
    StepDraft,
    TaskDraft,
    UnclaimedResult,
    shorten,
)
from acode_tui.ingest.format import ExpectedRows
from acode_tui.ingest.timeline import EventDraft

MAX_ERROR_CHARS = 1_000
CUT_OFF = "cutOff"
UNCLAIMED = "unclaimedResults"
"""The key in a step's metadata for results that arrive in it and whose calls are not in the file."""
# Bound once: until Python 3.12, finding a member in its enum takes longer than most of what is done with it.
_EXECUTING, _REASONING = ToolCallState.EXECUTING, ArtifactType.REASONING
_IN_PROGRESS, _COMPLETED = WorkState.IN_PROGRESS, WorkState.COMPLETED
_DONE = (ToolCallState.SUCCEEDED, ToolCallState.FAILED, ToolCallState.CANCELLED)
_WITHOUT_ERROR = (ToolCallState.SUCCEEDED, ToolCallState.EXECUTING, ToolCallState.PENDING)


class Outcome(msgspec.Struct, frozen=True):
    """The states in which the end of the file leaves the session and its last task."""

    session: SessionState
    task: WorkState


class Header(msgspec.Struct, kw_only=True):
    """The session's own fields. ``first_seen`` is the first time in file order, ``first`` and ``last`` are the earliest
    and the latest."""

    source: str
    session_id: str
    workspace_id: str
    user_id: str | None
    limits: Limits
    metadata: dict[str, Any]
    title: str
    first_seen: datetime | None
    first: datetime | None
    last: datetime | None


class GraphBuilder:
    """Builds one session's graph. ``artifacts`` is the number of artifacts built."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._session = header.session_id
        self._start = header.first_seen or EPOCH
        self._limits = header.limits
        self._id = ImportedIds(header.source, header.session_id).id
        self._artifact_ids: set[str] = set()
        self._last, self._stamp = EPOCH, format_time(EPOCH)
        """The time of the artifact before, and its text."""
        self.artifacts = 0

    def build(self, run: RunDraft, events: Iterable[EventDraft], outcome: Outcome) -> SessionGraph:
        header = self._header
        last = header.last or self._start
        tasks = self._tasks(run, outcome, last)
        by_id = {row.id: row for row in map(self._event, events)}
        rows = tuple(sorted(by_id.values(), key=lambda row: row.timestamp))
        earlier = [at for at in (run.created_at, run.updated_at) if at is not None]
        created = min([header.first or self._start, *earlier, *(task.created_at for task in tasks)])
        updated = max([created, last, *earlier, *(task.updated_at for task in tasks), *(row.timestamp for row in rows)])
        run.created_at, run.updated_at = created, updated
        return SessionGraph(
            id=self._session,
            task_description=run.description or shorten(header.title) or "(no prompt)",
            state=outcome.session,
            metadata=_bounded(header.metadata, header.limits.max_metadata_bytes),
            user_id=header.user_id,
            workspace_id=header.workspace_id,
            created_at=created,
            updated_at=updated,
            tasks=tasks,
            events=rows,
        )

    def expected(self, run: RunDraft, other_calls: Iterable[str]) -> ExpectedRows:
        """What must hold of the stored rows for the graph of a resumed run. ``other_calls`` are to be of no call."""
        absent = [self._id(kind, key) for kind, key in run.new_rows()]
        absent += [self._id("call", key) for key in other_calls]
        return ExpectedRows(present=[self._session], absent=absent)

    def _event(self, event: EventDraft) -> SessionEvent:
        at = event.at
        key = (str(event.line), event.from_state, event.to_state, event.reason, format_time(at))
        return SessionEvent(
            id=self._id("event", *key),
            session_id=self._session,
            from_state=event.from_state,
            to_state=event.to_state,
            reason=event.reason,
            timestamp=at,
            created_at=at,
            updated_at=at,
        )

    def _tasks(self, run: RunDraft, outcome: Outcome, last: datetime) -> tuple[TaskGraph, ...]:
        built = []
        for task in run.tasks:
            ended = task.followed_at or self._start if task.followed else last
            built.append(self._task(task, ended, None if task.followed else outcome.task))
        return tuple(built)

    def _task(self, task: TaskDraft, ended: datetime, final_state: WorkState | None) -> TaskGraph:
        task_id = self._id("task", task.key)
        created = task.at or self._start
        open_ = final_state is WorkState.IN_PROGRESS and task.failure is None
        metadata: dict[str, Any] = {"line": task.line, **task.metadata}
        artifacts = self._artifacts(task.artifacts, created, task.cut_off, task_id)
        if task.cut_off:
            metadata[CUT_OFF] = task.cut_off
        built = []
        for step in task.steps:
            if step.followed:
                built.append(self._step(step, task_id, step.followed_at or self._start, False, None))
            else:
                built.append(self._step(step, task_id, ended, open_, task.failure))
        if task.implicit:
            metadata["implicit"] = True
        if task.superseded:
            state = WorkState.SKIPPED
            metadata["superseded"] = True
        elif task.failure is not None:
            state = WorkState.FAILED
            metadata["reason"] = task.failure
        elif final_state is not None:
            state = final_state
        else:
            state = WorkState.COMPLETED if task.step_count else WorkState.SKIPPED
        return TaskGraph(
            id=task_id,
            session_id=self._session,
            title=task.title or "(empty prompt)",
            description=task.description or None,
            state=state,
            order=task.order,
            metadata=metadata,
            created_at=created,
            updated_at=max([task.updated_at or created, created, *(step.updated_at for step in built)]),
            artifacts=artifacts,
            steps=tuple(built),
        )

    def _step(
        self, step: StepDraft, task_id: str, ended: datetime, in_progress: bool, failure: str | None
    ) -> StepGraph:
        step_id = self._id("step", step.key)
        created = step.at or self._start
        artifacts = self._artifacts(step.artifacts, created, step.cut_off, task_id, step_id)
        settled = created if step.updated_at is None else max(created, step.updated_at)
        for artifact in artifacts:
            if artifact.updated_at > settled:
                settled = artifact.updated_at
            # Reasoning is not an answer: a step that has only that is still under way.
            if artifact.type is not _REASONING:
                step.has_artifacts = True
        updated, states, calls = settled, list(step.states), []
        for call in step.calls:
            row = self._call(call, task_id, step_id, ended, in_progress, failure)
            calls.append(row)
            states.append(row.state)
            if row.updated_at > updated:
                updated = row.updated_at
            if row.updated_at > settled and not call.is_open:
                settled = row.updated_at
        for result in step.unclaimed.values():
            states.append(result.state)
            if result.done_at is not None and result.done_at > settled:
                settled = result.done_at
        step.updated_at = settled
        # The model's words alone are the whole step: nothing of it is under way.
        own = _IN_PROGRESS if states or (in_progress and not step.has_artifacts) else _COMPLETED
        return StepGraph(
            id=step_id,
            session_id=self._session,
            task_id=task_id,
            name=step.name or "(thinking)",
            state=derive_step_state(own, states),
            order=step.order,
            metadata=_step_metadata(step, self._limits.max_metadata_bytes),
            created_at=created,
            updated_at=max(updated, settled),
            artifacts=artifacts,
            tool_calls=tuple(calls),
        )

    def _call(
        self,
        call: CallDraft,
        task_id: str,
        step_id: str,
        ended: datetime,
        in_progress: bool,
        failure: str | None,
    ) -> ToolCallGraph:
        created = call.at or self._start
        state, error, done = call.state, call.error, call.done_at or self._start
        if state is _EXECUTING and not in_progress:
            state, error, done = ToolCallState.CANCELLED, failure or "no result followed", ended
        completed = None if state not in _DONE else done if done > created else created
        call_id = self._id("call", call.key)
        facts = call.facts
        cut_off: list[dict[str, Any]] = []
        artifacts = self._artifacts(call.artifacts, created, cut_off, task_id, step_id, call_id)
        if cut_off:
            facts = {**facts, CUT_OFF: cut_off}
        return ToolCallGraph(
            id=call_id,
            session_id=self._session,
            step_id=step_id,
            tool_name=call.name,
            parameters=call.parameters,
            state=state,
            order=call.order,
            completed_at=completed,
            result=facts or None,
            error_message=shorten(error or "failed", MAX_ERROR_CHARS) if state not in _WITHOUT_ERROR else None,
            created_at=created,
            updated_at=_latest(completed or created, artifacts),
            artifacts=artifacts,
        )

    def _artifacts(
        self,
        drafts: Sequence[ArtifactDraft],
        created: datetime,
        cut_off: list[dict[str, Any]],
        task_id: str,
        step_id: str | None = None,
        call_id: str | None = None,
    ) -> tuple[Artifact, ...]:
        """The artifacts of a task, step or call. Those that are cut off are added to ``cut_off``, which it keeps."""
        if not drafts:
            return ()
        holder, limit = call_id or step_id or task_id, self._limits.max_artifact_bytes
        built = []
        for draft in drafts:
            content = draft.content
            if len(content) > limit:
                cut_off.append({"name": draft.name, "size": len(content), "contentHash": digest(content)})
                content = _cut(content, limit)
            at = draft.at or created
            if at is not self._last:  # nearly all of a step have one time
                self._last, self._stamp = at, format_time(at)
            kind, name, media = draft.type, draft.name, draft.content_type
            content_hash = digest(content)
            artifact_id = self._id("artifact", holder, draft.label, kind, name, media, self._stamp, content_hash)
            if artifact_id in self._artifact_ids:
                continue
            self._artifact_ids.add(artifact_id)
            built.append(
                Artifact(
                    id=artifact_id,
                    session_id=self._session,
                    task_id=task_id,
                    step_id=step_id,
                    tool_call_id=call_id,
                    type=kind,
                    name=name,
                    content_hash=content_hash,
                    content_type=media,
                    size=len(content),
                    content=content,
                    created_at=at,
                    updated_at=at,
                )
            )
        self.artifacts += len(built)
        return tuple(built)


def _latest(first: datetime, rows: tuple[Artifact, ...]) -> datetime:
    """The latest of a time and the stamps of artifacts."""
    for row in rows:
        if row.updated_at > first:
            first = row.updated_at
    return first


def _step_metadata(step: StepDraft, limit: int) -> dict[str, Any] | None:
    """A step's metadata, with the facts of the results whose calls are not in the file, in at most ``limit`` bytes.

    What does not fit is left out from the end of each list, and counted.
    """
    if not step.cut_off and not step.unclaimed:
        return step.metadata or None
    metadata = dict(step.metadata)
    lists = {CUT_OFF: step.cut_off, UNCLAIMED: [_result_facts(result) for result in step.unclaimed.values()]}
    lists = {name: entries for name, entries in lists.items() if entries}
    left = limit - len(msgspec.json.encode(metadata)) - sum(2 * len(name) + 40 for name in lists)
    for name, entries in lists.items():
        kept: list[dict[str, Any]] = []
        for entry in entries:
            left -= len(msgspec.json.encode(entry)) + 1
            if left < 0:
                metadata[f"{name}LeftOut"] = len(entries) - len(kept)
                break
            kept.append(entry)
        metadata[name] = kept
    return _bounded(metadata, limit)


def _result_facts(result: UnclaimedResult) -> dict[str, Any]:
    facts: dict[str, Any] = {"callId": escape(result.key[:200]), "state": result.state, "result": result.facts}
    if result.state not in _WITHOUT_ERROR:
        facts["errorMessage"] = shorten(result.error or "failed", MAX_ERROR_CHARS)
    return facts


def _cut(content: bytes, limit: int) -> bytes:
    """At most ``limit`` bytes, cut between characters."""
    end = limit
    while end > 0 and limit - end < 4 and content[end] & 0xC0 == 0x80:
        end -= 1
    return content[:end]


def _bounded(metadata: dict[str, Any], limit: int) -> dict[str, Any] | None:
    """Metadata of at most ``limit`` bytes as JSON: the longest values are dropped first, the identity last."""
    kept = dict(metadata)
    while kept and len(msgspec.json.encode(kept)) > limit:
        expendable = [name for name in kept if name not in ("source", "nativeId")] or list(kept)
        del kept[max(expendable, key=lambda name: len(msgspec.json.encode(kept[name])))]
    return kept or None
