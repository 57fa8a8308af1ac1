"""A run of 20,000 steps in the dashboard: opened in either view, and scrolled through.

Opening ends with the frame in which nothing on screen is a placeholder; a key ends with the frame that it changed. The
floor of opening is the same key on a run of one step, that of scrolling the same keys in a run of 40 steps.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

from msgspec.structs import replace
from textual import events
from textual.pilot import Pilot

import acode_tui
from acode_tui.config import IdentitySettings, Settings
from acode_tui.domain.codec import digest
from acode_tui.domain.entities import Artifact, SessionGraph, StepGraph
from acode_tui.domain.ids import new_id
from acode_tui.domain.states import ArtifactType
from acode_tui.storage.ports import RunStateReader
from acode_tui.tui.app import Dashboard
from acode_tui.tui.garbage import keep_present_objects
from acode_tui.tui.main.screen import MainScreen
from acode_tui.tui.ports import DashboardWorkspace
from acode_tui.tui.run.blocks import conversation_of
from acode_tui.tui.run.find_in_run import find_next
from acode_tui.tui.run.screen import SessionScreen
from acode_tui.tui.state import RunAs
from benchmarks.bench_hierarchy import make_graph
from benchmarks.result import Measure, at_most
from benchmarks.scale import sized
from benchmarks.timing import milliseconds, quantile

STEPS, QUICK_STEPS, FEW_STEPS = 20_000, 4_000, 40
KEYS = 300
SETTINGS = Settings(identity=IdentitySettings(user="bench@example.org"))
ANSWER = b"""The form refuses blank names **before** it submits:

- `validate()` runs first, and names the field;
- the server's answer is shown *below* it.

