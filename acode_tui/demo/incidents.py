"""Incidents of the demo's team database: rules that refuse records for a while, and a colleague's conflicting edits."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import cycle
from pathlib import Path

import msgspec

from acode_tui.config import Settings
from acode_tui.demo.generated_runs import DEAD_LETTER, REFUSED_TOOL
from acode_tui.demo.server import DATABASE, EmbeddedServer, Network
from acode_tui.domain.errors import AcodeError, TransitionError
from acode_tui.domain.states import SessionState
from acode_tui.logs import get_logger
from acode_tui.storage.ports import SessionFilter
from acode_tui.workspace import Maintenance, Workspace, open_workspace


class Colleague:
    """A second replica, in ``folder``. It has its own connection to the team's database, which is never cut."""

    def __init__(self, folder: Path, settings: Settings, workspace_id: str) -> None:
        self._folder = folder
        self._settings = settings
        self._workspace_id = workspace_id
        self._joined = False

    async def catch_up(self) -> None:
        """Pull from the team's database; the first time, recover a whole new file. Raises AcodeError."""
        if not self._joined:
            await asyncio.to_thread(self._folder.mkdir, 0o700, exist_ok=True)
            maintenance = Maintenance(self._folder, self._settings)
            await maintenance.recover(workspace_id=self._workspace_id, confirm=lambda plan: True)
            self._joined = True
            return
        async with open_workspace(self._folder, settings=self._settings) as workspace:
            await workspace.sync.sync_now()

    async def decide(self, session_id: str, state: SessionState, reason: str) -> None:
        """Change a session's state and send it. Raises AcodeError."""
        async with open_workspace(self._folder, settings=self._settings) as workspace:
            await workspace.store.transition_session(session_id, state, reason=reason)
            await workspace.sync.sync_now()


_RULES = f"""
ALTER TABLE tool_calls ADD CONSTRAINT deployments_are_frozen CHECK (tool_name <> '{REFUSED_TOOL}') NOT VALID;
CREATE FUNCTION no_core_dumps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'core dumps are not kept here' USING ERRCODE = '22023'; END $$;
CREATE TRIGGER no_core_dumps BEFORE INSERT ON artifacts FOR EACH ROW WHEN (NEW.name = '{DEAD_LETTER}')
EXECUTE FUNCTION no_core_dumps();
"""
_ALLOW_DEPLOYMENTS = "ALTER TABLE tool_calls DROP CONSTRAINT deployments_are_frozen"
_ALLOW_DUMPS = "DROP TRIGGER no_core_dumps ON artifacts"

_QUESTIONS = (
    "Roll the new checkout out to every shop",
    "Delete the orders of 2019 from the archive",
    "Rename the customer table in production",
    "Raise the rate limit of the public interface",
)
_TRANSITIONS = (
    (SessionState.PLANNING, "the request was read"),
    (SessionState.EXECUTING, "the plan was made"),
    (SessionState.AWAITING_APPROVAL, "a decision is needed"),
)
_POLL_SECONDS = 1.0
_FEW_PENDING = 200
"""With so few pending records or less, the past runs are in the team's database."""

_OFFLINE_AFTER = 5
_ONLINE_AFTER = 12
"""Polls of the network after which the colleague decides: while it is cut, and the first time while it is up."""

log = get_logger("acode_tui.demo")


