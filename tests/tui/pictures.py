"""Takes every state of a screen as pictures: three sizes, and in each the dark theme, the light one and ANSI.

One running dashboard is driven from state to state; in each the terminal is resized and the theme changed, nothing is
started again. ``snapshots/`` keeps a file a state and size, the themes below one another; what differs is collected,
and told at the end with a page to look at.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
import pytest
from pytest_textual_snapshot import SVGImageExtension  # type: ignore[import-untyped]
from rich.terminal_theme import SVG_EXPORT_THEME
from syrupy.assertion import SnapshotAssertion
from textual._context import visible_screen_stack
from textual.pilot import Pilot
from textual.screen import Screen, SystemModalScreen
from textual.strip import Strip
from textual.widgets import Input
from textual.worker import WorkerState

from acode_tui.config import TuiSettings
from acode_tui.tui.app import Dashboard
from tests.tui.driving import SETTINGS, shown, until
from tests.tui.svg import PAPER, Look, picture

SMALL, USUAL, LARGE = (80, 24), (120, 36), (200, 60)
SIZES = (USUAL, LARGE, SMALL)
"""From the one that it is driven in."""

THEMES = ("acode-night", "acode-day", "ansi-dark")
RESTING = msgspec.structs.replace(SETTINGS, tui=TuiSettings(refresh_seconds=60, page_size=50))
"""A dashboard that looks for changes when it is told to."""
MOST_LAYOUTS = 20
"""Rounds in which the screens behind a modal one are laid out anew, at most."""
SNAPSHOTS = Path(__file__).parents[2] / "snapshots"
REPORT = Path(__file__).parents[2] / "snapshot_report"
_THEME = re.compile(r'<g id="([^"]*)" (.*?)</g>\n(?=<g id=|</svg>)', re.DOTALL)
_PAGE = """<!doctype html><meta charset="utf-8"><title>{name}</title>
<style>body{{font:14px sans-serif;background:#888}}div{{display:flex;gap:1em}}svg{{width:49vw}}</style>
<p>{name}: what is kept, and what is there now.</p><div>{kept}{now}</div>
"""


class Pictures:
    """Of one running dashboard."""

    def __init__(self, pilot: Pilot[int], snapshot: SnapshotAssertion) -> None:
        self.pilot = pilot
        self._snapshot = snapshot.use_extension(SVGImageExtension)
        self._differing: list[str] = []
        self._taken: set[str] = set()
        self._waiting = False

    @property
    def app(self) -> Dashboard:
        app = self.pilot.app
        assert isinstance(app, Dashboard)
        return app

    async def see(self, text: str, *keys: str) -> None:
        """Press keys, and wait for a text."""
        for key in keys:
            await self.pilot.press(key)
        try:
            await until(self.pilot, lambda: text in shown(self.pilot))
        except AssertionError:
            raise AssertionError(f"after {keys} {text!r} is not on\n{shown(self.pilot)}") from None

    async def changed(self, text: str) -> None:
        """Have the screens read what the test has changed, and wait for a text."""
        self.app.refresh_screens()
        await self.see(text)

    async def take(self, name: str, themes: tuple[str, ...] = THEMES, *, waiting: bool = False) -> None:
        """The present state in every size and theme; ``waiting`` for one in which a reader waits for its answer."""
        self._waiting = waiting
        before = self.app.theme
        with _painting_nothing():
            for size in SIZES:
                await self.pilot.resize_terminal(*size)
                looks = [await self._look(theme) for theme in themes]
                self._compare(f"{name} {size[0]}x{size[1]}", picture(looks, screen=type(self.app.screen).__name__))
            self.app.theme = before
            await self.pilot.resize_terminal(*USUAL)
        self.app.refresh()
        await self.pilot.pause()

    async def _look(self, theme: str) -> Look:
        self.app.theme = theme
        if isinstance(self.app.screen, SystemModalScreen):
            # Textual does not restyle its palette: no theme can change while it is open but here.
            await self.pilot.pause()
            self.app.stylesheet.update(self.app.screen)
        await self._settled()
        return Look(theme, await self._lines(), PAPER if theme == "ansi-light" else SVG_EXPORT_THEME)

    async def _lines(self) -> list[Strip]:
        """What is on the screen, once it stays so."""
        behind = self._behind
        drawn = [self._drawn()]
        # A screen that shows through another one is laid out by chance: its scrollbars come and go by and by.
        while behind and not (len(drawn) > 2 and drawn[-1] == drawn[-2] == drawn[-3]):
            assert len(drawn) < MOST_LAYOUTS, "what shows through never comes to rest"
            for screen in behind:
                screen._refresh_layout()
            await self._settled()
            drawn.append(self._drawn())
        return drawn[-1]

    def _drawn(self) -> list[Strip]:
        # What a modal screen lets through belongs to the picture. It is taken from the list while it is drawn.
        visible_screen_stack.set(self.app._background_screens)
        return self.app.screen._compositor.render_strips()

    async def _settled(self) -> None:
        """Let the dashboard work until it has nothing to do any more."""
        async with asyncio.timeout(20):
            await self.pilot.pause()
            while self._at_work() and not self._waiting:
                await self.pilot.pause()
        for line in self.app.screen.query(Input):
            line.cursor_blink = False
        await self.pilot.pause()

    @property
    def _behind(self) -> list[Screen[object]]:
        """The screens that show through the one on top."""
        return self.app._background_screens if self.app.screen.is_modal else []

    def _at_work(self) -> bool:
        return any(map(_unsettled, self._behind)) or any(
            worker.state in (WorkerState.PENDING, WorkerState.RUNNING) for worker in self.app.workers
        )

    # Comparing

    def _compare(self, name: str, now: str) -> None:
        self._taken.add(name)
        path = self._path(name)
        kept = path.read_text(encoding="utf-8") if path.exists() else ""
        if self._snapshot(name=name) == now:
            return
        REPORT.mkdir(exist_ok=True)
        page = REPORT / f"{path.stem}.html"
        page.write_text(_PAGE.format(name=name, kept=kept, now=now.replace(' id="', ' id="now ')), encoding="utf-8")
        self._differing.append(f"{name} ({', '.join(themes_that_differ(kept, now)) or 'all of it'}): {page}")

    def _path(self, name: str) -> Path:
        where = self._snapshot.test_location
        return SNAPSHOTS / where.basename / f"{where.methodname}[{name}].svg"

    def judge(self) -> None:
        """Fail if a picture differs from what is kept, or if one is kept that nothing takes any more."""
        assert not self._differing, "these look different:\n" + "\n".join(self._differing)
        here = self._path("*")
        kept = {path for path in here.parent.glob("*.svg") if path.name.startswith(here.name.partition("[")[0] + "[")}
        surplus = kept - {self._path(name) for name in self._taken}
        if self._snapshot.session.update_snapshots:
            for path in surplus:
                path.unlink()
        else:
            assert not surplus, f"nothing takes these any more: {sorted(path.name for path in surplus)}"


def _unsettled(screen: Screen[object]) -> bool:
    """Whether a screen behind a modal one has yet to write itself for its size: a pilot waits for the one on top."""
    if screen._callbacks or screen.message_queue_size:
        return True
    return any(each.message_queue_size or each._layout_required for each in screen.query("*"))


def themes_that_differ(kept: str, now: str) -> list[str]:
    before, after = (dict(_THEME.findall(text)) for text in (kept, now))
    return [theme for theme, drawn in after.items() if before.get(theme) != drawn]


@contextmanager
def _painting_nothing() -> Iterator[None]:
    """Textual paints each step on the way to a picture, at most of its cost; only the last one is looked at here."""
    paint = Screen._compositor_refresh

    def unless_on_top(screen: Screen[object]) -> None:
        if screen is not screen.app.screen:
            paint(screen)  # it paints nothing itself: it tells the one on top what shows through

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Screen, "_compositor_refresh", unless_on_top)
        yield


@asynccontextmanager
async def picturing(app: Dashboard, snapshot: SnapshotAssertion, *, toasts: bool = False) -> AsyncIterator[Pictures]:
    """Run a dashboard for its pictures, and judge them once it is left; ``toasts`` where those belong to them."""
    async with app.run_test(size=USUAL, notifications=toasts) as pilot:
        pictures = Pictures(pilot, snapshot)
        yield pictures
    pictures.judge()
