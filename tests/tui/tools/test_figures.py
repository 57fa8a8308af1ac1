"""The figures screen."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from acode_tui.domain.errors import IntegrityError
from acode_tui.domain.progress import Progress
from acode_tui.tui.main.screen import MainScreen
from acode_tui.tui.tools.plots import plot_text, series_of
from tests.tui.driving import main_screen, over, shown, until, until_listed
from tests.tui.fake import NOW, FakeWorkspace
from tests.tui.recorded import EMPTY_STATS, stats


async def test_keys_choose_what_is_summed_and_enter_shows_the_runs_behind_a_row(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("dollar_sign")
        await until(pilot, lambda: "$12.34" in shown(pilot) and "█" in shown(pilot))
        assert set(fake.asked) == {("since:2026-02-13", "day")}
        await pilot.press("b")
        await until(pilot, lambda: "claude-opus-4-5┤█" in shown(pilot))
        assert "no known price: a model of nobody" in shown(pilot)
        await pilot.press("s", "s")
        await until(pilot, lambda: fake.asked[-1] == ("", "model"))
        await pilot.press("s")
        await until(pilot, lambda: fake.asked[-1] == ("since:2026-03-08", "model"))
        await pilot.press("y")
        assert pilot.app.clipboard == "acode-tui stats since:2026-03-08 --by model"
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
        assert main_screen(pilot).browser.text == 'model:"gpt-5-codex" since:2026-03-08T00:00Z'
        # A search of the list applies, and a day is one in UTC.
        await pilot.press("dollar_sign")
        await until(
            pilot, lambda: fake.asked[-1] == ('model:"gpt-5-codex" since:2026-03-08T00:00Z since:2026-02-13', "day")
        )
        await until(pilot, lambda: "█" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
        assert main_screen(pilot).browser.text.endswith("since:2026-03-14T00:00Z before:2026-03-15T00:00Z")


async def test_it_says_what_it_waits_for_why_there_is_nothing_and_what_failed(fake: FakeWorkspace) -> None:
    fake.counting, fake.figures = Progress(done=37, total=100, unit="rows"), {}
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        await pilot.press("dollar_sign")
        await until(pilot, lambda: "not counted yet: 37 %" in shown(pilot))
        fake.counted.set()
        await until(pilot, lambda: "s shows other days" in shown(pilot))
        await pilot.press("s", "s")
        await until(pilot, lambda: "no runs yet" in shown(pilot))
        fake.figures = IntegrityError("the search index is missing", hint="acode-tui db search rebuild")
        await pilot.press("escape", "dollar_sign")
        await until(pilot, lambda: "acode-tui db search rebuild" in shown(pilot))


async def test_a_plot_that_was_being_drawn_does_not_replace_the_reason_why_there_is_none(
    fake: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end, ended = asyncio.Event(), asyncio.Event()
    app = over(fake)

    async def slowly(work: Callable[..., Any], *arguments: Any) -> Any:
        done = work(*arguments)
        if work is plot_text:
            await may_end.wait()
            ended.set()
        return done

    monkeypatch.setattr(app, "in_thread", slowly)
    async with app.run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("dollar_sign")
        await until(pilot, lambda: "$12.34" in shown(pilot))
        fake.figures = {}
        await pilot.press("R")
        await until(pilot, lambda: "no run fits" in shown(pilot))
        may_end.set()
        await until(pilot, ended.is_set)
        assert "no run fits" in shown(pilot)


def test_a_plot_has_every_day_and_fits_its_place() -> None:
    by_day = stats()["day"]
    span = NOW.date() - timedelta(days=89), NOW.date()
    series = series_of(by_day, "day", "runs", span)
    assert len(series.values) == 90
    assert sum(series.values) == by_day.sessions
    for by, given in stats().items():
        for width, height in ((20, 4), (76, 9), (58, 31), (98, 55)):
            lines = plot_text(given, by, "tokens", width, height).split("\n")
            assert len(lines) <= height
            assert max(map(len, lines)) <= width
            assert "\x1b" not in "".join(lines)
    assert plot_text(EMPTY_STATS, "day", "cost", 80, 20) == ""
