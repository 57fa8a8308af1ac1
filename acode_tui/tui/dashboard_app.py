"""The part of the app that screens, dialogs and widgets use. They import this Protocol, never ``tui/app.py``: the app
imports the screens, so the other direction would close an import circle.
"""

from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from textual.message_pump import MessagePump
from textual.signal import Signal
from textual.theme import Theme

from acode_tui.config import Settings
from acode_tui.domain.errors import AcodeError
from acode_tui.tui.actions import ActionHost, Actions
from acode_tui.tui.following import Following
from acode_tui.tui.layout import Layout
from acode_tui.tui.personal import PersonalFile
from acode_tui.tui.state import DashboardState
from acode_tui.tui.terminal_images import TerminalImages

if TYPE_CHECKING:
    from acode_tui.tui.transcript_import import Importer
    from acode_tui.workspace.first_page import FirstPage


class DashboardApp(ActionHost, Protocol):
    """The running dashboard, as its screens see it."""

    @property
    def root(self) -> Path:
        """The workspace's folder."""
        ...

    @property
    def settings(self) -> Settings: ...

    @property
    def zone(self) -> tzinfo | None:
        """The time zone that moments are shown in; None is the machine's own."""
        ...

    @property
    def state(self) -> DashboardState: ...

    @property
    def first_page(self) -> "FirstPage | None":
        """The page to show until the workspace is open."""
        ...

    @property
    def actions(self) -> Actions: ...

    @property
    def importer(self) -> "Importer": ...

    @property
    def following(self) -> Following: ...

    @property
    def personal(self) -> PersonalFile:
        """The user's saved queries and counts of commands."""
        ...

    @property
    def images(self) -> TerminalImages:
        """How the terminal draws images."""
        ...

    @property
    def theme_changed_signal(self) -> Signal[Theme]: ...

    def now(self) -> datetime:
        """The present moment of the app's clock."""
        ...

    async def pause(self, seconds: float) -> None:
        """Sleep in a worker, such as between the keys of a search."""
        ...

    def start_job(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Start a job that no closed screen cancels; False if a job under way excludes it."""
        ...

    def change_layout(self, **changes: Any) -> Layout:
        """Change fields of the layout, and keep it for the next start."""
        ...

    def copy(self, text: str, what: str, *, otherwise: str = "") -> bool:
        """Copy text to the terminal's clipboard; a toast says so, or why not and ``otherwise``."""
        ...

    def report(self, error: BaseException) -> None:
        """Show an error as a toast and log it."""
        ...

    def reporting(self) -> AbstractContextManager[None]:
        """Report an AcodeError that is raised inside, and go on."""
        ...

    def refresh_screens(self) -> None:
        """Have every live screen read again, covered ones too."""
        ...

    def watch_team(self) -> None:
        """Start or stop the timer that reads the team's runs again, as the runs' source says."""
        ...

    def apply_settings(self, settings: Settings) -> None:
        """Apply settings that the workspace has reloaded; the same object again changes nothing."""
        ...

    def ask_for_trust(self) -> None:
        """Ask whether the workspace's settings file is trusted, also if that was answered before."""
        ...

    def store_read_failed(self, error: AcodeError) -> None:
        """The workspace's file cannot be read now."""
        ...

    def store_read(self, write_error: AcodeError | None) -> None:
        """The workspace's file was read; ``write_error`` is why it cannot be written, None if it can."""
        ...


class DashboardGetter:
    """A class attribute ``dashboard = DashboardGetter()`` of a screen or widget gives its app as a DashboardApp."""

    def __get__(self, node: MessagePump, owner: type[MessagePump]) -> DashboardApp:
        return cast("DashboardApp", node.app)
