"""Regular expressions that configuration adds to what is redacted, each with a time limit.

Python's own ``re`` cannot be stopped once it has begun to backtrack; the ``regex`` package can, and speaks the same
dialect. A pattern that runs into its limit ends the work with its name: going on without it would let out what it was
there to hide.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from acode_tui.domain.errors import ConfigError, ValidationError

PATTERN_SECONDS = 5.0
"""Longest that one pattern may take over one value."""


class CustomPattern:
    """One pattern of ``export.patterns``. Its kind is ``pattern-`` and its number, from 1."""

    def __init__(self, source: str, number: int, *, seconds: float | None = None) -> None:
        self.kind = f"pattern-{number}"
        self._number = number
        self._seconds = PATTERN_SECONDS if seconds is None else seconds
        self._pattern = _compiled(source, number)

    def spots(self, text: str) -> Iterator[tuple[int, int]]:
        """Where it matches. Raises ConfigError where that takes too long."""
        try:
            for found in self._pattern.finditer(text, timeout=self._seconds):
                if found.end() > found.start():
                    yield found.span()
        except TimeoutError:
            raise ConfigError(
                f"export.patterns: pattern {self._number} took longer than {self._seconds:g} s on one value",
                hint="write it without nested repetitions such as (a+)+, or remove it",
            ) from None


def custom_patterns(sources: Sequence[str], *, seconds: float | None = None) -> tuple[CustomPattern, ...]:
    """The patterns of these sources. Raises ValidationError for one that cannot be used."""
    return tuple(CustomPattern(source, number, seconds=seconds) for number, source in enumerate(sources, 1))


def _compiled(source: str, number: int) -> Any:
    # Here, not above: most workspaces have no pattern of their own.
    import regex

    try:
        pattern = regex.compile(source)
    except (regex.error, OverflowError, RecursionError) as error:
        raise ValidationError(f"pattern {number}", f"is no regular expression: {error}") from None
    if pattern.match(""):
        raise ValidationError(f"pattern {number}", "matches where nothing is", hint="write + where it has *")
    return pattern
