"""Makes recorded text safe to show: what an agent recorded is hostile until it went through ``clean``.

Afterwards no control or escape character, no bidi control, no invisible character and nothing that a terminal
cannot encode is left. What was there is shown by name (``<U+202E>``) rather than dropped, but for the joiners and
variation selectors of ordinary emoji.
"""

import re
import unicodedata

from acode_tui.domain.entities import Session
from acode_tui.domain.validation import unescape

ELLIPSIS = "…"
_DROPPED = {0x200C, 0x200D, *range(0xFE00, 0xFE10)}
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
"""Characters that count as printable and yet show nothing."""
_LINE_BREAK = re.compile("\r\n?")
_TAB = 8


class _Shown(dict[int, str]):
    """What each code point is shown as, worked out once."""

    def __missing__(self, code: int) -> str:
        self[code] = shown = _show(code)
        return shown


def clean(text: str, *, max_chars: int | None = None, keep_newlines: bool = False) -> str:
    """Text that is safe to show, on one line unless ``keep_newlines``, of at most ``max_chars`` characters.

    Line breaks and tabs turn into spaces; with ``keep_newlines`` breaks stay and tabs reach to the next eighth column.
    Text that is cut ends in an ellipsis. Markup of any toolkit is left as it stands: show the result as plain text.
    """
    long = max_chars is not None and len(text) > 4 * max_chars
    if long and max_chars is not None:
        text = text[: 4 * max_chars]
    text = unescape(text)
    if not (text.isprintable() and _INVISIBLE.search(text) is None):
        text = _clean_lines(text) if keep_newlines else text.translate(_ONE_LINE)
    if max_chars is not None and (long or len(text) > max_chars):
        text = text[: max(max_chars - 1, 0)] + ELLIPSIS[:max_chars]
    return text


def cell_width(text: str) -> int:
    """How many terminal columns cleaned text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_char_width, text))


def fit(text: str, columns: int) -> str:
    """Cleaned text cut to so many terminal columns, with an ellipsis where it was cut."""
    if cell_width(text) <= columns:
        return text
    taken, width = [], 0
    for char in text:
        width += _char_width(char)
        if width > columns - 1:
            break
        taken.append(char)
    return "".join(taken) + ELLIPSIS[: max(columns, 0)]


def _clean_lines(text: str) -> str:
    lines = _LINE_BREAK.sub("\n", text).split("\n")
    return "\n".join(line.expandtabs(_TAB).translate(_ONE_LINE) for line in lines)


def _show(code: int) -> str:
    char = chr(code)
    if code in _DROPPED:
        return ""
    if _INVISIBLE.match(char):
        return f"<U+{code:04X}>"
    if char.isprintable():
        return char
    if char in "\n\r\t\v\f" or unicodedata.category(char) == "Zs":
        return " "
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"<U+{code:04X}>"


def _char_width(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


_ONE_LINE = _Shown()


def session_name(session: Session) -> str:
    """Its description; of an imported one what was asked for, where that begins with an editor's own words."""
    metadata = session.metadata or {}
    request = metadata.get("request") if metadata.get("source") == "codex" else None
    return request if isinstance(request, str) and request.strip() else session.task_description
