"""Text that a database can hold: NUL and lone surrogates are refused, or escaped so that they can be had back.

SQLite cuts text at NUL in places and neither tier stores lone surrogates; PostgreSQL refuses both.
The API refuses them by the field's name. Importers cannot refuse a transcript, so they escape: ``U+E000``
(private use) marks an escape, followed by four hex digits. A marker that was there already is escaped as
well, so ``unescape`` gives back exactly what ``escape`` was given.
"""

import re
from typing import Any

from acode_tui.domain.errors import ValidationError

MARK = "\ue000"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_ESCAPABLE = re.compile("[\x00\ud800-\udfff\ue000]")
_ESCAPED = re.compile(MARK + "([0-9a-f]{4})")


def is_storable(text: str) -> bool:
    """Whether both tiers can hold the text as it is."""
    # Of ASCII, which a string knows itself to be, NUL alone is refused: that is found ten times as fast.
    return "\x00" not in text if text.isascii() else _UNSTORABLE.search(text) is None


def require_storable(text: str, field: str) -> None:
    """Raise ValidationError naming the field if the text holds NUL or a lone surrogate."""
    found = _UNSTORABLE.search(text)
    if found is not None:
        what = "NUL" if found.group() == "\x00" else f"the lone surrogate U+{ord(found.group()):04X}"
        raise ValidationError(field, f"contains {what}, which a database text cannot hold", hint="remove or encode it")


def escape(text: str) -> str:
    """Storable text from any text; ``unescape`` is its inverse."""
    if ("\x00" not in text) if text.isascii() else (_ESCAPABLE.search(text) is None):
        return text
    return _ESCAPABLE.sub(lambda found: f"{MARK}{ord(found.group()):04x}", text)


def unescape(text: str) -> str:
    """The text that ``escape`` was given."""
    if MARK not in text:
        return text
    return _ESCAPED.sub(lambda found: chr(int(found.group(1), 16)), text)


def escape_json(value: Any) -> Any:
    """A JSON value with every string in it, keys too, escaped."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, dict):
        return {escape(str(key)): escape_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [escape_json(item) for item in value]
    return value
