"""Prices of models: looked up once by a process of its own, then kept in the user's cache folder."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from acode_tui.domain.figures import GIVEN, NANO, ONE_HOUR
from acode_tui.files import make_private_folder, replacing
from acode_tui.home import cache_folder
from acode_tui.logs import get_logger
from acode_tui.plain_files import reading_plain
from acode_tui.processes import environment, python_command
from acode_tui.storage.figures_sum import FIRST_DAY
from acode_tui.storage.ports import PriceRow, Usage

LOOKUP_SECONDS = 30.0
_FORM = 2
"""The form of the kept file, a part of its name."""


class Rate(msgspec.Struct, frozen=True, array_like=True):
    """Dollars a token, from a day's number on, for requests of a context (see ``domain.figures``)."""

    start: int
    context: int
    input: float
    output: float
    cache_read: float
    cache_write: float
    cache_write_1h: float


Rates = Mapping[str, Sequence[Rate] | None]
"""By model its rates, ordered by start and context; None for a model that has no known price."""

Answer = dict[str, tuple[Rate, ...] | None]
_decode = msgspec.json.Decoder(Answer).decode

log = get_logger("acode_tui.ops")


def cost_of(usage: Usage, rates: Rates) -> float | None:
    """What usage costs in US dollars; None where its model has no known price. A given cost wins."""
    given = usage.cost / NANO
    tokens = usage.tokens
    if usage.context == GIVEN or not (tokens.input or tokens.output or tokens.cache_read or tokens.cache_write):
        return given
    known = rates.get(usage.model)
    if not known:
        return None
    # The first rate also stands for the days before it.
    day = max(usage.day, known[0].start)
    rate = next(each for each in reversed(known) if each.start <= day and each.context <= usage.context)
    of_write = rate.cache_write_1h if usage.context & ONE_HOUR else rate.cache_write
    return given + (
        tokens.input * rate.input
        + tokens.output * rate.output
        + tokens.cache_read * rate.cache_read
        + tokens.cache_write * of_write
    )


def total_cost(usage: Iterable[Usage], rates: Rates) -> float | None:
    """What all of some usage costs, of what has a known price; None where nothing of it has."""
    known = [cost for each in usage if (cost := cost_of(each, rates)) is not None]
    return sum(known) if known else None


def price_changes(rates: Rates) -> tuple[int, ...]:
    """The days on which the price of any of the models changes."""
    known = [of_model for of_model in rates.values() if of_model]
    return tuple(sorted({rate.start for of_model in known for rate in of_model if rate.start > of_model[0].start}))


def price_rows(models: Iterable[str], rates: Rates) -> list[PriceRow]:
    """The rates of the models as they are stored, in billionths of a dollar: the first also holds before its day."""
    rows: list[PriceRow] = []
    for model in models:
        for rate in (known := rates.get(model) or ()):
            start = FIRST_DAY if rate.start == known[0].start else rate.start
            reads, writes, writes_1h = rate.cache_read * NANO, rate.cache_write * NANO, rate.cache_write_1h * NANO
            rows.append((model, start, rate.context, rate.input * NANO, rate.output * NANO, reads, writes, writes_1h))
    return rows


class PriceList:
    """The rates of models, by the installed version of genai-prices."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._known: Answer | None = None

    async def rates(self, models: Iterable[str]) -> Rates:
        """The rates of these models. Where they cannot be looked up now, they have no known price."""
        if self._known is None:
            self._known = await asyncio.to_thread(self._load)
        missing = sorted({model for model in models if model} - self._known.keys())
        if missing:
            try:
                self._known |= await _look_up(missing)
                await asyncio.to_thread(self._store)
            except (OSError, TimeoutError, msgspec.MsgspecError) as error:
                log.warning("prices.unavailable", reason=str(error) or type(error).__name__)
        return self._known

    def _path(self) -> Path:
        folder = cache_folder() if self._folder is None else self._folder
        return folder / f"prices-{version('genai-prices')}-{_FORM}.json"

    def _load(self) -> Answer:
        try:
            with reading_plain(self._path()) as file:
                return _decode(file.read())
        except (OSError, msgspec.MsgspecError):
            return {}

    def _store(self) -> None:
        path = self._path()
        make_private_folder(path.parent)
        with replacing(path) as file:
            file.write(msgspec.json.encode(self._known))


async def _look_up(models: Sequence[str]) -> Answer:
    process = await asyncio.create_subprocess_exec(
        *python_command("from acode_tui.ops.stats.price_lookup import main; main()"),
        env=environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        found, _ = await asyncio.wait_for(process.communicate(msgspec.json.encode(models)), LOOKUP_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _decode(found)
