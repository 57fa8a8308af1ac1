"""The dashboard over the demo, with a line that says so and a key that cuts the network."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult, RenderResult
from textual.binding import BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget

from acode_tui import logs
from acode_tui.config import Settings
from acode_tui.demo.demo import Demo, DemoStage, Options, demo_folder, sweep, temporary_folder
from acode_tui.demo.server import EmbeddedServer, end_server, installation, server_owner
from acode_tui.domain.display import clean
from acode_tui.tui.app import Dashboard
from acode_tui.tui.bindings import APP, DEMO
from acode_tui.tui.main.header import HeaderLine
from acode_tui.tui.main.screen import MainScreen
from acode_tui.tui.style.colour_depth import terminal_colours
from acode_tui.tui.style.text import styled

if TYPE_CHECKING:
    from acode_tui.tui.ports import WorkspaceOpener
    from acode_tui.tui.transcript_import import Importer

STAGE_LINES: dict[DemoStage, tuple[str, str]] = {
    DemoStage.STARTING: ("", "agents record; a PostgreSQL of the demo's own is being started"),
    DemoStage.LOCAL: ("", "local only; pip install 'acode-tui[embedded]' adds a team database"),
    DemoStage.FAILED: ("", "local only: the demo's PostgreSQL could not be used, l shows why"),
    DemoStage.ONLINE: ("n", "cuts the network: the agents go on, and the outbox fills"),
    DemoStage.CUT: ("n", "restores the network, which is cut: nothing is lost, it all waits"),
    DemoStage.RESTORED: ("n", "cuts the network, which is back: the outbox drains, oldest first"),
}


class DemoLine(Widget):
    """Says that this is the demo, and what its key does at the present stage."""

    ALLOW_SELECT = False
    DEFAULT_CSS = (
        "DemoLine { height: 1; padding: 0 1; background: $panel; text-wrap: nowrap; text-overflow: ellipsis; }"
    )

    def __init__(self, demo: Demo) -> None:
        super().__init__(id="demo")
        self._demo = demo
        self._drawn_stage: DemoStage | None = None

    def on_mount(self) -> None:
        self.set_interval(0.25, self.update_stage)

    def update_stage(self) -> None:
        """Draw again if the stage of the demo has changed."""
        if self._demo.stage is not self._drawn_stage:
            self._drawn_stage = self._demo.stage
            self.refresh()
            self.screen.refresh_bindings()

    def render(self) -> RenderResult:
        stage = self._demo.stage
        if stage is not self._drawn_stage:
            self.call_later(self.update_stage)  # the footer shows the stage too
        key, text = STAGE_LINES[stage]
        role = "$text-error" if stage is DemoStage.CUT else "$foreground"
        return Content.assemble(
            (" demo ", "bold $text-warning reverse"),
            "  ",
            (f"{key} " if key else "", "bold $text-primary"),
            styled(text, role),
        )


class DemoScreen(MainScreen):
    """The main screen, with the demo's line below the header."""

    def __init__(self, demo: Demo) -> None:
        super().__init__()
        self._demo = demo

    def compose(self) -> ComposeResult:
        for widget in super().compose():
            yield widget
            if isinstance(widget, HeaderLine):
                yield DemoLine(self._demo)


class DemoDashboard(Dashboard):
    """The dashboard over a demo, or over what ``opening`` opens in its place. It exits after ``seconds``, if given."""

    BINDINGS: ClassVar[list[BindingType]] = [*DEMO, *APP]

    def __init__(
        self,
        demo: Demo,
        settings: Settings,
        *,
        seconds: float | None = None,
        opening: "WorkspaceOpener | None" = None,
        **more: Any,
    ) -> None:
        super().__init__(demo.root, settings, opening=opening or demo.opening, **more)
        self.demo = demo
        self._seconds = seconds
        self._event_loop: asyncio.AbstractEventLoop | None = None
        demo.observe_with(self)

    @property
    def importer(self) -> "Importer":
        """Imports the transcripts beside the workspace: they are of made-up folders."""
        if self._importer is None:
            from acode_tui.tui.transcript_import import TranscriptImporter

            self._importer = TranscriptImporter(self.settings, everywhere=True)
        return self._importer

    def get_default_screen(self) -> Screen[Any]:
        return DemoScreen(self.demo)

    def on_mount(self) -> None:
        self._event_loop = asyncio.get_running_loop()
        if self._seconds is not None:
            self.set_timer(self._seconds, self.exit)

    def end(self, code: int) -> bool:
        """Exit, from a signal's handler; False if the dashboard is not running."""
        if self._event_loop is None or self._event_loop.is_closed():
            return False
        self._event_loop.call_soon_threadsafe(self.exit, code)
        return True

    def announce(self, title: str, text: str) -> None:
        self.notify(clean(text), title=title, timeout=10, markup=False)

    def report_error(self, error: BaseException) -> None:
        self.report(error)

    async def action_network(self) -> None:
        if self.demo.network is not None:
            await self.demo.toggle_network()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "network" and self.demo.stage is DemoStage.STARTING:
            return None
        if action == "network" and self.demo.stage in (DemoStage.LOCAL, DemoStage.FAILED):
            return False
        return super().check_action(action, parameters)


def run_demo(options: Options, *, local: bool = False, seconds: float | None = None, log_level: str = "info") -> int:
    """Run a demo until the user quits, remove its files, and return the exit code. Raises AcodeError, OSError."""
    folder = temporary_folder()
    owner = server_owner()
    sweep(folder, end=end_server, owners=frozenset({os.geteuid()} if owner is None else {os.geteuid(), owner}))
    installed = None if local else installation()
    with _exit_on_signals() as ends, ExitStack() as stack:
        home = stack.enter_context(demo_folder(folder))
        stack.enter_context(_demo_environment(home))
        server = None
        if installed is not None:
            server = EmbeddedServer(stack.enter_context(demo_folder(folder, owner=owner)), installed)
            stack.callback(server.stop)
        demo = Demo(home, server, options)
        settings = demo.prepare()
        logs.configure(demo.root / ".agent", level=log_level)
        stack.callback(logs.configure, None)
        app = DemoDashboard(demo, settings, seconds=seconds, terminal=terminal_colours(os.environ, settings.tui.colors))
        ends.append(app.end)
        code = app.run()
        if app.fatal_error is not None:
            raise app.fatal_error
    return code or app.return_code or 0


@contextmanager
def _demo_environment(home: Path, environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Hide the user's settings and PostgreSQL addresses from the demo: those of the environment and of the files."""
    kept = dict(environ)
    for name in kept:
        if name.startswith(("ACODE_", "PG")):
            del environ[name]
    for kind in ("CONFIG", "STATE", "DATA", "CACHE"):
        environ[f"XDG_{kind}_HOME"] = str(home / kind.lower())
    try:
        yield
    finally:
        environ.clear()
        environ.update(kept)


@contextmanager
def _exit_on_signals() -> Iterator[list[Callable[[int], bool]]]:
    """SIGTERM and SIGHUP end the demo as ``q`` does: by a function in the list that answers True, else at once."""
    ends: list[Callable[[int], bool]] = []

    def end(number: int, frame: FrameType | None) -> None:
        for other in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(other, signal.SIG_IGN)
        if not any(leave(128 + number) for leave in ends):
            raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield ends
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
