"""A workspace in memory whose recorded texts are all hostile: markup, escapes, bidi characters, very long texts."""

from pathlib import Path
from random import Random
from typing import Any

import msgspec
from msgspec.structs import replace

from acode_tui.domain.entities import Artifact, SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.errors import IntegrityError, TransactionError
from acode_tui.domain.states import ArtifactType
from acode_tui.storage.ports import Conflict, OutboxRecord
from tests.tui.fake import FakeConflicts, FakeOutbox, FakeStore, FakeWorkspace, online
from tests.tui.recorded import conflict, fake_id, graph, health_report, record, summary

TEXTS = (
    "[/red]",
    "[bold",
    "[@click=app.quit]quit[/]",
    "$text-error $nothing [$x",
    "\x1b[31mred\x1b[0m\x1b]52;c;aGk=\x07",
    "\x9b2J\x90q\x1bPx",
    "\u202egnp.exe\u2066\u2069",
    "a\tb\nc\r\nd\x0be\x0cf\x85g\u2028h",
    "e\u0301\u0300\u0316" * 40,
    "👩‍👩‍👧‍👦🏳️‍🌈" * 9,
    "字" * 300,
    "x" * 5_000,
    "",
    " ",
    "\x00\x7f\ufeff\u200b\u00ad",
    "%s %(x)d {0} {x!r} \\N{BELL} \\",
    "../../../etc/passwd",
    "postgres://u:hunter2@db/x",
    "\U000e0041\U000e0042",
)
NAMES = ("a.py", "b.diff", "c.json", "d.md", "e.bin", "[/x].ts", "\u202ef.html", "g" * 300 + ".rs", "/", "")
TYPES = ("text/plain", "text/x-diff", "application/json", "image/png", "text/x-python; charset=[/]", "nonsense", "")


def hostile(root: Path, random: Random) -> FakeWorkspace:
    """A workspace below ``root``, determined by the state of ``random``."""
    workspace = online(FakeWorkspace())
    workspace.root, workspace.agent_dir = root, root / ".agent"
    workspace.store = _store(random)
    workspace.team = _store(random)
    workspace.outbox = FakeOutbox(workspace.outbox.figures, [_record(random, number) for number in range(40)])
    workspace.conflicts = FakeConflicts([_conflict(random, number) for number in range(40)])
    report = health_report()
    checks = tuple(
        replace(check, name=f"{index}{_text(random)}", description=_text(random), details={"x": _json(random, 2)})
        for index, check in enumerate(report.checks)
    )
    workspace.report = replace(report, checks=checks)
    return workspace


def _store(random: Random) -> FakeStore:
    sessions = [
        replace(summary(number), task_description=_text(random), user_id=_text(random), metadata={"m": _text(random)})
        for number in range(120)
    ]
    store = _FailingStore(sessions)
    for number in range(12):
        store.graphs[fake_id(number)] = _graph(random, number, store)
    return store


class _FailingStore(FakeStore):
    """A store with damaged contents, and with contents that cannot be read now."""

    async def get_artifact_content(self, artifact_id: str) -> bytes:
        number = int(artifact_id[-3:], 16)
        if number % 11 == 5:
            raise IntegrityError(f"content of [/{artifact_id}] does not match its hash\x1b[2J")
        if number % 11 == 6:
            raise TransactionError("database is locked [/red]")
        return self.contents[artifact_id]


def _graph(random: Random, number: int, store: FakeStore) -> SessionGraph:
    one = graph(number)
    ids = iter(range(number * 300, number * 300 + 300))

    def artifact(one: Artifact) -> Artifact:
        found = replace(
            one,
            id=fake_id(number, 0xA00 + next(ids) % 256),
            name=random.choice((*NAMES, _text(random))),
            content_type=random.choice(TYPES),
            type=random.choice(list(ArtifactType)),
        )
        store.contents[found.id] = _content(random)
        return found

    def call(one: ToolCallGraph) -> ToolCallGraph:
        return replace(
            one,
            tool_name=_text(random),
            parameters=_json(random, 3),
            result=_json(random, 3),
            error_message=_text(random) or None,
            artifacts=tuple(artifact(found) for found in one.artifacts * random.randrange(1, 4)),
        )

    def step(one: StepGraph) -> StepGraph:
        artifacts = tuple(map(artifact, one.artifacts))
        return replace(one, name=_text(random), artifacts=artifacts, tool_calls=tuple(map(call, one.tool_calls)))

    def task(one: TaskGraph) -> TaskGraph:
        texts = {"title": _text(random), "description": _text(random)}
        return replace(one, **texts, artifacts=tuple(map(artifact, one.artifacts)), steps=tuple(map(step, one.steps)))

    events = tuple(replace(event, reason=_text(random)) for event in one.events)
    tasks = tuple(task(found) for found in one.tasks) if number % 5 else ()
    return replace(one, task_description=_text(random), metadata={"k": _json(random, 3)}, tasks=tasks, events=events)


def _record(random: Random, number: int) -> OutboxRecord:
    made = record(number, attempts=random.randrange(1, 11), dead=number % 3 == 0, error=_text(random))
    return replace(made, payload=_raw(random))


def _conflict(random: Random, number: int) -> Conflict:
    return replace(
        conflict(number, random.choice(("local", "remote"))), local_payload=_raw(random), remote_payload=_raw(random)
    )


def _raw(random: Random) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(_json(random, 3)))


def _json(random: Random, depth: int) -> Any:
    kind = random.randrange(7 if depth else 4)
    if kind == 0:
        return random.choice((None, True, 0, -1.5e300, 2**53))
    if kind in (1, 2, 3):
        return _text(random)
    if kind == 4:
        return [_json(random, depth - 1) for _ in range(random.randrange(4))]
    return {
        random.choice((_text(random), "carrier", "command", "file_path")): _json(random, depth - 1) for _ in range(3)
    }


def _content(random: Random) -> bytes:
    kind = random.randrange(5)
    if kind == 0:
        return random.randbytes(random.randrange(2_000))
    if kind == 1:
        return b"--- a\n+++ b\n@@ -1 +1 @@\n-[/old]\n+\x1b[31mnew\n" * random.randrange(50)
    text = "\n".join(_text(random) for _ in range(random.randrange(30)))
    return text.encode("utf-8", "surrogatepass") if kind != 2 else msgspec.json.encode({"a": text, "b": [text] * 3})


def _text(random: Random) -> str:
    return "".join(random.choice(TEXTS) for _ in range(random.randrange(1, 3)))
