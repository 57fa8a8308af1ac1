"""Looks up prices of models in genai-prices' bundled data: ``python -P -m acode_tui.ops.stats.price_lookup``.

Standard input is a JSON array of models, standard output what ``rates.Answer`` decodes. A process of its own, for the
data takes 30 MB and half a second to import, and the answers are kept. Nothing is fetched.
"""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any

from acode_tui.domain.figures import CONTEXTS, day_of

_EARLIEST = date(2020, 1, 1)
_NOON = time(12)


def main() -> None:
    models: list[str] = json.load(sys.stdin)
    json.dump({model: rates(model) for model in models}, sys.stdout)


def rates(model: str) -> list[list[float]] | None:
    """The rates of a model, None where none is known: from which day on, the context, and dollars a token."""
    from genai_prices import types

    found = _find(model)
    if found is None:
        return None
    info = found[1]
    starts = {_EARLIEST}
    if not isinstance(info.prices, types.ModelPrice):
        constraints = [each.constraint for each in info.prices]
        starts |= {each.start_date for each in constraints if isinstance(each, types.StartDateConstraint)}
    made: list[list[float]] = []
    for start in sorted(starts):
        moment = datetime.combine(start, _NOON, UTC)
        price = info.get_prices(moment)
        made += [[day_of(moment), context, *_a_token(price, context)] for context in (0, *CONTEXTS)]
    return made


def _a_token(price: Any, context: int) -> tuple[float, ...]:
    """Dollars for a token in a request of that context, in the order of ``Rate``."""
    from genai_prices import Usage

    count = context + 1

    def dollars(direction: str, **usage: int) -> float:
        return float(price.calc_price(Usage(input_tokens=count, **usage))[direction]) / count

    return (
        dollars("input_price"),
        dollars("output_price", output_tokens=count),
        dollars("input_price", cache_read_tokens=count),
        dollars("input_price", cache_write_tokens=count),
        # Where a model has no price of its own for them, the library takes that of other writes.
        dollars("input_price", cache_write_tokens=count, cache_write_1h_tokens=count),
    )


def _find(model: str) -> Any:
    """The provider and the model that a name means; a router's prefix is tried as one, and left out."""
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    for name, provider in _names(model):
        try:
            return snapshot.find_provider_model(name, None, provider, None)
        except LookupError:
            continue
    return None


def _names(model: str) -> Iterator[tuple[str, str | None]]:
    yield model, None
    provider, slash, name = model.partition("/")
    if slash:
        yield name, provider
        yield model.rpartition("/")[2], None
