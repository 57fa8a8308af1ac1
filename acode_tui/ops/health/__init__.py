"""How a workspace is: eight checks that run side by side, change nothing and never raise. The worst of them counts."""

from acode_tui.ops.health.report import Finding, HealthCheck, HealthReport, HealthStatus
from acode_tui.ops.health.target import TargetLook, look_at_target, seen_by_worker
from acode_tui.ops.health.watch import HealthWatch, watch_from_outside

__all__ = [
    "Finding",
    "HealthCheck",
    "HealthReport",
    "HealthStatus",
    "HealthWatch",
    "TargetLook",
    "look_at_target",
    "seen_by_worker",
    "watch_from_outside",
]
