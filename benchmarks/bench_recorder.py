"""What one recorded tool call costs: bytes written to the disk, bytes left in the file, and CPU of the whole process.

A call is ``with step.tool(...) as call: call.result(...)``: its row is on disk when the block begins, its result when
the block ends. It is recorded plain, and with an artifact of 2 KB. The floor has the same row, result and artifact, in
the same two commits, each row with its outbox record, from a bare connection with the program's settings.

Each measurement has a process of its own, and nothing else happens in it. Bytes to disk are those that Linux counts in
``/proc/self/io`` as ``write_bytes``: WAL, checkpoints and everything else. Bytes left are what the file has grown by
when it is closed and its WAL is gone. KB are 1,000 bytes.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec

from acode_tui import recorder
from acode_tui.domain.clock import format_time, system_clock
from acode_tui.domain.codec import digest
from acode_tui.domain.entities import Artifact, ToolCall
from acode_tui.domain.ids import new_id
from acode_tui.domain.states import ArtifactType, EntityType, Operation, ToolCallState
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.runs import outbox_writes
from benchmarks.result import Measure, at_most
from benchmarks.scale import sized
from benchmarks.terminal import environment
from benchmarks.workspaces import bare_writer, make_database

ARTIFACT_BYTES = 2_000
WARM_UP = 20
MEASURES = (
    ("to disk", "disk_kb", "KB", 120.0),
    ("left in the file", "file_kb", "KB", 1.5),
    ("CPU", "cpu_ms", "ms", 0.9),
)
"""What is measured, the field of ``Cost``, its unit, and the goal for a plain call."""

_IO = Path("/proc/self/io")
_WORDS = (
    "return",
    "validate",
    "form",
    "field",
    "self.store",
    "assert",
    "response",
    "await",
    "session",
    "None",
    "import",
)


class Cost(msgspec.Struct, frozen=True):
    """What one call cost, on average of many."""

    disk_kb: float
    file_kb: float
    cpu_ms: float


def run() -> list[Measure]:
    if not _IO.exists():
        return []
    measures: list[Measure] = []
    for artifact in (False, True):
        costs: list[Cost] = []
        floors: list[Cost] = []
        for _ in range(sized(3, 1)):
            floors.append(_alone("floor", artifact))
            costs.append(_alone("recorder", artifact))
        name = "recorded tool call with an artifact of 2 KB" if artifact else "recorded tool call"
        for what, field, unit, goal in MEASURES:
            value, floor = (median(getattr(cost, field) for cost in each) for each in (costs, floors))
            measure = Measure(name=f"{name}: {what}", value=value, unit=unit)
            if not artifact:
                measure = at_most(measure.name, value, unit, goal)
            # A file system in memory writes nothing to a disk.
            if value and floor:
                measures.append(measure.beside(floor))
    return measures


def _alone(kind: str, artifact: bool) -> Cost:
    with TemporaryDirectory(prefix="acode-benchmark-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.bench_recorder", kind, folder, str(int(artifact)), str(sized(500, 100))],
            stdout=subprocess.PIPE,
            check=True,
            env=environment(),
        )
    return msgspec.json.decode(done.stdout, type=Cost)


# What follows runs in a process of its own.


class _Counters:
    """The counts of this process and the size of the file, at construction and at each reading."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._before = self._now()

    def cost(self, calls: int) -> Cost:
        disk, size, cpu = (after - before for before, after in zip(self._before, self._now(), strict=True))
        return Cost(disk_kb=disk / calls / 1e3, file_kb=size / calls / 1e3, cpu_ms=cpu / calls * 1e3)

    def _now(self) -> tuple[float, float, float]:
        counts = dict(line.split(": ") for line in _IO.read_text().splitlines())
        times = os.times()
        return int(counts["write_bytes"]), self._database.stat().st_size, times.user + times.system


def _recorded(folder: Path, calls: int, artifact: bool) -> Cost:
    """The calls are recorded in one step. Closing the recorder folds the WAL into the file, before and after."""
    database = make_database(folder)
    contents = [_content(number) for number in range(calls + WARM_UP)]
    with _open_step(folder) as (session, step):
        _record(step, contents[:WARM_UP], artifact)
        recorder.close()
        counters = _Counters(database)
        _record(step, contents[WARM_UP:], artifact)
        recorder.close()
        cost = counters.cost(calls)
    assert session.lost == 0
    return cost


