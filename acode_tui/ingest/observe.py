"""Observes how the records of a transcript are understood, for ``import --explain``. Off, it costs nothing a record.

A reader that decides by more than a record's type may say why with ``because``; all else is seen from what a record
changed in the run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol


class Observer(Protocol):
    """Receives what a reader does with each record, in order."""

    def begin_run(self, run: Any) -> None:
        """A session begins. Its draft is read after each record, and never changed."""
        ...

    def begin_timeline(self, timeline: Any) -> None:
        """The events of that session, likewise."""
        ...

    def begin_record(self, line: int, raw: bytes | None) -> None:
        """A record begins, and the one before has ended. ``raw`` is its JSON, where a line holds it."""
        ...

    def end_records(self) -> None:
        """The last record has ended; what changes from here on is not its doing."""
        ...

    def unknown(self, type_: str) -> None:
        """The current record, or a part of it, is of a type that the reader does not know."""
        ...

    def because(self, rule: str) -> None:
        """Why the current record is understood as it is: the field and its value."""
        ...

    def damaged(self, line: int, damage: str) -> None:
        """A line is no record, or not as a whole."""
        ...


_observer: ContextVar[Observer | None] = ContextVar("observer", default=None)


def observer() -> Observer | None:
    """Who observes, or None."""
    return _observer.get()


def because(rule: str) -> None:
    """Say why the current record is understood as it is, for readers that keep no observer of their own."""
    if (watching := _observer.get()) is not None:
        watching.because(rule)


@contextmanager
def observed(by: Observer) -> Iterator[None]:
    """Have ``by`` observe what is read within."""
    token = _observer.set(by)
    try:
        yield
    finally:
        _observer.reset(token)
