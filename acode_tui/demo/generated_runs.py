"""Generates the runs of the demo's agents from a seed. Pure: the same seed gives the same runs.

The runs belong to the repository of a small shop: a user asks for a change, an agent reads, searches, edits, tests and
answers. About one in eight fails.
"""

import json
import struct
import uuid
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from acode_tui.domain.codec import digest
from acode_tui.domain.entities import Artifact, SessionEvent, SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState, WorkState

REFUSED_TOOL = "deploy"
"""A tool whose calls the demo's team database refuses for a while."""

DEAD_LETTER = "core.dump"
"""The name of an artifact that the demo's team database refuses as a value it can never store."""


@dataclass(frozen=True, slots=True)
class PlannedContent:
    """An artifact of a planned task, step or call. ``seconds`` is how long a model writes a text of its own."""

    type: ArtifactType
    name: str
    content: str | bytes
    content_type: str
    seconds: float = 0.0

    @property
    def data(self) -> bytes:
        return self.content.encode() if isinstance(self.content, str) else self.content


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A tool call: its length in seconds, its result and artifact, and the message it fails with, if it fails."""

    tool: str
    parameters: dict[str, Any]
    seconds: float
    result: Any = None
    content: PlannedContent | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step: what the model thought or said in it, and its calls.

    An abandoned step is skipped when a call of it failed, and the run goes on.
    """

    name: str
    calls: tuple[PlannedCall, ...]
    is_abandoned: bool = False
    contents: tuple[PlannedContent, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedTask:
    """A task and its steps, with its prompt where that is longer than the title."""

    title: str
    steps: tuple[PlannedStep, ...]
    contents: tuple[PlannedContent, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A session: the request, the agent's metadata, and the tasks in their order."""

    description: str
    metadata: dict[str, Any]
    tasks: tuple[PlannedTask, ...]


_AGENTS = (("claude-code", "claude-sonnet-4-5"), ("codex", "gpt-5-codex"), ("claude-code", "claude-opus-4-1"))

_REQUESTS = (
    ("Add input validation to the login form", "src/login.ts", "feature/login"),
    ("Fix the race in the connection pool's shutdown", "src/db/pool.ts", "fix/pool-shutdown"),
    ("Explain why the nightly build is slow", "ci/nightly.yml", "main"),
    ("Move the orders table to bigint keys", "migrations/0042_orders.sql", "feature/bigint-orders"),
    ("Draft the release notes for 2.4", "CHANGELOG.md", "release/2.4"),
    ("Translate the settings page into French", "src/i18n/fr.json", "feature/french"),
    ("Replace cron by systemd timers", "ops/timers/backup.timer", "ops/timers"),
    ("Look into the memory growth of the worker", "src/worker.ts", "fix/worker-memory"),
    ("Show the basket's total before shipping", "src/basket/total.ts", "feature/basket-total"),
    ("Retry the payment webhook when it times out", "src/payments/webhook.ts", "fix/webhook-retry"),
    ("Write tests for the discount rules", "tests/discounts.test.ts", "test/discounts"),
    ("Upgrade the HTTP client and its callers", "package.json", "chore/http-client"),
    ("Cache the product search for a minute", "src/search/cache.ts", "feature/search-cache"),
    ("Make the invoice PDF accessible", "src/invoices/pdf.ts", "feature/a11y-invoices"),
    ("Remove the feature flags that nobody uses", "src/flags.ts", "chore/flags"),
    ("Log slow queries with their plan", "src/db/logging.ts", "feature/slow-queries"),
)

_FOLLOW_UPS = (
    "Now run the tests, please",
    "And bring the documentation up to date",
    "Check that nothing else calls it",
    "Make the error message say what to do",
    "Does it hold for an empty basket as well?",
)

_FUNCTIONS = ("validate", "shutdown", "total", "retryLater", "lookUp", "render", "applyDiscount", "rotate")
_FAILURES = (
    "exit code 1: 2 of 148 tests failed",
    "exit code 2: error TS2345 in src/basket/total.ts",
    "timed out after 120 s",
    "exit code 1: no such file or directory",
)
_MEDIA = {"ts": "text/x-typescript", "json": "application/json", "md": "text/markdown", "sql": "text/x-sql"}


class RunGenerator:
    """Generates runs for one agent without end. ``pace`` multiplies the length of every call."""

    def __init__(self, random: Random, *, pace: float = 1.0) -> None:
        self._random = random
        self._pace = pace

    def __iter__(self) -> Iterator[PlannedRun]:
        while True:
            yield self.run()

    def run(self) -> PlannedRun:
        """An ordinary run."""
        random = self._random
        description, path, branch = random.choice(_REQUESTS)
        titles = [description, *random.sample(_FOLLOW_UPS, random.choice((0, 1, 1, 2)))]
        fails = random.random() < 0.12
        tasks = [self._planned_task(title, path, fails=fails and title is titles[-1]) for title in titles]
        return PlannedRun(description, self._metadata(branch), tuple(tasks))

    def refused(self) -> PlannedRun:
        """A run with a call that the team's database refuses for a while."""
        call = PlannedCall(
            REFUSED_TOOL, {"target": "preview", "commit": self._hash()}, self._seconds(1.0), {"ok": True}
        )
        task = PlannedTask("Put it on the preview server", (PlannedStep("Deploy", (call,)),))
        return PlannedRun("Deploy the preview of the checkout", self._metadata("release/2.4"), (task,))

    def dead_letter(self) -> PlannedRun:
        """A run with an artifact that the team's database refuses as a value it can never store."""
        dump = PlannedContent(ArtifactType.COMMAND_OUTPUT, DEAD_LETTER, "core dump of worker 7\n", "text/plain")
        call = PlannedCall("Bash", {"command": "gdb -batch worker core.dump"}, self._seconds(1.0), None, dump)
        task = PlannedTask("Read the core dump", (PlannedStep("Look at the stack", (call,)),))
        return PlannedRun("Find out why the worker crashed at night", self._metadata("fix/worker-crash"), (task,))

    def _planned_task(self, title: str, path: str, *, fails: bool) -> PlannedTask:
        random = self._random
        calls = [self._read(path), self._search(path)][: random.choice((1, 2))]
        steps = [PlannedStep("Read what is there", tuple(calls))]
        if random.random() < 0.25:
            steps.append(PlannedStep("Try the obvious", (self._test(path, fails=True),), is_abandoned=True))
        thought = (self._reasoning(path),) if random.random() < 0.4 else ()
        changes = (self._edit(path), *self._maybe_more(path))
        steps.append(PlannedStep(f"Change {path.rpartition('/')[2]}", changes, contents=thought))
        steps.append(PlannedStep("Run the tests", (self._test(path, fails=fails),)))
        if not fails:
            steps.append(PlannedStep(f"Done: {title}", (), contents=(self._answer(title),)))
        return PlannedTask(title, tuple(steps), (self._prompt(title, path),) if random.random() < 0.3 else ())

    def _maybe_more(self, path: str) -> tuple[PlannedCall, ...]:
        chance = self._random.random()
        return (self._write(path),) if chance < 0.4 else (self._screenshot(),) if chance < 0.6 else ()

    def _prompt(self, title: str, path: str) -> PlannedContent:
        text = (
            f"{title}.\n\nIt is about `{path}`. What I know so far:\n\n"
            f"- `{self._function()}` is called from three places, and one of them ignores what it returns;\n"
            f"- it began with commit `{self._hash()}`, and the tests did not notice;\n"
            "- the team agreed to keep the public names as they are.\n\n"
            "Please keep the change small, and say what you did **not** do.\n"
        )
        return PlannedContent(ArtifactType.USER_PROMPT, "prompt", text, "text/markdown")

    def _reasoning(self, path: str) -> PlannedContent:
        text = (
            f"`{self._function()}` in {path} returns before the order is loaded. Two ways: load it earlier, or refuse\n"
            "an unknown id. The second changes less, and the callers expect an error already.\n"
        )
        return PlannedContent(ArtifactType.REASONING, "reasoning", text, "text/markdown", self._seconds(0.7))

    def _screenshot(self) -> PlannedCall:
        bars = [self._random.randrange(4, 60) for _ in range(8)]
        content = PlannedContent(ArtifactType.IMAGE, "basket.png", _picture(bars), "image/png")
        return PlannedCall("Screenshot", {"url": "http://localhost:3000/basket"}, self._seconds(0.8), None, content)

    def _read(self, path: str) -> PlannedCall:
        text = _source(self._function(), self._random)
        name = path.rpartition("/")[2]
        content = PlannedContent(ArtifactType.FILE_CONTENT, name, text, _media(name))
        return PlannedCall(
            "Read", {"file_path": path, "limit": 200}, self._seconds(0.3), {"lines": text.count("\n")}, content
        )

    def _search(self, path: str) -> PlannedCall:
        name = self._function()
        found = "".join(f"{path}:{line}:  {name}(order);\n" for line in sorted(self._random.sample(range(8, 240), 4)))
        content = PlannedContent(ArtifactType.SEARCH_RESULT, "matches", found, "text/plain")
        return PlannedCall(
            "Grep", {"pattern": f"{name}\\(", "path": "src"}, self._seconds(0.4), {"matches": 4}, content
        )

    def _edit(self, path: str) -> PlannedCall:
        name, line = self._function(), self._random.randrange(8, 200)
        diff = (
            f"--- a/{path}\n+++ b/{path}\n@@ -{line},4 +{line},5 @@ export class Orders {{\n"
            f"   const order = await load(id);\n-  return {name}(order);\n"
            f"+  if (!order) throw new NotFound(id);\n+  return {name}(order, {{ strict: true }});\n }}\n"
        )
        content = PlannedContent(ArtifactType.FILE_DIFF, f"{path.rpartition('/')[2]}.diff", diff, "text/x-diff")
        return PlannedCall(
            "Edit", {"file_path": path, "replace_all": False}, self._seconds(0.6), {"changed": 2}, content
        )

    def _write(self, path: str) -> PlannedCall:
        name = path.rpartition("/")[2].partition(".")[0] + ".test.ts"
        text = f"import {{ test }} from 'vitest';\n\ntest('{self._function()}', () => {{}});\n"
        content = PlannedContent(ArtifactType.FILE_WRITE, name, text, "text/x-typescript")
        return PlannedCall("Write", {"file_path": f"tests/{name}"}, self._seconds(0.5), {"bytes": len(text)}, content)

    def _test(self, path: str, *, fails: bool) -> PlannedCall:
        passed = self._random.randrange(60, 148)
        text = "".join(f" ok  {self._function()} handles case {case}\n" for case in range(1, 9))
        text += f"\n{passed} passed{', 2 failed' if fails else ''} in {self._random.randrange(2, 40)} s\n"
        content = PlannedContent(ArtifactType.COMMAND_OUTPUT, "stdout", text, "text/plain")
        error = self._random.choice(_FAILURES) if fails else ""
        return PlannedCall(
            "Bash", {"command": f"npm test -- {path}"}, self._seconds(1.6), {"exitCode": 0}, content, error
        )

    def _answer(self, title: str) -> PlannedContent:
        text = f"Done: **{title}**. The change is small, the tests pass, and nothing else calls it.\n"
        return PlannedContent(ArtifactType.MODEL_RESPONSE, "answer", text, "text/markdown", self._seconds(0.9))

    def _function(self) -> str:
        return self._random.choice(_FUNCTIONS)

    def _hash(self) -> str:
        return f"{self._random.getrandbits(40):010x}"

    def _seconds(self, usual: float) -> float:
        return usual * self._random.uniform(0.5, 1.7) * self._pace

    def _metadata(self, branch: str) -> dict[str, Any]:
        random = self._random
        agent, model = random.choice(_AGENTS)
        tokens = {"input": random.randrange(2_000, 60_000), "output": random.randrange(400, 9_000)}
        tokens |= {"cacheRead": random.randrange(50_000, 900_000), "cacheWrite": random.randrange(1_000, 40_000)}
        return {
            "source": agent,
            "cwd": "/home/ada/src/shop",
            "gitBranch": branch,
            "models": [model],
            "tokens": tokens,
        }


def _source(name: str, random: Random) -> str:
    count = random.randrange(6, 24)
    body = [f"  const page{page} = await orders.find(id, {json.dumps({'page': page})});" for page in range(count)]
    head = f"export async function {name}(id: string, options: Options = {{}}) {{"
    return "\n".join([head, *body, "  return last(page0);", "}", ""])


def _picture(bars: Sequence[int]) -> bytes:
    """A PNG image of 64 by 64 grey pixels: a chart of the bars, each 8 pixels wide."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = [bytes([0, *(80 if 64 - y <= bar else 240 for bar in bars for _ in range(8))]) for y in range(64)]
    header = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(lines), level=1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _media(name: str) -> str:
    return _MEDIA.get(name.rpartition(".")[2], "text/plain")


OPEN = (SessionState.AWAITING_APPROVAL, SessionState.PAUSED, SessionState.EXECUTING)
"""States of runs that have not ended."""

_USERS = ("ada@example.org", "ada@example.org", "grace@example.org", "alan@example.org")
_PAST_PACE = 25.0
"""A generated call takes a second; past runs should look like real ones, which take minutes."""


def past_runs(count: int, *, workspace_id: str, now: datetime, random: Random) -> Iterator[SessionGraph]:
    """Runs of the last days, the oldest first, the newest about an hour old. About one in five has not ended."""
    generator = RunGenerator(random, pace=_PAST_PACE)
    for number in range(count, 0, -1):
        ended = now - timedelta(minutes=40) - timedelta(minutes=65) * (number + random.uniform(-0.4, 0.4))
        state = random.choice(OPEN) if number % 5 == 1 else None
        user = random.choice(_USERS)
        yield _PastRun(random, workspace_id, user).graph(generator.run(), ended, state)


class _PastRun:
    """Builds one past run. Its clock moves on by the length of each call."""

    def __init__(self, random: Random, workspace_id: str, user: str) -> None:
        self._random = random
        self._workspace_id = workspace_id
        self._user = user
        self._id = self._new_id()
        self._now = datetime.min

    def graph(self, run: PlannedRun, ended: datetime, state: SessionState | None) -> SessionGraph:
        steps = [step for task in run.tasks for step in task.steps]
        seconds = sum(call.seconds for step in steps for call in step.calls)
        seconds += sum(content.seconds for step in steps for content in step.contents)
        created_at = self._now = ended - timedelta(seconds=seconds)
        path = [SessionState.PLANNING, SessionState.EXECUTING]
        first = [self._event(SessionState.CREATED, path[0], "the request was read")]
        first.append(self._event(path[0], path[1], "the plan was approved"))
        tasks = tuple(self._task(order, task) for order, task in enumerate(run.tasks))
        final = state or _final_state(tasks)
        events = tuple(first)
        if final is not SessionState.EXECUTING:
            events = (*first, self._event(path[1], final, _REASONS[final]))
        return SessionGraph(
            id=self._id,
            created_at=created_at,
            updated_at=self._now,
            task_description=run.description,
            state=final,
            metadata=run.metadata,
            user_id=self._user,
            workspace_id=self._workspace_id,
            tasks=tasks,
            events=events,
        )

    def _task(self, order: int, planned: PlannedTask) -> TaskGraph:
        task_id, created_at = self._new_id(), self._now
        artifacts = self._artifacts(planned.contents, task_id)
        steps = tuple(self._step(task_id, order, step) for order, step in enumerate(planned.steps))
        failed = any(step.state is WorkState.FAILED for step in steps)
        return TaskGraph(
            id=task_id,
            created_at=created_at,
            updated_at=self._now,
            session_id=self._id,
            title=planned.title,
            state=WorkState.FAILED if failed else WorkState.COMPLETED,
            order=order,
            artifacts=artifacts,
            steps=steps,
        )

    def _step(self, task_id: str, order: int, planned: PlannedStep) -> StepGraph:
        step_id, created_at = self._new_id(), self._now
        artifacts = self._artifacts(planned.contents, task_id, step_id)
        calls = tuple(self._call(task_id, step_id, order, call) for order, call in enumerate(planned.calls))
        failed = any(call.error for call in planned.calls)
        failed_state = WorkState.SKIPPED if planned.is_abandoned else WorkState.FAILED
        return StepGraph(
            id=step_id,
            created_at=created_at,
            updated_at=self._now,
            session_id=self._id,
            task_id=task_id,
            name=planned.name,
            state=failed_state if failed else WorkState.COMPLETED,
            order=order,
            artifacts=artifacts,
            tool_calls=calls,
        )

    def _artifacts(
        self, contents: Sequence[PlannedContent], task_id: str, step_id: str | None = None, call_id: str | None = None
    ) -> tuple[Artifact, ...]:
        artifacts = []
        for content in contents:
            self._now += timedelta(seconds=content.seconds)
            artifact = Artifact(
                id=self._new_id(),
                created_at=self._now,
                updated_at=self._now,
                session_id=self._id,
                task_id=task_id,
                step_id=step_id,
                tool_call_id=call_id,
                type=content.type,
                name=content.name,
                content_hash=digest(content.data),
                content_type=content.content_type,
                size=len(content.data),
                content=content.data,
            )
            artifacts.append(artifact)
        return tuple(artifacts)

    def _call(self, task_id: str, step_id: str, order: int, call: PlannedCall) -> ToolCallGraph:
        call_id, created_at = self._new_id(), self._now
        self._now += timedelta(seconds=call.seconds)
        artifacts = self._artifacts((call.content,) if call.content is not None else (), task_id, step_id, call_id)
        return ToolCallGraph(
            id=call_id,
            created_at=created_at,
            updated_at=self._now,
            session_id=self._id,
            step_id=step_id,
            tool_name=call.tool,
            parameters=call.parameters,
            state=ToolCallState.FAILED if call.error else ToolCallState.SUCCEEDED,
            order=order,
            completed_at=self._now,
            result=None if call.error else call.result,
            error_message=call.error or None,
            artifacts=artifacts,
        )

    def _event(self, before: SessionState, after: SessionState, reason: str) -> SessionEvent:
        return SessionEvent(
            id=self._new_id(),
            created_at=self._now,
            updated_at=self._now,
            session_id=self._id,
            from_state=before,
            to_state=after,
            reason=reason,
            timestamp=self._now,
        )

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


_REASONS = {
    SessionState.AWAITING_APPROVAL: "the agent asks whether it may push",
    SessionState.PAUSED: "paused for the day",
    SessionState.COMPLETED: "the agent ended",
    SessionState.FAILED: "a tool call failed and the agent gave up",
}


def _final_state(tasks: tuple[TaskGraph, ...]) -> SessionState:
    failed = any(task.state is WorkState.FAILED for task in tasks)
    return SessionState.FAILED if failed else SessionState.COMPLETED
