"""The health report and how its checks run. Stored nowhere; shown by ``status``, the dashboard and diagnostics."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from enum import StrEnum
from time import perf_counter
from typing import Any, TypeVar

import msgspec

from acode_tui.domain.errors import AcodeError
from acode_tui.logs import get_logger


class HealthStatus(StrEnum):
    """From good to bad."""

    HEALTHY = "Healthy"
    DEGRADED = "Degraded"
    UNHEALTHY = "Unhealthy"


_ORDER = tuple(HealthStatus)


ADVISORY = frozenset({"sqlite_library"})
"""Checks of what a user of a stock system cannot change at once: where they are degraded, they warn and no more."""


def worst(statuses: Iterable[HealthStatus]) -> HealthStatus:
    """The worst of them; healthy where there are none."""
    return max(statuses, key=_ORDER.index, default=HealthStatus.HEALTHY)


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one check found: a sentence, the numbers behind it, and what helps where something is wrong."""

    status: HealthStatus
    description: str
    details: dict[str, Any] = {}
    suggestion: str | None = None


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A finding by its check's name, and how long the check took, in milliseconds."""

    name: str
    status: HealthStatus
    duration_ms: float
    description: str
    details: dict[str, Any] = {}
    suggestion: str | None = None


class HealthReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All checks in a fixed order, and the worst status among them; a degraded one of ``ADVISORY`` does not count."""

    status: HealthStatus
    checks: tuple[HealthCheck, ...]


T = TypeVar("T")
RunCheck = Callable[[], Awaitable[Finding]]

log = get_logger("acode_tui.health")


async def examine(checks: Mapping[str, RunCheck], *, seconds: float) -> HealthReport:
    """Run the checks concurrently; findings keep their order. One that takes longer than ``seconds`` is unhealthy."""
    found = await asyncio.gather(*(_run(name, check, seconds) for name, check in checks.items()))
    counted = (each.status for each in found if not (each.name in ADVISORY and each.status is HealthStatus.DEGRADED))
    return HealthReport(status=worst(counted), checks=tuple(found))


async def _run(name: str, check: RunCheck, seconds: float) -> HealthCheck:
    started = perf_counter()
    try:
        async with asyncio.timeout(seconds):
            found = await check()
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
            description=f"cannot be examined: {error.strerror or type(error).__name__}",
            suggestion="check the permissions of the workspace's folder",
        )
    except Exception as error:  # a defect in one check must not hide the findings of the others
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


async def run_in_daemon_thread(work: Callable[[], T]) -> T:
    """The result of ``work()`` in a thread that the interpreter does not wait for.

    Work that hangs, on a dead network drive for instance, must not keep the program from ending.
    """
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
        except Exception as error:  # noqa: BLE001 - raised in the caller
            fault = error
        with suppress(RuntimeError):  # the loop has ended: the caller is gone
            loop.call_soon_threadsafe(settle, answer, fault)

    threading.Thread(target=run, name="acode-health", daemon=True).start()
    return await future
