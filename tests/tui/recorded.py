"""The data of the workspace in memory: sessions, a run with one of everything, refused records, conflicts."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec

from acode_tui.domain.entities import (
    Artifact,
    SessionEvent,
    SessionGraph,
    SessionSummary,
    StepGraph,
    TaskGraph,
    ToolCallGraph,
)
from acode_tui.domain.states import (
    ArtifactType,
    EntityType,
    Operation,
    SessionState,
    ToolCallState,
    WorkState,
)
from acode_tui.ops.health import HealthCheck, HealthReport, HealthStatus
from acode_tui.ops.health.report import worst
from acode_tui.ops.stats.report import Stats, StatsCost, StatsRow
from acode_tui.storage.ports import (
    Backup,
    Conflict,
    OutboxRecord,
    Tokens,
)

NOW = datetime(2026, 3, 14, 12, 4, 31, tzinfo=UTC)
WORKSPACE = "0190d6a1-0000-7000-8000-000000000001"


def fake_id(number: int, kind: int = 0) -> str:
    """An id that looks like a UUIDv7 and never changes."""
    return f"0190d6a1-{number:04x}-7def-8a3e-{kind:012x}"


DESCRIPTIONS = (
    ("Add input validation to the login form", SessionState.EXECUTING, "pending"),
    ("Fix the race in the connection pool's shutdown", SessionState.AWAITING_APPROVAL, "pending"),
    (
        "Rewrite the importer so that it reads growing files from where it stopped last time",
        SessionState.COMPLETED,
        "synced",
    ),
    ("Explain why the nightly build is slow", SessionState.COMPLETED, "synced"),
    ("Migrate the orders table to bigint keys", SessionState.FAILED, "retrying"),
    ("Draft the release notes for 2.4", SessionState.PAUSED, "synced"),
    ("Translate the settings page", SessionState.CANCELLED, "synced"),
    ("Plan the move from cron to systemd timers", SessionState.PLANNING, "failed"),
    ("Look into the memory growth of the worker", SessionState.CREATED, "local"),
)


REASONS = {
    SessionState.COMPLETED: "the last turn is answered",
    SessionState.FAILED: "ERROR 1264: out of range [/red]",
    SessionState.PAUSED: "interrupted by the user",
    SessionState.CANCELLED: "not needed any more",
}


def summary(number: int) -> SessionSummary:
    """The session with this number in the fake workspace; 0 is the newest."""
    description, state, sync = DESCRIPTIONS[number % len(DESCRIPTIONS)]
    updated = NOW - timedelta(minutes=2 + number * 17)
    return SessionSummary(
        id=fake_id(number),
        created_at=updated - timedelta(minutes=9),
        updated_at=updated,
        task_description=description,
        state=state,
        metadata={
            "source": ("claude-code", "codex")[number % 3 == 2],
            "cwd": ("/home/ada/src/shop", "/srv/build/nightly")[number % 4 == 3],
            "gitBranch": "feature/login",
            "models": [("claude-sonnet-4-5", "gpt-5-codex")[number % 3 == 2]],
            "tokens": {"input": 900 * number, "output": 12_345, "cacheRead": 9_000_000, "cacheWrite": 31_000},
        },
        user_id="ada@example.org",
        workspace_id=WORKSPACE,
        task_count=1 + number % 5,
        tasks_done=(1 + number % 5) if state is SessionState.COMPLETED else number % 3,
        tool_call_count=47 * (1 + number % 7),
        failed_calls=(0, 0, 12, 0, 3)[number % 5],
        current_tool="Bash" if state is SessionState.EXECUTING else None,
        current_tool_at=updated if state is SessionState.EXECUTING else None,
        last_reason=REASONS.get(state, "first prompt [inferred=true line=3]"),
        artifact_count=12 * (1 + number % 9),
        sync=sync,
    )


def graph(number: int = 0) -> SessionGraph:
    """A small run with one of everything."""
    start = NOW - timedelta(minutes=11)
    session_id = fake_id(number)

    def at(seconds: float) -> dict[str, Any]:
        moment = start + timedelta(seconds=seconds)
        return {"created_at": moment, "updated_at": moment}

    def call(index: int, step: str, name: str, parameters: Any, state: ToolCallState, **more: Any) -> ToolCallGraph:
        return ToolCallGraph(
            id=fake_id(index, 4),
            session_id=session_id,
            step_id=step,
            tool_name=name,
            parameters=parameters,
            state=state,
            order=index,
            **at(20 * index),
            **more,
        )

    def artifact(
        index: int,
        place: tuple[str, str | None, str | None],
        type_: ArtifactType,
        name: str,
        content_type: str,
        size: int,
    ) -> Artifact:
        task_id, step_id, call_id = place
        return Artifact(
            id=fake_id(index, 5),
            session_id=session_id,
            task_id=task_id,
            step_id=step_id,
            tool_call_id=call_id,
            type=type_,
            name=name,
            content_hash="sha256:" + f"{index:02x}" * 32,
            content_type=content_type,
            size=size,
            **at(20 * index + 5),
        )

    one, two = fake_id(0, 2), fake_id(1, 2)
    first, second, third = fake_id(0, 3), fake_id(1, 3), fake_id(2, 3)
    code = artifact(0, (one, first, fake_id(0, 4)), ArtifactType.FILE_CONTENT, "login.ts", "text/x-typescript", 3_412)
    diff = artifact(1, (one, second, fake_id(1, 4)), ArtifactType.FILE_DIFF, "login.ts.diff", "text/x-diff", 311)
    output = artifact(2, (two, third, fake_id(2, 4)), ArtifactType.COMMAND_OUTPUT, "stdout", "text/plain", 48_213)
    response = artifact(3, (two, third, None), ArtifactType.MODEL_RESPONSE, "text", "text/markdown", 132)
    reasoning = artifact(4, (two, third, None), ArtifactType.REASONING, "reasoning", "text/markdown", 96)
    prompt = artifact(5, (one, None, None), ArtifactType.USER_PROMPT, "prompt", "text/markdown", 1_904)
    image = artifact(6, (two, third, fake_id(2, 4)), ArtifactType.IMAGE, "failure.png", "image/png", 12_288)
    read = call(
        0,
        first,
        "Read",
        {"file_path": "src/login.ts", "limit": 200},
        ToolCallState.SUCCEEDED,
        completed_at=start + timedelta(seconds=0.412),
        result={"lines": 120},
        artifacts=(code,),
    )
    edit = call(
        1,
        second,
        "Edit",
        {"file_path": "src/login.ts", "old_string": "submit()", "new_string": "validate() && submit()"},
        ToolCallState.SUCCEEDED,
        completed_at=start + timedelta(seconds=21),
        result=None,
        artifacts=(diff,),
    )
    test = call(
        2,
        third,
        "Bash",
        {"command": "npm test -- login"},
        ToolCallState.FAILED,
        completed_at=start + timedelta(seconds=71.3),
        error_message="exit code 1: 2 of 14 tests failed",
        artifacts=(output, image),
    )
    steps = (
        StepGraph(
            id=first,
            session_id=session_id,
            task_id=one,
            name="Read the login form",
            state=WorkState.COMPLETED,
            order=0,
            tool_calls=(read,),
            **at(0),
        ),
        StepGraph(
            id=second,
            session_id=session_id,
            task_id=one,
            name="Validate before submitting",
            state=WorkState.COMPLETED,
            order=1,
            tool_calls=(edit,),
            **at(20),
        ),
        StepGraph(
            id=third,
            session_id=session_id,
            task_id=two,
            name="Run the tests",
            state=WorkState.IN_PROGRESS,
            order=0,
            artifacts=(reasoning, response),
            tool_calls=(test,),
            **at(60),
        ),
    )
    tasks = (
        TaskGraph(
            id=one,
            session_id=session_id,
            title="Add input validation to the login form",
            state=WorkState.COMPLETED,
            order=0,
            artifacts=(prompt,),
            steps=steps[:2],
            **at(0),
        ),
        TaskGraph(
            id=two,
            session_id=session_id,
            title="Now run the tests, please",
            state=WorkState.IN_PROGRESS,
            order=1,
            steps=steps[2:],
            **at(55),
        ),
    )
    states = [SessionState.CREATED, SessionState.PLANNING, SessionState.EXECUTING]
    events = tuple(
        SessionEvent(
            id=fake_id(index, 1),
            session_id=session_id,
            from_state=before,
            to_state=after,
            reason=("plan mode", "plan approved by the user")[index],
            timestamp=start + timedelta(seconds=4 * index),
            **at(4 * index),
        )
        for index, (before, after) in enumerate(pairwise(states))
    )
    base = summary(number)
    return SessionGraph(
        id=session_id,
        created_at=start,
        updated_at=NOW - timedelta(minutes=2),
        task_description=base.task_description,
        state=SessionState.EXECUTING,
        metadata={"source": "claude-code", "gitBranch": "feature/login", "model": "opus"},
        user_id="ada@example.org",
        workspace_id=WORKSPACE,
        tasks=tasks,
        events=events,
    )


_DIFF = b"""--- a/src/login.ts
+++ b/src/login.ts
@@ -1,3 +1,3 @@
 export function go() {
-  submit()
+  validate() && submit()
 }
