"""Costs: a fixed table of rates, and the rates of the bundled prices against the prices themselves."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from acode_tui.domain.figures import CONTEXTS, GIVEN, NANO, ONE_HOUR, day_of
from acode_tui.ops.stats import price_lookup, rates
from acode_tui.ops.stats.rates import PriceList, Rate, cost_of, price_changes
from acode_tui.storage.ports import Tokens, Usage

RATES = {
    "m": (
        Rate(100, 0, 1e-6, 2e-6, 1e-7, 3e-6, 5e-6),
        Rate(100, 200_000, 2e-6, 4e-6, 2e-7, 6e-6, 1e-5),
        Rate(200, 0, 5e-7, 1e-6, 5e-8, 1e-6, 2e-6),
        Rate(200, 200_000, 1e-6, 2e-6, 1e-7, 2e-6, 4e-6),
    ),
    "free of price": None,
}


def usage(day: int, model: str = "m", context: int = 0, cost: int = 0) -> Usage:
    tokens = Tokens(input=1_000_000, output=100_000, cache_read=10_000_000, cache_write=10_000)
    return Usage(key="k", day=day, model=model, context=context, tokens=tokens, cost=cost)


def test_a_price_is_that_of_the_day_and_of_the_size_of_the_request() -> None:
    assert cost_of(usage(150), RATES) == pytest.approx(1 + 0.2 + 1 + 0.03)
    assert cost_of(usage(10), RATES) == cost_of(usage(150), RATES), "the first price stands for the days before it"
    assert cost_of(usage(150, context=200_000), RATES) == pytest.approx(2 * (1 + 0.2 + 1 + 0.03))
    assert cost_of(usage(150, context=128_000), RATES) == cost_of(usage(150), RATES)
    assert cost_of(usage(200), RATES) == pytest.approx(0.5 + 0.1 + 0.5 + 0.01)
    assert price_changes(RATES) == (200,)


def test_what_the_cache_keeps_for_an_hour_has_a_price_of_its_own() -> None:
    written = Tokens(cache_write=10_000)
    for context, price in ((0, 5e-6), (128_000, 5e-6), (200_000, 1e-5)):
        used = Usage(key="k", day=150, model="m", context=context + ONE_HOUR, tokens=written, cost=0)
        assert cost_of(used, RATES) == pytest.approx(10_000 * price)


def test_a_given_cost_wins_and_an_unknown_model_has_none() -> None:
    assert cost_of(usage(150, context=GIVEN, cost=3 * NANO), RATES) == 3
    assert cost_of(usage(150, "free of price", GIVEN, 3 * NANO), RATES) == 3
    assert cost_of(usage(150, "free of price"), RATES) is None
    assert cost_of(usage(150, "never heard of"), RATES) is None


@pytest.mark.parametrize(
    ("model", "priced_as"),
    [
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("gpt-5-codex", "gpt-5-codex"),
        ("gemini-2.5-pro", "gemini-2.5-pro"),
        ("o3", "o3"),
        ("anthropic/claude-opus-4-1", "claude-opus-4-1"),
        ("router/openai/gpt-5", "gpt-5"),
    ],
)
def test_rates_of_the_bundled_prices_price_a_request_as_the_library_does(model: str, priced_as: str) -> None:
    from genai_prices import Usage as Request
    from genai_prices import calc_price

    known = price_lookup.rates(model)
    assert known is not None
    for moment in (datetime(2025, 1, 2, tzinfo=UTC), datetime(2025, 8, 1, tzinfo=UTC)):
        for fresh in (5_000, 150_000, 400_000):
            request = Request(
                input_tokens=fresh + 3_000, output_tokens=700, cache_read_tokens=2_000, cache_write_tokens=1_000
            )
            exact = float(calc_price(request, priced_as, genai_request_timestamp=moment).total_price)
            used = Usage(
                key="k", day=day_of(moment), model=model, cost=0,
                context=max(each for each in (0, *CONTEXTS) if each < fresh + 3_000),
                tokens=Tokens(input=fresh, output=700, cache_read=2_000, cache_write=1_000),
            )  # fmt: skip
            assert cost_of(used, {model: [Rate(*each) for each in known]}) == pytest.approx(exact)  # type: ignore[arg-type]
            hour = Request(input_tokens=fresh, cache_write_tokens=fresh, cache_write_1h_tokens=fresh)
            exact = float(calc_price(hour, priced_as, genai_request_timestamp=moment).total_price)
            used = Usage(
                key="k", day=day_of(moment), model=model, tokens=Tokens(cache_write=fresh), cost=0,
                context=max(each for each in (0, *CONTEXTS) if each < fresh) + ONE_HOUR,
            )  # fmt: skip
            assert cost_of(used, {model: [Rate(*each) for each in known]}) == pytest.approx(exact)  # type: ignore[arg-type]
    assert price_lookup.rates("a model of nobody") is None


async def test_prices_are_looked_up_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prices = PriceList(tmp_path / "cache")
    assert await prices.rates([""]) == {}
    found = await prices.rates(["gpt-5", "nobody's"])
    assert found["gpt-5"]
    assert found["nobody's"] is None

    async def fail(models: object) -> None:
        raise OSError("no process can be started")

    monkeypatch.setattr(rates, "_look_up", fail)
    again = PriceList(tmp_path / "cache")
    assert await again.rates(["gpt-5", "nobody's", "claude-opus-4-1"]) == found, "one that is missing has no price now"
