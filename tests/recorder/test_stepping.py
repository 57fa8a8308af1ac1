"""A coroutine that runs without a task: it goes on where a task would, and is cancelled as a task is."""

import asyncio
from collections.abc import Callable

import pytest

from acode_tui.recorder.stepping import Stepping


class Log(list[str]):
    async def wait(self, future: "asyncio.Future[str]") -> None:
        self.append("begun")
        try:
            self.append(await future)
        except asyncio.CancelledError:
            self.append("cancelled")
            raise


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_it_runs_up_to_its_first_wait_at_once_and_on_when_that_is_over() -> None:
    log, future = Log(), asyncio.get_running_loop().create_future()
    Stepping(log.wait(future)).start()
    assert log == ["begun"]
    future.set_result("answered")
    await turns()
    assert log == ["begun", "answered"]


async def test_what_it_waits_for_may_be_a_task_a_lock_or_a_turn_of_the_loop() -> None:
    log, lock, ended = Log(), asyncio.Lock(), asyncio.Event()

    async def work(name: str) -> None:
        async with lock:
            await asyncio.create_task(turns())
            await asyncio.sleep(0)
            log.append(name)
        if name == "third":
            ended.set()

    for name in ("first", "second", "third"):
        Stepping(work(name)).start()
    await ended.wait()
    assert log == ["first", "second", "third"]


async def test_an_exception_of_what_it_waits_for_is_raised_there() -> None:
    log, future = Log(), asyncio.get_running_loop().create_future()

    async def work() -> None:
        try:
            await future
        except ValueError as error:
            log.append(str(error))

    Stepping(work()).start()
    future.set_exception(ValueError("refused"))
    await turns()
    assert log == ["refused"]


def cancelled_before(future: "asyncio.Future[str]", running: Stepping) -> None:
    running.cancel()


def cancelled_once_answered(future: "asyncio.Future[str]", running: Stepping) -> None:
    future.set_result("answered")
    running.cancel()


@pytest.mark.parametrize("cancel", [cancelled_before, cancelled_once_answered])
async def test_it_is_cancelled_where_it_waits(cancel: Callable[["asyncio.Future[str]", Stepping], None]) -> None:
    log, future = Log(), asyncio.get_running_loop().create_future()
    running = Stepping(log.wait(future))
    running.start()
    cancel(future, running)
    await turns()
    assert log == ["begun", "cancelled"]
