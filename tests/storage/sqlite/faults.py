"""A connection that fails at a statement of the test's choice and lists the statements it ran."""

import sqlite3
from dataclasses import dataclass, field
from typing import Any

import pytest

from acode_tui.storage.sqlite import connection
from acode_tui.storage.sqlite.connection import TimedConnection


@dataclass
class FaultPlan:
    """``fail_at`` counts statements from 1, ``fail_on`` names a part of one; None lets all pass.

    Statements count only while ``armed``.
    """

    fail_at: int | None = None
    armed: bool = False
    rollback_fails: bool = False
    fail_on: str | None = None
    seen: list[str] = field(default_factory=list)

    def arm(self, fail_at: int | None) -> None:
        self.armed, self.fail_at, self.seen = True, fail_at, []

    def disarm(self) -> list[str]:
        self.armed = False
        return self.seen

    def pass_by(self, sql: str) -> None:
        if not self.armed:
            return
        if self.rollback_fails and sql == "ROLLBACK":
            self.rollback_fails = False
            raise injected()
        self.seen.append(" ".join(sql.split()))
        if self.fail_on is not None and self.fail_on in sql:
            raise injected()
        if len(self.seen) == self.fail_at:
            raise injected()


def injected() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    error.sqlite_errorname = "SQLITE_IOERR"
    return error


def inject(monkeypatch: pytest.MonkeyPatch) -> FaultPlan:
    """Every connection opened from now on follows the plan."""
    plan = FaultPlan()

    class Faulty(TimedConnection):
        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            plan.pass_by(sql)
            return super().execute(sql, parameters)

        def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
            plan.pass_by(sql)
            return super().executemany(sql, parameters)

    monkeypatch.setattr(connection, "TimedConnection", Faulty)
    return plan
