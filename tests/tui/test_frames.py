"""When frames are drawn, and when garbage is collected: neither keeps a key waiting."""

import asyncio
import gc
import weakref

import pytest

from acode_tui.tui import frames, garbage
from acode_tui.tui.frames import FrameTimer
from tests.tui.driving import over, until_listed
from tests.tui.fake import FakeWorkspace


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_frame_is_drawn_at_once_and_the_next_one_a_while_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    failed: list[Exception] = []

    def draw() -> None:
        drawn.append(len(drawn))
        if len(drawn) == 3:
            raise ValueError("a defect")

    timer = FrameTimer(draw, failed.append)
    monkeypatch.setattr(frames, "FRAME_SECONDS", 3_600)
    timer.resume()
    timer.resume()
    await turns()
    assert drawn == [0], "asked for twice, drawn once, in the next turn of the loop"
    timer.resume()
    await turns()
    assert drawn == [0], "too soon after the last one"
    timer.pause()
    monkeypatch.setattr(frames, "FRAME_SECONDS", 0)
    await turns()
    assert drawn == [0], "paused"
    timer.resume()
    await turns()
    timer.resume()
    await turns()
    assert drawn == [0, 1, 2]
    assert [str(each) for each in failed] == ["a defect"]


class Loop:
    def __init__(self) -> None:
        self.itself = self


def test_all_objects_are_collected_only_while_the_user_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = weakref.ref(Loop())
    monkeypatch.setattr(gc, "get_count", lambda: (0, 0, 20))
    garbage.collect_if_due(garbage.IDLE_SECONDS - 0.1)
    assert kept() is not None
    monkeypatch.setattr(gc, "get_count", lambda: (0, 0, 19))
    garbage.collect_if_due(garbage.IDLE_SECONDS)
    assert kept() is not None
    monkeypatch.setattr(gc, "get_count", lambda: (0, 0, 20))
    garbage.collect_if_due(garbage.IDLE_SECONDS)
    assert kept() is None


async def test_a_key_begins_the_wait_for_a_collection_again(fake: FakeWorkspace) -> None:
    idle: list[float] = []
    app = over(fake, collect_garbage=idle.append)
    async with app.run_test() as pilot:
        await until_listed(pilot)
        app._last_input = -1_000.0
        app._look_for_garbage()
        await pilot.press("j")
        app._look_for_garbage()
    assert idle[0] > 1_000 > idle[1]
