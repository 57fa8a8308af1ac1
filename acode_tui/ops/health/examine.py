"""Runs the checks: side by side, each against its own clock, none able to raise or to hold up another."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from time import perf_counter
from typing import TypeVar

from acode_tui.domain.errors import AcodeError
from acode_tui.logs import get_logger
from acode_tui.ops.health.report import Finding, HealthCheck, HealthReport, HealthStatus, worst

T = TypeVar("T")
Look = Callable[[], Awaitable[Finding]]

log = get_logger("acode_tui.health")


async def examine(looks: Mapping[str, Look], *, seconds: float) -> HealthReport:
    """All findings, in the order of ``looks``. A look that takes longer than ``seconds`` is unhealthy."""
    checks = await asyncio.gather(*(_check(name, look, seconds) for name, look in looks.items()))
    return HealthReport(status=worst(check.status for check in checks), checks=tuple(checks))


async def _check(name: str, look: Look, seconds: float) -> HealthCheck:
    started = perf_counter()
    try:
        async with asyncio.timeout(seconds):
            found = await look()
    except TimeoutError:
        found = Finding(
            status=HealthStatus.UNHEALTHY,
            description=f"no answer within {seconds:g} s",
            details={"timeoutSeconds": seconds},
            suggestion="acode-tui diagnostics, or raise health.check_timeout_seconds",
        )
    except AcodeError as error:
        found = Finding(
            status=HealthStatus.UNHEALTHY,
            description=error.message,
            details={"code": error.code},
            suggestion=error.hint or "acode-tui diagnostics",
        )
    except OSError as error:
        found = Finding(
            status=HealthStatus.UNHEALTHY,
            description=f"cannot be looked at: {error.strerror or type(error).__name__}",
            suggestion="check the permissions of the workspace's folder",
        )
    except Exception as error:  # a defect in one must not hide what the others found
        log.error("health.defect", operation=name, exc_info=error)
        found = Finding(
            status=HealthStatus.UNHEALTHY,
            description=f"the check itself failed: {type(error).__name__}",
            suggestion="acode-tui diagnostics, and report it",
        )
    return HealthCheck(
        name=name,
        status=found.status,
        duration_ms=round((perf_counter() - started) * 1000, 2),
        description=found.description,
        details=found.details,
        suggestion=found.suggestion,
    )


async def unattended(work: Callable[[], T]) -> T:
    """``work()``, in a thread that nobody waits for: one that hangs, on a dead network drive for instance, must not
    keep the program from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(answer: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(answer)  # type: ignore[arg-type]

    def run() -> None:
        answer, fault = None, None
        try:
            answer = work()
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            fault = error
        with suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(settle, answer, fault)

    threading.Thread(target=run, name="acode-health", daemon=True).start()
    return await future