```python
def validate(form: Form) -> list[str]:
    return [name for name, value in form.items() if not value.strip()]
```
"""
VIEWS: dict[RunAs, str] = {"conversation": "as a conversation", "tree": "as a tree"}


def run() -> list[Measure]:
    return asyncio.run(_run())


async def _run() -> list[Measure]:
    steps = sized(STEPS, QUICK_STEPS)
    with TemporaryDirectory(prefix="acode-bench-") as name:
        async with acode_tui.open_workspace(name, settings=SETTINGS) as workspace:
            one, few, many = (
                _with_answers(make_graph(count, workspace.workspace_id, content_bytes=300))
                for count in (1, FEW_STEPS, steps)
            )
            for graph in (one, few, many):
                await workspace.store.save(graph)
            measures = [await _found_nowhere(workspace.store, many.id, steps)]
        for view, called in VIEWS.items():
            async with _dashboard(Path(name), view) as (app, pilot):
                opened = {graph.id: [await app.opened(pilot, graph.id) for _ in range(5)] for graph in (one, many)}
                floor = await app.scrolled(pilot, few.id)
                keys = await app.scrolled(pilot, many.id)
            measures += [
                at_most(
                    f"a run of {steps:,} steps opens {called}, to its first content, median",
                    milliseconds(opened[many.id]),
                    "ms",
                    150,
                ).beside(milliseconds(opened[one.id])),
                at_most(
                    f"key to frame in a run of {steps:,} steps {called}, 99th percentile",
                    quantile(keys, 0.99) * 1e3,
                    "ms",
                    33,
                ).beside(quantile(floor, 0.99) * 1e3),
            ]
    return measures


async def _found_nowhere(runs: RunStateReader, session_id: str, steps: int) -> Measure:
    """The processor time of a search in a run for a text that it does not have, so that all of it is read."""
    blocks = conversation_of(await runs.get_with_hierarchy(session_id), 100).blocks
    began = process_time()
    assert await find_next(runs, blocks, -1, 1, "no-answer-has-this", asyncio.to_thread) is None
    name = f"find in a run of {steps:,} steps, of a text that is nowhere, processor time"
    return at_most(name, (process_time() - began) * 1e3, "ms", 3_000)


@asynccontextmanager
async def _dashboard(folder: Path, view: RunAs) -> "AsyncIterator[tuple[_Watched, Pilot[int]]]":
    @asynccontextmanager
    async def opening() -> AsyncIterator[DashboardWorkspace]:
        async with acode_tui.open_workspace(folder, settings=SETTINGS, mode="dashboard") as opened:
            yield opened

    app = _Watched(folder, SETTINGS, opening=opening, freeze_objects=keep_present_objects)
    app.state.run_as = view
    async with app.run_test(size=(120, 36)) as pilot:
        while app.workspace is None or not app.main.sessions.table.row_count:
            await pilot.pause(0.01)
        await pilot.pause(1)  # the other screens' modules are loaded a moment after the first frame
        yield app, pilot


class _Watched(Dashboard):
    """A dashboard that measures the time until a frame is on screen for which a condition holds."""

    _waiting: "tuple[Callable[[], bool], asyncio.Future[float]] | None" = None

    @property
    def main(self) -> MainScreen:
        screen = self.screen_stack[0]
        assert isinstance(screen, MainScreen)
        return screen

    async def opened(self, pilot: Pilot[int], session_id: str) -> float:
        """Seconds from enter on a session to its first content; the screen is closed again."""
        seconds = await self._open(session_id)
        await pilot.press("escape")
        while isinstance(self.screen, SessionScreen):
            await pilot.pause(0.01)
        return seconds

    async def scrolled(self, pilot: Pilot[int], session_id: str) -> list[float]:
        """Seconds from each key that scrolls to its frame: by lines, by screens, to both ends."""
        await self._open(session_id)
        screen = self.screen
        assert isinstance(screen, SessionScreen)
        while screen.loading_more:
            await pilot.pause(0.01)
        chance, samples = random.Random(7), []
        down = True
        for number in range(KEYS):
            if _is_at_end(screen, down=down):
                down = not down
            far = number % 40 == 39 and not _is_at_end(screen, down=not down)
            key = ("pagedown", "pageup") if number % 3 else ("j", "k")
            await asyncio.sleep(chance.uniform(0.005, 0.02))
            pressed = ("G" if down else "g") if far else key[0 if down else 1]
            samples.append(await self._until(pressed, _place_changes(screen)))
        await pilot.press("escape")
        while isinstance(self.screen, SessionScreen):
            await pilot.pause(0.01)
        return samples

    async def _open(self, session_id: str) -> float:
        table = self.main.sessions.table
        table.move_cursor(row=table.row_keys.index(session_id))
        return await self._until("enter", lambda: _has_content(self, session_id))

    async def _until(self, key: str, holds: Callable[[], bool]) -> float:
        self._waiting = (holds, asyncio.get_running_loop().create_future())
        began = perf_counter()
        self.post_message(events.Key(key, None))
        async with asyncio.timeout(30):
            return await self._waiting[1] - began

    def post_display_hook(self) -> None:
        if self._waiting is not None and not self._batch_count:
            holds, painted = self._waiting
            if not painted.done() and holds():
                painted.set_result(perf_counter())


def _has_content(app: Dashboard, session_id: str) -> bool:
    screen = app.screen
    if not isinstance(screen, SessionScreen) or screen.run_view.session_id != session_id:
        return False
    if screen.run_view.graph is None:
        return False
    if screen.shown_as == "conversation":
        return screen.page.is_complete
    return screen.tree_page.run_tree.last_line > 0


def _place(screen: SessionScreen) -> object:
    if screen.shown_as == "conversation":
        return screen.page.cursor, screen.page.scroll_offset
    return screen.tree_page.run_tree.cursor_line


def _place_changes(screen: SessionScreen) -> Callable[[], bool]:
    before = _place(screen)
    return lambda: _place(screen) != before


def _is_at_end(screen: SessionScreen, *, down: bool) -> bool:
    if screen.shown_as == "conversation":
        page = screen.page
        layout = page.page_layout
        return page.cursor == (layout.last_shown() if down else layout.first_shown())
    tree = screen.tree_page.run_tree
    return tree.cursor_line >= tree.last_line if down else tree.cursor_line <= 0


def _with_answers(graph: SessionGraph) -> SessionGraph:
    """The same run with an answer in each step; every twentieth call failed."""
    return replace(
        graph,
        tasks=tuple(replace(task, steps=tuple(_with_answer(step) for step in task.steps)) for task in graph.tasks),
    )


def _with_answer(step: StepGraph) -> StepGraph:
    answer = Artifact(
        id=new_id(),
        session_id=step.session_id,
        task_id=step.task_id,
        step_id=step.id,
        type=ArtifactType.MODEL_RESPONSE,
        name="answer",
        content_hash=digest(ANSWER),
        content_type="text/markdown",
        size=len(ANSWER),
        created_at=step.created_at,
        updated_at=step.updated_at,
        content=ANSWER,
    )
    return replace(step, artifacts=(answer,))
