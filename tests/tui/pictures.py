"""Takes each state of a screen as pictures: an SVG with every theme at the usual size, plain text at two other sizes.

One running dashboard is driven from state to state. In each state the terminal is resized and the theme changed;
the dashboard is not started again. ``snapshots/`` keeps one file per state and size: colours are compared in the SVG,
the text of the other sizes can be reviewed in a diff. Differences are collected and reported together at the end.
"""

import asyncio
import difflib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from pytest_textual_snapshot import SVGImageExtension  # type: ignore[import-untyped]
from rich.terminal_theme import SVG_EXPORT_THEME
from syrupy.assertion import SnapshotAssertion
from syrupy.location import PyTestLocation
from textual._context import visible_screen_stack
from textual.pilot import Pilot
from textual.screen import Screen, SystemModalScreen
from textual.strip import Strip
from textual.widgets import Input
from textual.worker import WorkerState

from acode_tui.config import TuiSettings
from acode_tui.tui.app import Dashboard
from tests.clocks import GUARD_SECONDS
from tests.tui.driving import SETTINGS, shown, until
from tests.tui.svg import PAPER, Look, picture

SMALL, USUAL, LARGE = (80, 24), (120, 36), (200, 60)
"""Columns and rows. A dashboard is driven at the usual size, of which an SVG is kept; the others are kept as text."""

SIZES = {USUAL: "svg", LARGE: "txt", SMALL: "txt"}
"""The file type that is kept for each size."""

THEMES = ("acode-night", "acode-day", "ansi-dark")
"""The themes of every SVG; a text has no colours and is taken in the first theme."""

RESTING = msgspec.structs.replace(SETTINGS, tui=TuiSettings(refresh_seconds=60, page_size=50))
"""Settings of a dashboard that does not look for changes by itself while its pictures are taken."""

MOST_LAYOUTS = 20
"""Limit of layout rounds for the screens behind a modal screen."""
SNAPSHOTS = Path(__file__).parents[2] / "snapshots"
REPORT = Path(__file__).parents[2] / "snapshot_report"
_THEME = re.compile(r'<g id="([^"]*)" (.*?)</g>\n(?=<g id=|</svg>)', re.DOTALL)
_PAGE = """<!doctype html><meta charset="utf-8"><title>{name}</title>
<style>body{{font:14px sans-serif;background:#888}}div{{display:flex;gap:1em}}svg{{width:49vw}}</style>
<p>{name}: the kept picture, and the present one.</p><div>{kept}{now}</div>
"""


class PictureExtension(SVGImageExtension):  # type: ignore[misc]
    """Keeps an SVG in the folder of its test module: syrupy relates a picture to its test by the folder's name."""

    file_extension = "svg"

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        return str(SNAPSHOTS / test_location.basename)


class TextExtension(PictureExtension):
    """The same for a plain text."""

    file_extension = "txt"


EXTENSIONS: dict[str, type[PictureExtension]] = {"svg": PictureExtension, "txt": TextExtension}


