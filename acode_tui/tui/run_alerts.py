"""Alerts the user when a run waits for approval, fails or ends while the dashboard is open.

The terminal's bell sounds, its title gets a mark until the user is back, and, if wanted, a desktop notice appears. What
counts is the last change of a run's state: one that is older than this dashboard, such as in an imported old run, and
one that was announced before, is silent. Of the runs that another run started, only a request for approval counts.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from textual import events

from acode_tui.config import Settings
from acode_tui.domain.display import session_name
from acode_tui.domain.entities import Session
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.states import SessionState
from acode_tui.logs import get_logger
from acode_tui.storage.ports import SessionFilter
from acode_tui.tui.style.palette import SESSION
from acode_tui.tui.terminal_notices import (
    BELL,
    KEEP_TITLE,
    RESTORE_TITLE,
    desktop_sequence,
    reads_osc,
    title_sequence,
)

if TYPE_CHECKING:
    from acode_tui.tui.ports import DashboardWorkspace

_log = get_logger("acode_tui.tui")

LOOK_SECONDS = 1.0
"""The time between two looks for commits. What happens between them is one alert."""

WORDS: Mapping[SessionState, str] = {
    SessionState.AWAITING_APPROVAL: "waits for approval",
    SessionState.FAILED: "failed",
    SessionState.CANCELLED: "was cancelled",
    SessionState.COMPLETED: "ended",
}
"""The states that are announced, the most urgent first."""

_DELAY = timedelta(minutes=5)
"""A change of state may be recorded so long after its time, as by a hook that waited for the workspace."""
_MOST = 50
"""The newest sessions that one look examines."""


class Alert(NamedTuple):
    """One run that was announced."""

    session_id: str
    state: SessionState
    name: str

    @property
    def label(self) -> str:
        return f"{SESSION[self.state].glyph} {WORDS[self.state]}"

    @property
    def severity(self) -> Literal["information", "warning", "error"]:
        if self.state is SessionState.FAILED:
            return "error"
        return "warning" if self.state is SessionState.AWAITING_APPROVAL else "information"


class AlertHost(Protocol):
    """The part of the app that alerts use."""

    @property
    def settings(self) -> Settings: ...

    def now(self) -> datetime: ...

    def show_alerts(self, alerts: Sequence[Alert]) -> None:
        """Show alerts, unless the screen shows the runs themselves."""
        ...


class RunAlerts:
    """The alerts of one dashboard. ``write`` sends a sequence to the terminal, and nothing where there is none."""

    def __init__(
        self, host: AlertHost, name: str, write: Callable[[str], None], environ: Mapping[str, str] = os.environ
    ) -> None:
        """``name`` names the workspace in the title and in notices."""
        self._host = host
        self._title = f"acode-tui {name}"
        self._write = write
        self._environ = environ
        self._has_title = reads_osc(environ)
        self._task: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()
        self._since: datetime | None = None
        self._version: int | None = None
        self._examined: dict[str, datetime] = {}
        self._announced: set[str] = set()
        self._marked: dict[str, SessionState] = {}
        self._focused: bool | None = None
        """Whether the terminal has the focus; None while it has not said so."""
        self._held = False
        """While another program has the terminal nothing is written."""
        self._unread = ""

    def begin(self, workspace: "DashboardWorkspace") -> None:
        """Announce what happens from now on."""
        self._since = self._host.now()
        if self._has_title:
            self._write(KEEP_TITLE)
            self._show_title()
        self._task = asyncio.create_task(self._watch(workspace), name="alerts")

    async def end(self) -> None:
        """Announce nothing more, and give the terminal its title back."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if self._has_title:
            self._write(RESTORE_TITLE)

    def hold(self, held: bool) -> None:
        """Write nothing while another program has the terminal."""
        self._held = held
        if not held:
            self._show_title()

    def attend(self, event: events.Event) -> None:
        """Note that the user is here: a key, a click, or the focus takes the mark from the title."""
        if isinstance(event, events.AppBlur):
            self._focused = False
            return
        if isinstance(event, events.AppFocus):
            self._focused = True
        elif not isinstance(event, events.Key | events.MouseDown):
            return
        if self._marked:
            self._marked.clear()
            self._show_title()

    async def _watch(self, workspace: "DashboardWorkspace") -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look(workspace)

    async def look(self, workspace: "DashboardWorkspace") -> None:
        """Announce what has happened since the last look. What cannot be read is looked at again."""
        try:
            async with self._looking:
                version = await workspace.data_version()
                if version != self._version:
                    alerts = await self._find(workspace)
                    self._version = version
                    if alerts:
                        self._announce(alerts)
            self._unread = ""
        except AcodeError as error:
            # The screen shows that the file cannot be read; this is for the log.
            if str(error) != self._unread:
                self._unread = str(error)
                _log.warning("dashboard.alerts_unread", code=error.code, error=str(error))

    async def _find(self, workspace: "DashboardWorkspace") -> list[Alert]:
        if self._since is None:
            return []
        floor = max(self._since, self._host.now() - _DELAY)
        self._examined = {id: at for id, at in self._examined.items() if at >= floor}
        page = await workspace.store.list(SessionFilter(states=tuple(WORDS), since=floor), limit=_MOST)
        alerts = []
        for session in page:
            if self._examined.get(session.id) == session.updated_at:
                continue
            if await self._is_news(workspace, session):
                alerts.append(Alert(session.id, session.state, session_name(session)))
            self._examined[session.id] = session.updated_at
        return sorted(alerts, key=lambda alert: list(WORDS).index(alert.state))

    async def _is_news(self, workspace: "DashboardWorkspace", session: Session) -> bool:
        if _parent(session) is not None and session.state is not SessionState.AWAITING_APPROVAL:
            return False
        changes = await workspace.store.get_events(session.id)
        if not changes or changes[-1].to_state is not session.state:
            return False
        last = changes[-1]
        if self._since is None or last.timestamp < self._since or last.id in self._announced:
            return False
        self._announced.add(last.id)
        return True

    def _announce(self, alerts: list[Alert]) -> None:
        self._marked |= {alert.session_id: alert.state for alert in alerts}
        tui = self._host.settings.tui
        self._send(BELL if tui.bell else "")
        if self._has_title:
            self._show_title()
            if self._focused is not True:
                self._send(desktop_sequence(tui.desktop_notice, self._title, _sentence(alerts), self._environ))
        self._host.show_alerts(alerts)

    def _show_title(self) -> None:
        if self._has_title:
            counts = {state: list(self._marked.values()).count(state) for state in WORDS}
            marks = [f"{SESSION[state].glyph} {count}" for state, count in counts.items() if count]
            self._send(title_sequence(" ".join((*marks, self._title))))

    def _send(self, sequence: str) -> None:
        if sequence and not self._held:
            self._write(sequence)


def _parent(session: Session) -> Any:
    return (session.metadata or {}).get("parentSessionId")


def _sentence(alerts: list[Alert]) -> str:
    first = f"{alerts[0].name[:80]} {WORDS[alerts[0].state]}"
    return f"{first}, and {len(alerts) - 1} more" if len(alerts) > 1 else first
