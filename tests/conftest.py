"""For all tests: profiles of the property tests, a clock that the test sets, and an empty workspace."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from acode_tui import logs
from acode_tui.config import IdentitySettings, Settings
from tests.clocks import TurnedClock
from tests.memory import folder_for_tests

if TYPE_CHECKING:
    from acode_tui.workspace import Workspace

pytest_plugins = ["tests.pg", "tests.pgbouncer"]

# The program is started some hundred times, and each start would compile its modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder_for_tests()))

_state = TemporaryDirectory(prefix="acode-state-", dir=folder_for_tests())
os.environ["XDG_STATE_HOME"] = os.environ["XDG_CACHE_HOME"] = _state.name
"""Approvals of settings files and looked up prices go there, those of subprocesses too, never into a real home."""

settings.register_profile(
    "ci", deadline=None, derandomize=True, max_examples=30, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", deadline=None, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")

PLAIN_SETTINGS = Settings(identity=IdentitySettings(user="ada@example.org"))
"""The defaults with a user name, so that git is not asked for one."""


@pytest.fixture(autouse=True)
def _log_is_shut_down() -> Iterator[None]:
    """A command that runs in the tests' process configures the process's log and leaves it, as at its own end."""
    yield
    logs.shut_down()


@pytest.fixture
def clock() -> TurnedClock:
    """A wall clock that does not move until the test moves it."""
    return TurnedClock()


@pytest.fixture
def plain_settings() -> Settings:
    return PLAIN_SETTINGS


@pytest.fixture
async def workspace(tmp_path: Path, clock: TurnedClock) -> "AsyncIterator[Workspace]":
    """An empty workspace in the test's own folder, on the test's clock."""
    from acode_tui.workspace import open_workspace

    async with open_workspace(tmp_path, wall=clock, settings=PLAIN_SETTINGS) as opened:
        yield opened