@contextmanager
def _open_step(folder: Path) -> Iterator[tuple[recorder.Run, recorder.Step]]:
    with (
        recorder.session("Make the login form pass its tests", folder) as session,
        session.task("Look") as task,
        task.step("Read the files around") as step,
    ):
        yield session, step


def _record(step: recorder.Step, contents: Sequence[str], artifact: bool) -> None:
    for number, content in enumerate(contents):
        with step.tool("read_file", _parameters(number)) as call:
            if artifact:
                call.artifact(ArtifactType.FILE_CONTENT, "src/login.py", content)
            call.result(_RESULT)


_RESULT = {"lines": 120, "truncated": False}


def _parameters(number: int) -> dict[str, Any]:
    return {"path": f"/home/someone/src/shop/login/form_{number:06d}.py", "limit": 120}


def _content(number: int) -> str:
    chance = random.Random(number)
    words = " ".join(chance.choice(_WORDS) + str(chance.randrange(100)) for _ in range(ARTIFACT_BYTES // 4))
    return words[:ARTIFACT_BYTES]


class _Place(NamedTuple):
    """Where the calls of the floor belong."""

    session_id: str
    task_id: str
    step_id: str


def _floor(folder: Path, calls: int, artifact: bool) -> Cost:
    """The same calls, in a step that the recorder made. Their rows and records are prepared before the counting."""
    database = make_database(folder)
    with _open_step(folder) as (session, step):
        assert step.outer is not None
        place = _Place(str(session.id), str(step.outer.id), str(step.id))
        _record(step, [_content(calls + number) for number in range(WARM_UP)], artifact)
    recorder.close()
    prepared = [_prepared(place, number, artifact) for number in range(calls)]
    counters = _Counters(database)
    with bare_writer(database) as connection:
        for commits in prepared:
            for statements in commits:
                connection.execute("BEGIN IMMEDIATE")
                for sql, values in statements:
                    connection.execute(sql, values)
                connection.execute("COMMIT")
    return counters.cost(calls)


_Statements = list[tuple[str, rows.Row]]


def _prepared(place: _Place, number: int, artifact: bool) -> tuple[_Statements, _Statements]:
    """The statements of a call's two commits."""
    begun = system_clock()
    call = ToolCall(
        id=new_id(),
        session_id=place.session_id,
        step_id=place.step_id,
        tool_name="read_file",
        parameters=_parameters(number),
        state=ToolCallState.EXECUTING,
        order=WARM_UP + number,
        created_at=begun,
        updated_at=begun,
    )
    ended = system_clock()
    done = msgspec.structs.replace(
        call, state=ToolCallState.SUCCEEDED, result=_RESULT, updated_at=ended, completed_at=ended
    )
    row, last = rows.to_row(call), rows.to_row(done)
    entering: _Statements = [
        (rows.INSERT[EntityType.TOOL_CALL], row),
        (outbox_writes.ENQUEUE, outbox_writes.outbox_row(call.kind, row, Operation.INSERT, format_time(begun))),
    ]
    record = outbox_writes.outbox_row(call.kind, last, Operation.UPDATE, format_time(ended))
    start = f"{call.kind.value}:{call.id}:"
    leaving: _Statements = [
        (outbox_writes.FOLD, (record[0], record[5], format_time(ended), start, start + "~")),
        (rows.UPDATE[EntityType.TOOL_CALL], (*last[1:], last[0])),
    ]
    if artifact:
        content = _content(number).encode()
        kept = rows.to_row(
            Artifact(
                id=new_id(),
                session_id=place.session_id,
                task_id=place.task_id,
                step_id=place.step_id,
                tool_call_id=call.id,
                type=ArtifactType.FILE_CONTENT,
                name="src/login.py",
                content_hash=digest(content),
                content_type="text/plain",
                size=len(content),
                created_at=ended,
                updated_at=ended,
                content=content,
            )
        )
        record = outbox_writes.outbox_row(EntityType.ARTIFACT, kept, Operation.INSERT, format_time(ended))
        leaving += [(rows.INSERT[EntityType.ARTIFACT], kept), (outbox_writes.ENQUEUE, record)]
    return entering, leaving


if __name__ == "__main__":
    kind, folder, artifact, calls = sys.argv[1:]
    measure = _floor if kind == "floor" else _recorded
    print(json.dumps(msgspec.to_builtins(measure(Path(folder), int(calls), artifact == "1"))))
