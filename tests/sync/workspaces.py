"""Workspaces that sync to a test's database, and runs to store in them."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import acode_tui
from acode_tui import ArtifactType, SessionState
from acode_tui.config import IdentitySettings, Settings
from acode_tui.config.settings import PersistenceSettings, PostgresSettings, SyncSettings
from acode_tui.domain.entities import Session
from acode_tui.workspace import Workspace
from tests.sync.fake_time import FakeTime

WORKER_LOOPS = 3
"""The endless loops of a workspace with a running worker: its own, its heartbeats, the poll of the configuration."""

RECORDS = 6
"""Outbox records that one ``add_run`` makes: one a row, whatever was written to it."""


def syncing(*, enabled: bool = True, **sync: Any) -> Settings:
    """Settings with PostgreSQL on and no jitter; its address is in the environment."""
    return Settings(
        identity=IdentitySettings(user="ada@example.org"),
        persistence=PersistenceSettings(
            postgres=PostgresSettings(enabled=enabled),
            sync=SyncSettings(jitter=0.0, **sync),
        ),
    )


@asynccontextmanager
async def opened(
    folder: Path, time: FakeTime, *, sync: bool = False, settings: Settings | None = None, mode: str = "api"
) -> AsyncIterator[Workspace]:
    """A workspace on the test's time; with ``sync`` its worker runs and sleeps."""
    async with acode_tui.open_workspace(
        folder, sync=sync, wall=time.wall, sleep=time.sleep, settings=settings or syncing(), mode=mode
    ) as workspace:
        if not sync:
            yield workspace
            return
        time.loops += WORKER_LOOPS
        await time.settled()
        try:
            yield workspace
        finally:
            time.loops -= WORKER_LOOPS


async def add_run(workspace: Workspace, name: str = "Add input validation") -> Session:
    """A session with a row of every kind."""
    store = workspace.store
    session = await store.create_session(name, metadata={"cwd": ".", "awkward": ["ü\u2028", 1.0, None, "'; --"]})
    await store.transition_session(session.id, SessionState.PLANNING, reason="start")
    task = await store.add_task(session.id, "Analyse")
    step = await store.add_step(task.id, "Read the login form")
    call = await store.add_tool_call(step.id, "read_file", {"path": "login.ts"})
    content = f"{name}\x00\xff".encode()
    await store.add_artifact(call.id, ArtifactType.FILE_CONTENT, "login.ts", content, "text/plain")
    await store.complete_tool_call(call.id, result={"lines": 120})
    return session


def query(workspace: Workspace | Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of the workspace file, read by another connection."""
    path = workspace if isinstance(workspace, Path) else workspace.database_path
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()
