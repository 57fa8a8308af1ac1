"""A thread pool whose work is recorded where it was submitted."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class RecordedExecutor(ThreadPoolExecutor):
    """A ``ThreadPoolExecutor``: work runs in a copy of the context of ``submit`` or ``map``, so that ``@tool`` finds
    the block around it. In a bare pool it runs outside any recording.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        context = copy_context()
        return super().submit(lambda: context.run(fn, *args, **kwargs))
