"""Makes hundreds of short-lived dashboards in one process cheaper, without changing what they do."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from textual import _wait, constants
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.css.types import CSSLocation
from textual.screen import Screen

_parse_rules = Stylesheet._parse_rules
_parsed: dict[tuple[object, ...], list[RuleSet]] = {}


def _parse_rules_once(
    stylesheet: Stylesheet,
    css: str,
    read_from: CSSLocation,
    is_default_rules: bool = False,
    tie_breaker: int = 0,
    scope: str = "",
) -> list[RuleSet]:
    variables = frozenset(stylesheet._variables.items())
    key = (variables, css, read_from, is_default_rules, tie_breaker, scope)
    if key not in _parsed:
        _parsed[key] = _parse_rules(stylesheet, css, read_from, is_default_rules, tie_breaker, scope)
    return _parsed[key]


@contextmanager
def painting_nothing() -> Iterator[None]:
    """Skip Textual's painting, a third of what a dashboard costs here: tests and pictures read what is laid out."""
    paint = Screen._compositor_refresh

    def unless_on_top(screen: Screen[object]) -> None:
        if screen is not screen.app.screen:
            paint(screen)  # a screen behind paints nothing itself: it makes the screen on top draw it

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Screen, "_compositor_refresh", unless_on_top)
        yield


def make_textual_faster() -> None:
    """Parse the styles of each theme once in a process, turn animations off, and shorten the wait after a key.

    A key counts as handled when the dashboard was idle for 5 ms; Textual's 20 ms make the suite half as long again.
    """
    _wait.SLEEP_GRANULARITY = 1 / 200
    _wait.SLEEP_IDLE = 1 / 1000
    # A dashboard has thousands of small objects: frequent garbage collections find nothing to free.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    # pytest's plugins import Textual before the environment variable could be set.
    constants.TEXTUAL_ANIMATIONS = "none"  # type: ignore[misc]
    Stylesheet._parse_rules = _parse_rules_once  # type: ignore[method-assign, assignment]
