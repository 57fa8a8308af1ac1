"""Long runs of letters and digits: what tokens, random keys and base64 have in common, and words do not."""

from collections.abc import Iterator

from acode_tui.domain.secrets.rules import Span

_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


LEAST = 20
"""The length of the shortest secret that is found as such a run."""
_CLASSES = bytes(97 if byte in _LETTERS + b"-_+/" else 32 for byte in range(256))
"""Maps the characters of tokens and of base64 to ``a``, all others to a space."""


def runs(data: bytes) -> Iterator[Span]:
    """The runs of at least ``LEAST`` letters, digits and the punctuation of tokens and base64.

    After the translation this is a search for a literal, which passes over short words at some 400 MB a second. An
    expression that counts characters reaches 80, because it tries every character of a word as the first.
    """
    classes = data.translate(_CLASSES)
    needle = b"a" * LEAST
    at = classes.find(needle)
    while at >= 0:
        end = classes.find(b" ", at + LEAST)
        if end < 0:
            end = len(classes)
        yield at, end
        at = classes.find(needle, end)