class Pictures:
    """Takes and compares the pictures of one running dashboard."""

    def __init__(self, pilot: Pilot[int], snapshot: SnapshotAssertion) -> None:
        self.pilot = pilot
        self._snapshots = {kind: snapshot.use_extension(extension) for kind, extension in EXTENSIONS.items()}
        self._differences: list[str] = []
        self._taken: set[Path] = set()
        self._loading = False

    @property
    def app(self) -> Dashboard:
        app = self.pilot.app
        assert isinstance(app, Dashboard)
        return app

    async def see(self, text: str, *keys: str) -> None:
        """Press the keys, then wait until the text is on the screen."""
        for key in keys:
            await self.pilot.press(key)
        try:
            await until(self.pilot, lambda: text in shown(self.pilot))
        except AssertionError:
            raise AssertionError(f"after {keys} {text!r} is not on\n{shown(self.pilot)}") from None

    async def changed(self, text: str) -> None:
        """Let the screens read what the test has changed, then wait until the text is on the screen."""
        self.app.refresh_screens()
        await self.see(text)

    async def take(self, name: str, themes: tuple[str, ...] = THEMES, *, loading: bool = False) -> None:
        """Take the present state in every size; ``themes`` are those of the SVG.

        ``loading`` is for a state in which a worker of the dashboard has not finished.
        """
        self._loading = loading
        before = self.app.theme
        for size, kind in SIZES.items():
            await self.pilot.resize_terminal(*size)
            # A busy machine may lay the screen out later than the resize is answered.
            await until(self.pilot, lambda wanted=size: self.app.screen._compositor.size == wanted)  # type: ignore[misc]
            state = f"{name} {size[0]}x{size[1]}"
            if kind == "svg":
                looks = [await self._look(theme) for theme in themes]
                self._compare(kind, state, picture(looks, screen=type(self.app.screen).__name__))
            else:
                self._compare(kind, state, plain_text((await self._look(themes[0])).lines))
        self.app.theme = before
        await self.pilot.resize_terminal(*USUAL)
        self.app.refresh()
        await self.pilot.pause()

    async def _look(self, theme: str) -> Look:
        self.app.theme = theme
        if isinstance(self.app.screen, SystemModalScreen):
            # Textual does not restyle its command palette: outside this test no theme can change while it is open.
            await self.pilot.pause()
            self.app.stylesheet.update(self.app.screen)
        await self._settled()
        return Look(theme, await self._lines(), PAPER if theme == "ansi-light" else SVG_EXPORT_THEME)

    async def _lines(self) -> list[Strip]:
        """The screen's lines, once they no longer change."""
        behind = self._behind
        drawn = [self._drawn()]
        # Textual lays out a screen behind a modal one in several rounds: its scrollbars appear and disappear.
        while behind and not (len(drawn) > 2 and drawn[-1] == drawn[-2] == drawn[-3]):
            assert len(drawn) < MOST_LAYOUTS, "the screens behind the modal one never stop changing"
            for screen in behind:
                screen._refresh_layout()
            await self._settled()
            drawn.append(self._drawn())
        return drawn[-1]

    def _drawn(self) -> list[Strip]:
        # The screens behind a modal one belong to the picture; the compositor finds them in this variable.
        visible_screen_stack.set(self.app._background_screens)
        return self.app.screen._compositor.render_strips()

    async def _settled(self) -> None:
        """Wait until the dashboard has no work left."""
        async with asyncio.timeout(GUARD_SECONDS):
            await self.pilot.pause()
            while self._at_work() and not self._loading:
                await self.pilot.pause()
        for line in self.app.screen.query(Input):
            line.cursor_blink = False
        await self.pilot.pause()

    @property
    def _behind(self) -> list[Screen[object]]:
        """The screens that are visible behind a modal screen."""
        return self.app._background_screens if self.app.screen.is_modal else []

    def _at_work(self) -> bool:
        return any(map(_unsettled, self._behind)) or any(
            worker.state in (WorkerState.PENDING, WorkerState.RUNNING) for worker in self.app.workers
        )

    def _compare(self, kind: str, name: str, now: str) -> None:
        snapshot = self._snapshots[kind]
        path = picture_path(snapshot.test_location, name, kind)
        self._taken.add(path)
        kept = path.read_text(encoding="utf-8") if path.exists() else ""
        if snapshot(name=name) != now:
            self._differences.append(
                f"{path.name}:\n{_text_diff(kept, now)}" if kind == "txt" else _picture_diff(path, name, kept, now)
            )

    def judge(self) -> None:
        """Fail if a picture differs from the kept one, or if the test no longer takes one that is kept."""
        assert not self._differences, "these pictures differ:\n" + "\n".join(self._differences)
        snapshot = self._snapshots["svg"]
        here = picture_path(snapshot.test_location, "*", "*")
        prefix = here.name.partition("[")[0] + "["
        surplus = {path for path in here.parent.iterdir() if path.name.startswith(prefix)} - self._taken
        if snapshot.session.update_snapshots:
            for path in surplus:
                path.unlink()
        else:
            assert not surplus, f"no test takes these any more: {sorted(path.name for path in surplus)}"


def picture_path(test: PyTestLocation, name: str, kind: str) -> Path:
    """The file of one state and size of a test."""
    return SNAPSHOTS / test.basename / f"{test.methodname}[{name}].{kind}"


def plain_text(lines: Sequence[Strip]) -> str:
    """The characters of a screen line by line, without trailing blanks."""
    return "".join(f"{line.text.rstrip()}\n" for line in lines)


def _text_diff(kept: str, now: str) -> str:
    return "\n".join(difflib.unified_diff(kept.split("\n"), now.split("\n"), "kept", "now", n=1, lineterm=""))


def _picture_diff(path: Path, name: str, kept: str, now: str) -> str:
    """Write a page that shows both pictures, and name the themes that differ."""
    REPORT.mkdir(exist_ok=True)
    page = REPORT / f"{path.stem}.html"
    page.write_text(_PAGE.format(name=name, kept=kept, now=now.replace(' id="', ' id="now ')), encoding="utf-8")
    return f"{path.name} ({', '.join(themes_that_differ(kept, now)) or 'all of it'}): {page}"


def _unsettled(screen: Screen[object]) -> bool:
    """Whether a screen behind a modal one has work left; a pilot waits for the screen on top only."""
    if screen._callbacks or screen.message_queue_size:
        return True
    return any(each.message_queue_size or each._layout_required for each in screen.query("*"))


def themes_that_differ(kept: str, now: str) -> list[str]:
    """The themes of an SVG whose drawings differ between the two files."""
    before, after = (dict(_THEME.findall(text)) for text in (kept, now))
    return [theme for theme, drawn in after.items() if before.get(theme) != drawn]


@asynccontextmanager
async def picturing(app: Dashboard, snapshot: SnapshotAssertion, *, toasts: bool = False) -> AsyncIterator[Pictures]:
    """Run a dashboard, and judge its pictures at the end; ``toasts`` says whether notifications are in them."""
    async with app.run_test(size=USUAL, notifications=toasts) as pilot:
        pictures = Pictures(pilot, snapshot)
        yield pictures
    pictures.judge()
