"""Says how each record of a transcript is understood: what it changed in the run, and why. It imports nothing."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from acode_tui.domain.errors import IngestError
from acode_tui.domain.validation import Limits
from acode_tui.ingest.draft import CallDraft, RunDraft, shorten
from acode_tui.ingest.file_reader import FileReader
from acode_tui.ingest.observe import observed
from acode_tui.ingest.records import label, parse_any
from acode_tui.ingest.timeline import Timeline
from acode_tui.ingest.usage import Claims

MAX_WHAT_CHARS = 120
_FIELDS = ("type", "subtype", "kind", "role", "action", "observation", "source", "customType", "origin", "promptSource")
"""The fields by which a record of any format says what it is, in the order in which they are named."""
_INNER = ("message", "payload", "data", "attachment", "item")
"""The fields that hold a record within a record."""


class ExplainedRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How one record was understood.

    ``kind`` is prompt, call, result, step, event, quiet (it changed nothing), unknown or damaged. ``session`` counts
    the sessions of the transcript, ``task`` those of the session, ``step`` those of the task, each from 1.
    """

    line: int
    kind: str
    session: int
    task: int | None
    step: int | None
    call: str | None
    why: str
    what: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """How a transcript was understood. ``format`` is the one that its path, its records or the user named."""

    format: str
    records: tuple[ExplainedRecord, ...]


def explain(path: Path, format: str | None = None) -> Explanation:
    """How each record of a transcript is understood, in the order of reading.

    Raises OSError or IngestError if it cannot be read, UnknownFormatError if it is no transcript of the format.
    """
    if not (path.is_file() or path.is_dir()) and path.exists():
        # Reading a pipe would wait for a program that writes into it.
        raise IngestError(f"{path}: neither a file nor a folder", hint="give one transcript")
    reader = FileReader(workspace_id="", user_id=None, limits=Limits(), now=datetime.now(UTC), format=format)
    found = _Explainer()
    with observed(found):
        parsed = reader.read(path, None, Claims())
    return Explanation(format=parsed.cursor.format, records=tuple(found.finish()))


