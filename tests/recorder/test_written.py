"""Threads and event loops that wait for a write go on when it is done, whenever they began to wait."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from acode_tui import recorder
from acode_tui.recorder import channel
from acode_tui.recorder.written import Written


async def test_threads_and_loops_go_on_when_it_is_set_and_not_before() -> None:
    written = Written()
    waited: list[bool] = []
    thread = threading.Thread(target=lambda: waited.append(written.wait(30.0)))
    thread.start()
    early, given_up = written.future(), written.future()
    given_up.cancel()
    assert not written.wait(0.0)
    assert not early.done()
    await asyncio.to_thread(written.set)
    await early
    thread.join(30.0)
    await written.future()
    assert waited == [True]
    assert written.wait(0.0)


def test_a_loop_that_is_closed_meanwhile_holds_up_no_other() -> None:
    written = Written()

    async def give_up() -> None:
        written.future()

    asyncio.run(give_up())
    written.set()
    assert written.wait(0.0)


def test_without_an_eventfd_the_loop_is_woken_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "eventfd", raising=False)
    opened = channel.Channel()
    try:
        monkeypatch.setattr(channel, "channel", lambda: opened)
        with recorder.session("recorded", tmp_path) as session:
            assert session.id is not None
        assert session.lost == 0
    finally:
        opened.end(30.0)
    assert not opened._thread.is_alive()
