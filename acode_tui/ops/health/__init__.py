"""The health of a workspace: nine checks that run concurrently, change nothing and never raise. The worst counts."""

from acode_tui.ops.health.report import Finding, HealthCheck, HealthReport, HealthStatus
from acode_tui.ops.health.target import TargetStatus, inspect_target, status_from_worker
from acode_tui.ops.health.watch import HealthWatch

__all__ = [
    "Finding",
    "HealthCheck",
    "HealthReport",
    "HealthStatus",
    "HealthWatch",
    "TargetStatus",
    "inspect_target",
    "status_from_worker",
]
