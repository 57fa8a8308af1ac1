"""What a look at the workspace's health answers. Stored nowhere; shown by ``status``, the dashboard and diagnostics."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec


class HealthStatus(StrEnum):
    """From good to bad."""

    HEALTHY = "Healthy"
    DEGRADED = "Degraded"
    UNHEALTHY = "Unhealthy"


_ORDER = tuple(HealthStatus)


def worst(statuses: Iterable[HealthStatus]) -> HealthStatus:
    """The worst of them; healthy where there are none."""
    return max(statuses, key=_ORDER.index, default=HealthStatus.HEALTHY)


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one check found: a sentence, the numbers behind it, and what would help where something is wrong."""

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
    """All checks in a fixed order, and the worst status among them."""

    status: HealthStatus
    checks: tuple[HealthCheck, ...]