class Incidents:
    """Causes the incidents, once the team's database is reached."""

    def __init__(
        self,
        workspace: Workspace,
        server: EmbeddedServer,
        network: Network,
        folder: Path,
        *,
        pause: Callable[[float], Awaitable[None]],
        announce: Callable[[str, str], None],
    ) -> None:
        """``folder`` is the colleague's; ``pause`` waits seconds of the demo's time; ``announce``: title and text."""
        self._pause = pause
        self._announce = announce
        self._workspace = workspace
        self._server = server
        self._network = network
        self._colleague = Colleague(folder, _direct_settings(workspace.settings, server), workspace.workspace_id)
        self._questions = cycle(_QUESTIONS)
        self._question: str | None = None

    async def add_rules(self) -> None:
        """Add the rules to the database, before a run is recorded that they refuse."""
        await self._execute(_RULES)

    async def run(self) -> None:
        """Cause all incidents, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._lift_rules())
            group.create_task(self._cause_conflicts())

    async def _lift_rules(self) -> None:
        """Lift the rules after a while: the refused deployment is then sent by itself, the dead letter is not."""
        while not (await self._workspace.outbox.stats()).retrying:
            await self._pause(_POLL_SECONDS)
        self._announce("retries", "The team's database refuses a deployment just now. r shows the record that waits.")
        while not (await self._workspace.outbox.stats()).failed:
            await self._pause(_POLL_SECONDS)
        self._announce("dead letter", "It never takes a core dump. r shows it; retry it in a minute.")
        await self._pause(40)
        await self._execute(_ALLOW_DEPLOYMENTS)
        await self._execute(_ALLOW_DUMPS)
        self._announce(
            "retries", "The rules were lifted: refused records are sent at their next try. r, then R, retries all."
        )

    async def _cause_conflicts(self) -> None:
        """A colleague on another machine decides about sessions that are decided here too."""
        while (await self._workspace.outbox.stats()).pending > _FEW_PENDING:
            await self._pause(_POLL_SECONDS)
        polls = cut_for = 0
        has_conflict = False
        while True:
            await self._pause(_POLL_SECONDS)
            polls += 1
            cut_for = 0 if self._network.is_up else cut_for + 1
            if self._question is None:
                self._question = await self._ask()
            elif cut_for == _OFFLINE_AFTER:
                await self._disagree_offline(self._question)
            elif polls >= _ONLINE_AFTER and self._network.is_up and not has_conflict:
                has_conflict = await self._disagree_online(self._question)

    async def _disagree_online(self, question: str) -> bool:
        """Both decide while the network is held, so neither knows of the other. False if that failed."""
        if not await self._is_synced_to_both(question):
            return False
        async with self._network.held():
            if not (await self._colleague_decides(question) and await self._decide(question)):
                return False
        self._announce("conflict", "A colleague decided about the same session. c shows both versions and the winner.")
        return True

    async def _disagree_offline(self, question: str) -> None:
        """Decide here without the network; the colleague decides otherwise a second later."""
        if await self._is_synced_to_both(question) and await self._decide(question):
            await self._pause(1)
            await self._colleague_decides(question)

    async def _ask(self) -> str:
        """Record a session that awaits a decision."""
        store = self._workspace.store
        description = next(self._questions)
        session = await store.create_session(description, metadata={"source": "claude-code"})
        await store.add_task(session.id, description)
        for state, reason in _TRANSITIONS:
            await store.transition_session(session.id, state, reason=reason)
        return session.id

    async def _is_synced_to_both(self, question: str) -> bool:
        """Whether the session is synced to the team's database, and from there to the colleague."""
        page = await self._workspace.store.list(SessionFilter(states=(SessionState.AWAITING_APPROVAL,)), limit=50)
        found = next((session for session in page if session.id == question), None)
        if found is None:
            # The user decided about it.
            self._question = None
        if found is None or found.sync != "synced":
            return False
        try:
            await self._colleague.catch_up()
        except AcodeError as error:
            return _log_failure(error)
        return True

    async def _decide(self, question: str) -> bool:
        self._question = None
        try:
            await self._workspace.store.transition_session(question, SessionState.EXECUTING, reason="go on")
        except TransitionError as error:
            return _log_failure(error)
        return True

    async def _colleague_decides(self, question: str) -> bool:
        try:
            await self._colleague.decide(question, SessionState.CANCELLED, "not needed any more")
        except AcodeError as error:
            return _log_failure(error)
        return True

    async def _execute(self, sql: str) -> None:
        await asyncio.to_thread(self._server.execute, sql, database=DATABASE)


def _log_failure(error: AcodeError) -> bool:
    """Log a decision that failed, as when the user decided first. The next one is tried later. Always False."""
    log.warning("demo.colleague", code=error.code, reason=error.message)
    return False


def _direct_settings(settings: Settings, server: EmbeddedServer) -> Settings:
    """The settings with the server's own socket, for a worker that syncs only on request."""
    persistence = settings.persistence
    postgres = msgspec.structs.replace(persistence.postgres, host=str(server.folder))
    sync = msgspec.structs.replace(persistence.sync, enabled=False)
    return msgspec.structs.replace(
        settings, persistence=msgspec.structs.replace(persistence, postgres=postgres, sync=sync)
    )
