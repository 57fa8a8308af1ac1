"""What a value looks like: a placeholder, a random string, a version."""

import re
from itertools import pairwise

_PLACEHOLDER = re.compile(
    r"(?i)\*+|x+|\.+|-+|#+|_+|<.*>|[$%{@!].*|none|null|nil|true|false|undefined|string|str|bytes|text|number|integer|int"
    r"|bool|boolean|object|any|unknown|buffer|required|optional|default|value|empty|hidden|redacted|masked"
    r"|(?:my|your|the|a|an|some|new|old|test|user|db)?[_ -]?(?:passw(?:or)?d|pass|pwd|pw|secret|token|key|credentials?)"
    r"|example|change[_-]?(?:me|it)|your\b.*|your[_-].*|my[_-].*|insert[_-].*|todo|fixme|foo|bar|baz|spam|eggs"
)
_VERSION = re.compile(r"[\^~<>=v]{0,2}\d{1,6}(?:\.\d{1,8}){1,4}[\w.+-]{0,40}")
_UUID = re.compile(r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEX = re.compile(r"(?:[0-9a-f]+|[0-9A-F]+)")
_PIECES = re.compile(r"[A-Za-z0-9]+")
_JUDGED = 128
"""Characters that are judged of a longer value."""
_CLASSES = str.maketrans(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", "a" * 26 + "A" * 26 + "0" * 10
)


def is_real(value: str) -> bool:
    """Whether a value is real and not a placeholder."""
    return _PLACEHOLDER.fullmatch(value) is None


def is_version(value: str) -> bool:
    """Whether a value is a version or a range of versions, as in a lock file."""
    return _VERSION.fullmatch(value) is not None


def is_uuid(value: str) -> bool:
    """Whether a value is a UUID, which most programs write for things that are not secret."""
    return _UUID.fullmatch(value) is not None


def is_hex(value: str) -> bool:
    """Whether a value has only hexadecimal digits of one case, as digests have."""
    return _HEX.fullmatch(value) is not None


def is_random(value: str, least: int = 12, every: int = 4) -> bool:
    """Whether the longest piece of a value, without punctuation, looks drawn at random.

    It changes between upper case, lower case and digits at least at one in ``every`` characters. Random base62 and
    hexadecimal change at every second, lower case with digits at every third; words joined by case or followed by a
    number at every sixth.
    """
    if len(value) < least:
        return False
    piece = max(_PIECES.findall(value, 0, _JUDGED), key=len, default="")
    if len(piece) * 4 < least * 3 and len(piece) < 16:
        return False
    classes = piece.translate(_CLASSES)
    if "0" not in classes or len(classes) == classes.count("0"):
        return False
    changes: int = sum(a != b for a, b in pairwise(classes))
    return changes * every >= len(classes)


def has_digit_or_sign(value: str) -> bool:
    """Whether a value is more than a word: it contains a digit, or punctuation that words and names do not."""
    return any(char.isdigit() for char in value) or any(char in "!#$%^&*+=@~?" for char in value)
