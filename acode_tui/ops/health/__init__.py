"""The health of a workspace: eight checks that run concurrently, change nothing and never raise. The worst counts."""

from acode_tui.ops.health.report import Finding, HealthCheck, HealthReport, HealthStatus
from acode_tui.ops.health.target import TargetLook, look_at_target, seen_by_worker
from acode_tui.ops.health.watch import HealthWatch

__all__ = [
    "Finding",
    "HealthCheck",
    "HealthReport",
    "HealthStatus",
    "HealthWatch",
    "TargetLook",
    "look_at_target",
    "seen_by_worker",
]