"""
_CODE = b"""export function submit(form: Form): boolean {
  // send it
  return post('/login', form);
}
"""
_HOSTILE = (
    b"FAIL login.test.ts\n  x refuses an empty password\n\x1b[31m2 of 14 failed\x1b[0m [/red] \xe2\x80\xaetxt.exe\n"
)
_PROMPT = b"""Add input validation to the login form.

What I know so far:

- `submit()` sends an **empty** password as well;
- the tests have a mock of the form.
"""
CONTENTS: dict[str, bytes] = {
    fake_id(0, 5): _CODE,
    fake_id(1, 5): _DIFF,
    fake_id(2, 5): _HOSTILE,
    fake_id(3, 5): b"Two tests fail because the mock has no `validate`. I will add it.\n",
    fake_id(4, 5): b"The mock is older than `validate`. Adding it there is smaller than changing the form.\n",
    fake_id(5, 5): _PROMPT,
    fake_id(6, 5): b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x40",
}


def conflict(number: int, winner: str = "remote", *, reviewed: bool = False) -> Conflict:
    local = {"id": fake_id(number, 3), "name": "Run the tests", "state": "InProgress", "order": 1}
    remote = {"id": fake_id(number, 3), "name": "Run all the tests", "state": "Completed", "order": 1}
    return Conflict(
        id=fake_id(number, 9),
        session_id=fake_id(number),
        entity_type=EntityType.STEP,
        entity_id=fake_id(number, 3),
        local_payload=msgspec.Raw(msgspec.json.encode(local)),
        remote_payload=msgspec.Raw(msgspec.json.encode(remote)),
        local_updated_at=NOW - timedelta(minutes=9),
        remote_updated_at=NOW - timedelta(minutes=6),
        winner="remote" if winner == "remote" else "local",
        detected_at=NOW - timedelta(minutes=4 + number * 50),
        reviewed_at=NOW if reviewed else None,
    )


def record(number: int, *, attempts: int = 3, dead: bool = False, error: str = "23503: no such parent") -> OutboxRecord:
    moment = NOW - timedelta(minutes=12 + number)
    return OutboxRecord(
        id=number,
        idempotency_key=f"step:{fake_id(number, 3)}:2026-03-14T11:52:31.000000Z",
        session_id=fake_id(number),
        entity_type=EntityType.STEP,
        entity_id=fake_id(number, 3),
        operation=Operation.UPDATE,
        payload=msgspec.Raw(b'{"name":"Run the tests"}'),
        created_at=moment,
        updated_at=moment,
        attempts=attempts,
        next_attempt_at=None if dead else NOW + timedelta(seconds=38),
        failed_at=NOW - timedelta(minutes=1) if dead else None,
        last_error=error,
    )


BACKUP = Backup(
    name="acode_backup_20260314_120431",
    path="/home/ada/src/shop/.agent/backups/acode_backup_20260314_120431.db",
    kind="manual",
    created_at="2026-03-14T12:04:31.000000Z",
    schema_version="1.2.0",
    size_bytes=4_200_000,
    sha256="ab" * 32,
    counts={"sessions": 120, "tool_calls": 5_640},
    workspace_id=WORKSPACE,
)


def health_report() -> HealthReport:
    """One of each kind, hostile text in it."""

    def check(
        name: str, status: HealthStatus, description: str, suggestion: str | None = None, **details: Any
    ) -> HealthCheck:
        return HealthCheck(
            name=name, status=status, duration_ms=1.4, description=description, details=details, suggestion=suggestion
        )

    checks = (
        check("database", HealthStatus.HEALTHY, "answers in 0.4 ms; 4.2 MB are sound", readMs=0.4),
        check("schema", HealthStatus.HEALTHY, "sqlite 1.2.0 is current; PostgreSQL is not enabled"),
        check(
            "dead_letters",
            HealthStatus.DEGRADED,
            "1 record was given up [/red]",
            "acode-tui db outbox list --status failed, then retry or discard",
            deadLetters=1,
        ),
        check(
            "storage",
            HealthStatus.UNHEALTHY,
            "3 % of the disk is free",
            "acode-tui db backup prune, acode-tui db vacuum, or free space on that disk",
            freeBytes=1_234_567,
        ),
    )
    return HealthReport(status=worst(each.status for each in checks), checks=checks)


EMPTY_STATS = Stats(rows=(), cost=StatsCost(total=0.0, unpriced=()), sessions=0, tokens=Tokens())


def stats() -> dict[str, Stats]:
    """Figures by each kind of key; some names are hostile, and one model has no price."""
    days = [f"{NOW - timedelta(days=number):%Y-%m-%d}" for number in range(26, -1, -2)]
    return {
        "day": _stats(*days),
        "model": _stats("claude-opus-4-5", "gpt-5-codex", "a model of nobody [/red]\x1b[31m", ""),
        "agent": _stats("claude-code", "codex"),
        "project": _stats("shop", "a project with a name that is longer than any column", "\u202esite[/bold]"),
        "tool": _stats("Bash", "Edit", "mcp__[bold]", tools=True),
    }


def _stats(*keys: str, tools: bool = False) -> Stats:
    rows = []
    for number, key in enumerate(keys):
        used = Tokens(input=900 * number, output=5_000 + number, cache_read=70_000 * number, cache_write=4_000)
        cost = None if key.startswith("a model") else 12.34 / (number + 1)
        rows.append(
            StatsRow(
                key=key, sessions=3 + number, tool_calls=140 * (number + 1), failed=number * 7 % 5,
                tokens=None if tools else used, cost=None if tools else cost,
            )
        )  # fmt: skip
    return Stats(
        rows=tuple(rows),
        cost=StatsCost(total=12.34, unpriced=("a model of nobody [/red]\x1b[31m",)),
        sessions=sum(row.sessions for row in rows),
        tokens=Tokens(input=5_400, output=20_006, cache_read=420_000, cache_write=16_000),
    )
