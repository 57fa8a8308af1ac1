"""The user's own patterns, ``export.patterns``."""

from collections.abc import Iterator, Sequence
from typing import Any

from acode_tui.domain.errors import ConfigError, ValidationError
from acode_tui.domain.secrets.rules import Span

PATTERN_SECONDS = 5.0
"""Time limit of one pattern for one value."""


class CustomPattern:
    """One pattern of ``export.patterns``. Its kind is ``pattern-`` and its number, counted from 1."""

    def __init__(self, source: str, number: int, *, seconds: float | None = None) -> None:
        self.kind = f"pattern-{number}"
        self._number = number
        self._seconds = PATTERN_SECONDS if seconds is None else seconds
        self._pattern = _compiled(source, number)

    def find(self, text: str) -> Iterator[Span]:
        """The spans it matches. Raises ConfigError if the search exceeds the time limit."""
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
    """Compile the sources. Raises ValidationError for one that is not a usable pattern."""
    return tuple(CustomPattern(source, number, seconds=seconds) for number, source in enumerate(sources, 1))


def _compiled(source: str, number: int) -> Any:
    # Imported here because most workspaces have no patterns of their own.
    import regex

    try:
        pattern = regex.compile(source)
    except (regex.error, OverflowError, RecursionError) as error:
        raise ValidationError(f"pattern {number}", f"is not a regular expression: {error}") from None
    if pattern.match(""):
        raise ValidationError(f"pattern {number}", "matches empty text", hint="write + instead of *")
    return pattern
