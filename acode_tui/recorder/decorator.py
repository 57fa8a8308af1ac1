"""``@acode_tui.tool``: a function whose calls are recorded while a recording is under way.

A call belongs to the innermost open block of its context: asyncio tasks and ``asyncio.to_thread`` inherit theirs, bare
threads do not. Outside any recording the function is called and nothing else. The very object that it returns or raises
is passed on.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast, overload

from acode_tui.recorder.block import current
from acode_tui.recorder.run import Call, Run, Step, Task

P = ParamSpec("P")
R = TypeVar("R")


@overload
def tool(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def tool(*, name: str | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def tool(function: Callable[..., Any] | None = None, /, *, name: str | None = None) -> Any:
    """Record each call of a function, sync or async: its arguments by name, its result, or the exception it raises.

    Use as ``@tool`` or ``@tool(name="read_file")``. Raises TypeError for generator functions and classes, which have no
    single result; record those with ``step.tool(...)`` around their use.
    """
    if function is None:
        return lambda decorated: _recorded(decorated, name)
    return _recorded(function, name)


def _recorded(function: Callable[..., Any], name: str | None) -> Callable[..., Any]:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError("@tool cannot record a generator function: use `with step.tool(...)` around its use")
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"@tool records functions, not a {type(function).__name__}; put it below other decorators")
    plain = function.func if isinstance(function, functools.partial) else function
    called = name or getattr(plain, "__name__", None) or type(function).__name__
    signature = _signature(function)

    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004

        @functools.wraps(function)
        async def recorded_async(*args: Any, **kwargs: Any) -> Any:
            around = current()
            if around is None:
                return await function(*args, **kwargs)
            async with _call(around, called, _arguments(signature, args, kwargs)) as call:
                answer = await function(*args, **kwargs)
                call.result(answer)
                return answer

        return recorded_async

    @functools.wraps(function)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        around = current()
        if around is None:
            return function(*args, **kwargs)
        with _call(around, called, _arguments(signature, args, kwargs)) as call:
            answer = function(*args, **kwargs)
            call.result(answer)
            return answer

    return recorded


def _call(around: Any, name: str, parameters: Any) -> Call:
    return cast(Run | Task | Step | Call, around).tool(name, parameters)


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):
        return None


def _arguments(signature: inspect.Signature | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments by name, without the object that a method is called on."""
    if signature is None:
        return {"args": args, **kwargs}
    try:
        bound = dict(signature.bind(*args, **kwargs).arguments)
    except TypeError:
        # The function itself raises the error about them.
        return {"args": args, **kwargs}
    first = next(iter(signature.parameters), None)
    if first in ("self", "cls"):
        bound.pop(first, None)
    return bound
