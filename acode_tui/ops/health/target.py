"""What is known of the team's database: from the worker that uses it, or from a connection of its own."""

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec

from acode_tui.config import Misconfigured, PostgresSettings, PostgresTarget, resolve_postgres
from acode_tui.domain.clock import WallClock
from acode_tui.domain.errors import AcodeError
from acode_tui.storage.ports import ProbeTarget


class TargetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """``answers``: whether it answered just now; ``drains``: whether a worker could send to it now.

    ``reason`` and ``hint`` say why not. ``clock_offset`` is its clock minus this machine's, in seconds.
    ``distributed``: whether Citus distributes the tables; None where only the worker was asked.
    """

    enabled: bool
    answers: bool = False
    drains: bool = False
    address: str | None = None
    schema_version: str | None = None
    clock_offset: float | None = None
    latency_ms: float | None = None
    distributed: bool | None = None
    reason: str = ""
    hint: str = ""


async def inspect_target(
    postgres: PostgresSettings,
    probe: ProbeTarget,
    *,
    wanted_version: str,
    seconds: float,
    wall: WallClock,
    environ: Mapping[str, str] = os.environ,
) -> TargetStatus:
    """The target's status, from one connection of its own. Never raises for a fault of the target or its settings."""
    if not postgres.enabled:
        return TargetStatus(enabled=False, reason="PostgreSQL is not enabled")
    address = resolve_postgres(postgres, environ)
    if isinstance(address, Misconfigured):
        return TargetStatus(enabled=True, reason=address.reason, hint=address.hint)
    return await inspect_address(address, postgres, probe, wanted_version=wanted_version, seconds=seconds, wall=wall)


async def inspect_address(
    address: PostgresTarget,
    postgres: PostgresSettings,
    probe: ProbeTarget,
    *,
    wanted_version: str,
    seconds: float,
    wall: WallClock,
) -> TargetStatus:
    """The same for an address that is known already."""
    try:
        facts = await probe(
            address,
            schema=postgres.schema,
            connect_timeout=min(postgres.connect_timeout_seconds, seconds),
            command_timeout=min(postgres.command_timeout_seconds, seconds),
            wall=wall,
        )
    except AcodeError as error:
        return TargetStatus(enabled=True, address=address.display, reason=error.message, hint=error.hint)
    return TargetStatus(
        enabled=True,
        answers=True,
        drains=not facts.read_only and facts.schema_version == wanted_version,
        address=address.display,
        schema_version=facts.schema_version,
        clock_offset=facts.clock_offset,
        latency_ms=facts.latency * 1000,
        distributed=facts.distributed,
        reason="the server is read-only" if facts.read_only else "",
        hint="point the address at the primary" if facts.read_only else "",
    )


class WorkerStatus(Protocol):
    """What the sync worker reports of itself."""

    @property
    def state(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def hint(self) -> str: ...
    @property
    def target(self) -> str | None: ...
    @property
    def schema_version(self) -> str | None: ...
    @property
    def latency_ms(self) -> float | None: ...
    @property
    def clock_offset_ms(self) -> float | None: ...


_AWAY = ("offline", "auth_failed", "misconfigured", "connecting", "stopped")
_DRAINING = ("idle", "syncing", "standby")


async def status_from_worker(ask: Callable[[], Awaitable[WorkerStatus]], *, enabled: bool) -> TargetStatus:
    """What a running worker knows of its target already; the server is not asked again."""
    try:
        worker = await ask()
    except AcodeError as error:
        return TargetStatus(enabled=enabled, reason=error.message, hint=error.hint)
    known = worker.schema_version is not None
    return TargetStatus(
        enabled=enabled,
        answers=enabled and known and worker.state not in _AWAY,
        drains=enabled and known and worker.state in _DRAINING,
        address=worker.target,
        schema_version=worker.schema_version,
        clock_offset=None if worker.clock_offset_ms is None else worker.clock_offset_ms / 1000,
        latency_ms=worker.latency_ms,
        reason=worker.reason or f"the worker is {worker.state}",
        hint=worker.hint,
    )
