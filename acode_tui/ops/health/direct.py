"""The health of a database that runs are recorded in without a workspace file."""

from collections.abc import Awaitable, Callable

from acode_tui.config import HealthSettings
from acode_tui.ops.health import rules
from acode_tui.ops.health.report import Finding, HealthReport, examine
from acode_tui.ops.health.target import TargetStatus


async def examine_database(
    inspect: Callable[[float], Awaitable[TargetStatus]], limits: HealthSettings, *, wanted_version: str
) -> HealthReport:
    """Whether it answers, has the schema ``wanted_version``, takes writes, and has the same time. Never raises.

    ``inspect`` is given the seconds that it may take.
    """
    target = await inspect(limits.check_timeout_seconds * 0.6)

    async def database() -> Finding:
        return rules.judge_direct_database(target, wanted_version)

    async def clock() -> Finding:
        return rules.judge_clock(target, limits)

    return await examine({"database": database, "clock_offset": clock}, seconds=limits.check_timeout_seconds)