class _Explainer:
    """Compares the run after each record with the run before it."""

    def __init__(self) -> None:
        self._records: list[ExplainedRecord] = []
        self._session = 0
        self._run = RunDraft()
        self._timeline: Timeline | None = None
        self._line: int | None = None
        self._type = ""
        self._rules: list[str] = []
        self._unknown: list[str] = []
        self._note_run()

    # -- what the readers tell

    def begin_run(self, run: RunDraft) -> None:
        self._end_record()
        self._session += 1
        self._run = run
        self._note_run()

    def begin_timeline(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._events = len(timeline.events)

    def begin_record(self, line: int, raw: bytes | None) -> None:
        if raw is None and line == self._line:
            # The reader's own note of a record that is known by its line.
            return
        self._end_record()
        self._line = line
        self._type = _type_of(parse_any(raw)) if raw is not None else ""

    def end_records(self) -> None:
        self._end_record()

    def unknown(self, type_: str) -> None:
        self._unknown.append(type_)

    def because(self, rule: str) -> None:
        self._rules.append(rule)

    def damaged(self, line: int, damage: str) -> None:
        self._end_record()
        self._add(line, "damaged", None, damage, "")

    def finish(self) -> list[ExplainedRecord]:
        """All records. A damaged line is named where it was found."""
        self._end_record()
        return self._records

    # -- what a record changed

    def _note_run(self) -> None:
        run = self._run
        self._tasks, self._steps, self._calls = len(run.tasks), len(run.steps), len(run.calls)
        self._unclaimed = len(run.unclaimed)
        self._open = {key for key, call in run.calls.items() if call.is_open}
        self._artifacts = _artifacts(run)
        self._events = len(self._timeline.events) if self._timeline is not None else 0

    def _end_record(self) -> None:
        if self._line is None:
            return
        run = self._run
        prompts = [task for task in run.tasks[self._tasks :] if not task.implicit]
        calls = list(run.calls)[self._calls :]
        results = [key for key in self._open if not run.calls[key].is_open] or list(run.unclaimed)[self._unclaimed :]
        events = self._timeline.events[self._events :] if self._timeline is not None else []
        notes = [event for event in events if event.from_state is event.to_state]
        call = calls[0] if calls else results[0] if results else None
        if prompts:
            kind, what = "prompt", prompts[0].title
        elif calls:
            kind, what = "call", ", ".join(_outcome(run.calls[key]) for key in calls)
        elif results:
            done = run.calls.get(results[0])
            kind, what = "result", f"{done.name}: {done.state}" if done is not None else "of a call that is missing"
        elif len(run.steps) > self._steps or _artifacts(run) > self._artifacts:
            kind, what = "step", _last_step(run)
        elif self._unknown:
            kind, what = "unknown", ", ".join(self._unknown)
        elif notes or events:
            kind, what = "event", (notes or events)[0].reason.partition(" [inferred")[0]
        else:
            kind, what = "quiet", ""
        why = "; ".join(dict.fromkeys([*([self._type] if self._type else []), *self._rules]))
        why = why or "no field says what it is"
        self._add(self._line, kind, call, why, what)
        self._line, self._type, self._rules, self._unknown = None, "", [], []
        self._note_run()

    def _add(self, line: int, kind: str, call: str | None, why: str, what: str) -> None:
        run = self._run
        is_placed = kind not in ("damaged", "unknown", "quiet")
        task = run.task if is_placed else None
        step = task.steps[-1] if task is not None and task.steps and kind != "prompt" else None
        if call is not None:
            step = next((step for each in run.tasks for step in each.steps if _has(step, call)), step)
            task = next((each for each in run.tasks if step in each.steps), task)
        record = ExplainedRecord(
            line=line,
            kind=kind,
            session=self._session,
            task=task.order + 1 if task is not None else None,
            step=step.order + 1 if step is not None else None,
            call=label(call) if call is not None else None,
            why=shorten(why, 300),
            what=shorten(what, MAX_WHAT_CHARS),
        )
        self._records.append(record)


def _outcome(call: CallDraft) -> str:
    """A call, and how it ended where the same record says so."""
    return call.name if call.is_open else f"{call.name}: {call.state}"


def _has(step: Any, call: str) -> bool:
    return call in step.unclaimed or any(made.key == call for made in step.calls)


def _artifacts(run: RunDraft) -> int:
    """The artifacts of the last task's steps, to which a record without a call adds its text."""
    task = run.task
    return sum(len(step.artifacts) for step in task.steps) if task is not None else 0


def _last_step(run: RunDraft) -> str:
    task = run.task
    step = task.steps[-1] if task is not None and task.steps else None
    if step is None:
        return ""
    return step.name or ("(thinking)" if step.reasonings else "(no text)")


def _type_of(value: Any, prefix: str = "", depth: int = 2) -> str:
    """The fields by which a record says what it is: ``type=user message.role=user content=tool_result``."""
    if not isinstance(value, dict):
        return ""
    found = [f"{prefix}{name}={label(value[name], 60)}" for name in _FIELDS if label(value.get(name))]
    for name in _INNER:
        inner = _type_of(value.get(name), f"{prefix}{name}.", depth - 1) if depth else ""
        if inner:
            found.append(inner)
    blocks = value.get("content")
    types = (
        [label(block.get("type"), 60) for block in blocks if isinstance(block, dict)]
        if isinstance(blocks, list)
        else []
    )
    if any(types):
        found.append(f"{prefix}content=" + ",".join(dict.fromkeys(kind for kind in types if kind)))
    found += [f"{prefix}{name}" for name in ("isMeta", "isCompactSummary", "isSidechain", "agentId") if value.get(name)]
    return " ".join(found)
