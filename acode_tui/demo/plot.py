"""What befalls the demo's team database: rules that refuse records for a while, and a colleague who disagrees."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import cycle
from pathlib import Path

import msgspec

from acode_tui.config import Settings
from acode_tui.demo.script import DEAD_LETTER, REFUSED_TOOL
from acode_tui.demo.server import DATABASE, EmbeddedServer, Network
from acode_tui.domain.errors import AcodeError, TransitionError
from acode_tui.domain.states import SessionState
from acode_tui.logs import get_logger
from acode_tui.storage.ports import SessionFilter
from acode_tui.workspace import Maintenance, Workspace, open_workspace


class Colleague:
    """The replica in ``folder``. Its way to the team's database is its own, and is never cut."""

    def __init__(self, folder: Path, settings: Settings, workspace_id: str) -> None:
        self._folder = folder
        self._settings = settings
        self._workspace_id = workspace_id
        self._joined = False

    async def catch_up(self) -> None:
        """Take over what the team's database has; the first time, a whole new file. Raises AcodeError."""
        if not self._joined:
            await asyncio.to_thread(self._folder.mkdir, 0o700, exist_ok=True)
            maintenance = Maintenance(self._folder, self._settings)
            await maintenance.recover(workspace_id=self._workspace_id, confirm=lambda plan: True)
            self._joined = True
            return
        async with open_workspace(self._folder, settings=self._settings) as workspace:
            await workspace.sync.sync_now()

    async def decide(self, session_id: str, state: SessionState, reason: str) -> None:
        """Change a session and send it. Raises AcodeError."""
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
_THAW = "ALTER TABLE tool_calls DROP CONSTRAINT deployments_are_frozen"
_KEEP_DUMPS = "DROP TRIGGER no_core_dumps ON artifacts"

_QUESTIONS = (
    "Roll the new checkout out to every shop",
    "Delete the orders of 2019 from the archive",
    "Rename the customer table in production",
    "Raise the rate limit of the public interface",
)
_ASKING = (
    (SessionState.PLANNING, "the request was read"),
    (SessionState.EXECUTING, "the plan was made"),
    (SessionState.AWAITING_APPROVAL, "somebody has to decide"),
)
_LOOK_SECONDS = 1.0
_SENT = 200
"""From so few pending records on, what happened before the demo is in the team's database."""

_OFFLINE_AFTER = 5
_ONLINE_AFTER = 12
"""Looks at the network after which the colleague decides: while it is cut, and for the first time while it is not."""

log = get_logger("acode_tui.demo")


class Plot:
    """Unfolds once the team's database is reached."""

    def __init__(
        self,
        workspace: Workspace,
        server: EmbeddedServer,
        network: Network,
        folder: Path,
        *,
        pause: Callable[[float], Awaitable[None]],
        tell: Callable[[str, str], None],
    ) -> None:
        """``folder`` is the colleague's; ``pause`` lets seconds of the demo's time pass; ``tell``: title and text."""
        self._pause = pause
        self._tell = tell
        self._workspace = workspace
        self._server = server
        self._network = network
        self._colleague = Colleague(folder, _direct(workspace.settings, server), workspace.workspace_id)
        self._questions = cycle(_QUESTIONS)
        self._question: str | None = None

    async def begin(self) -> None:
        """The rules, before anything is made that they refuse."""
        await self._rule(_RULES)

    async def unfold(self) -> None:
        """The colleague, and whatever happens while the network is cut; until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._rules_change())
            group.create_task(self._people())

    async def _rules_change(self) -> None:
        """The freeze of deployments ends, and what waited for that goes through by itself; the dead letter does not."""
        while not (await self._workspace.outbox.stats()).retrying:
            await self._pause(_LOOK_SECONDS)
        self._tell("retries", "The team's database refuses a deployment just now. r shows the record that waits.")
        while not (await self._workspace.outbox.stats()).failed:
            await self._pause(_LOOK_SECONDS)
        self._tell("dead letter", "It will never take a core dump. r shows it; retry it a minute from now.")
        await self._pause(40)
        await self._rule(_THAW)
        await self._rule(_KEEP_DUMPS)
        self._tell("retries", "The rules were lifted: what was refused goes at its next try. r, then R, retries all.")

    async def _people(self) -> None:
        """A colleague on another machine decides about sessions that are decided about here, too."""
        while (await self._workspace.outbox.stats()).pending > _SENT:
            await self._pause(_LOOK_SECONDS)
        looks = cut_for = 0
        met = False
        while True:
            await self._pause(_LOOK_SECONDS)
            looks += 1
            cut_for = 0 if self._network.is_up else cut_for + 1
            if self._question is None:
                self._question = await self._ask()
            elif cut_for == _OFFLINE_AFTER:
                await self._disagree_offline(self._question)
            elif looks >= _ONLINE_AFTER and self._network.is_up and not met:
                met = await self._disagree_online(self._question)

    async def _disagree_online(self, question: str) -> bool:
        """Both decide at the same moment: nothing gets through until both have. False if it did not come to that."""
        if not await self._is_known_to_both(question):
            return False
        async with self._network.held():
            if not (await self._colleague_decides(question) and await self._decide(question)):
                return False
        self._tell("conflict", "A colleague decided about the same session. c shows both versions and the winner.")
        return True

    async def _disagree_offline(self, question: str) -> None:
        """Here somebody decides without the network, and the colleague decides otherwise a little later."""
        if await self._is_known_to_both(question) and await self._decide(question):
            await self._pause(1)
            await self._colleague_decides(question)

    async def _ask(self) -> str:
        """A session of the plot's own, that waits for somebody to decide."""
        store = self._workspace.store
        wanted = next(self._questions)
        session = await store.create_session(wanted, metadata={"source": "claude-code"})
        await store.add_task(session.id, wanted)
        for state, reason in _ASKING:
            await store.transition_session(session.id, state, reason=reason)
        return session.id

    async def _is_known_to_both(self, question: str) -> bool:
        """Whether it is in the team's database as it is here, and the colleague has it from there."""
        page = await self._workspace.store.list(SessionFilter(states=(SessionState.AWAITING_APPROVAL,)), limit=50)
        found = next((session for session in page if session.id == question), None)
        if found is None:
            # The user decided.
            self._question = None
        if found is None or found.sync != "synced":
            return False
        try:
            await self._colleague.catch_up()
        except AcodeError as fault:
            return _missed(fault)
        return True

    async def _decide(self, question: str) -> bool:
        self._question = None
        try:
            await self._workspace.store.transition_session(question, SessionState.EXECUTING, reason="go on")
        except TransitionError as fault:
            return _missed(fault)
        return True

    async def _colleague_decides(self, question: str) -> bool:
        try:
            await self._colleague.decide(question, SessionState.CANCELLED, "not needed any more")
        except AcodeError as fault:
            return _missed(fault)
        return True

    async def _rule(self, sql: str) -> None:
        await asyncio.to_thread(self._server.execute, sql, database=DATABASE)


def _missed(fault: AcodeError) -> bool:
    """Somebody was in between, such as the user, or the team's database moved on while it was read: next time, then."""
    log.warning("demo.colleague", code=fault.code, reason=fault.message)
    return False


def _direct(settings: Settings, server: EmbeddedServer) -> Settings:
    """The same settings by the server's own socket, for a worker that only works when it is asked."""
    persistence = settings.persistence
    postgres = msgspec.structs.replace(persistence.postgres, host=str(server.folder))
    sync = msgspec.structs.replace(persistence.sync, enabled=False)
    return msgspec.structs.replace(
        settings, persistence=msgspec.structs.replace(persistence, postgres=postgres, sync=sync)
    )
