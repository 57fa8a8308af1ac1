"""The size of a run: whole, or quick for development. The runner sets it, scenarios read it."""

import os

_QUICK = "ACODE_BENCHMARKS_QUICK"


def set_quick(quick: bool) -> None:
    """Make every scenario of this process, and of those it starts, a quick one."""
    os.environ[_QUICK] = "1" if quick else "0"


def is_quick() -> bool:
    return os.environ.get(_QUICK) == "1"


def sized(whole: int, quick: int) -> int:
    """A count for this run."""
    return quick if is_quick() else whole
