"""The port of figures: what runs took, by day, model, agent, project or tool."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, get_args

import msgspec

from acode_tui.domain.errors import ValidationError

By = Literal["day", "model", "agent", "project", "tool"]
KEYS: tuple[By, ...] = get_args(By)


def require_by(given: Any) -> By:
    """What to sum by. Raises ValidationError."""
    if given not in KEYS:
        raise ValidationError("by", f"must be one of {', '.join(KEYS)}")
    return given  # type: ignore[no-any-return]


class Tokens(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Numbers of tokens. ``input`` excludes what was read from the cache or written to it."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What of the runs counts for one key. A run counts on the day on which it began."""

    sessions: int = 0
    calls: int = 0
    failed: int = 0


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one key, model and price. ``context`` as in ``domain.figures``; ``cost`` is what transcripts say, in
    billionths of a US dollar. The price is that of ``day``, a day's number.
    """

    key: str
    day: int
    model: str
    context: int
    tokens: Tokens
    cost: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one question: counts by key, and the usage of each; ``sessions`` counts each run once."""

    counts: dict[str, Counts]
    usage: tuple[Usage, ...]
    sessions: int


PriceRow = tuple[str, int, int, float, float, float, float, float]
"""The price of a model as it is stored, for the order of runs by cost: the model, the first day on which it holds, the
context as in ``Usage``, and billionths of a US dollar a token of input, output, cache reads, cache writes and writes
that are kept for an hour.
"""


class RunFigures(Protocol):
    """Figures of the runs of one database. Days are UTC."""

    async def models(self) -> tuple[str, ...]:
        """The models that any run names, "" for usage whose model is not known."""
        ...

    async def figures(self, query: str, by: By, *, price_changes: Sequence[int] = ()) -> Figures:
        """The figures of the runs that a query finds, all with an empty one.

        ``since:`` and ``before:`` choose whole days: what was used on others is left out. ``price_changes`` are days on
        which a price changes: usage before and after one is not summed. By ``tool`` there is no usage. Raises
        ValidationError for what is no query.
        """
        ...
