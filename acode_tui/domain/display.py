"""Makes recorded text safe to show. Treat everything an agent recorded as hostile until ``clean`` has processed it.

The result holds no control or escape character, no bidi control, no invisible character and nothing that a terminal
cannot encode. Such characters are replaced by their name (``<U+202E>``), not dropped; only the joiners and variation
selectors of ordinary emoji are dropped.
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
"""Characters that Python calls printable although they show nothing."""
_LINE_BREAK = re.compile("\r\n?")
_TAB = 8


class _Replacements(dict[int, str]):
    """A table for ``str.translate`` that computes the replacement of each code point once."""

    def __missing__(self, code: int) -> str:
        self[code] = replacement = _replacement(code)
        return replacement


def clean(text: str, *, max_chars: int | None = None, keep_newlines: bool = False) -> str:
    """Text that is safe to show, on one line unless ``keep_newlines``, of at most ``max_chars`` characters.

    Line breaks and tabs become spaces; with ``keep_newlines`` line breaks stay and tabs expand to the next multiple of
    eight columns. Truncated text ends in an ellipsis. Markup is not escaped: show the result as plain text.
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
    """The number of terminal columns that cleaned text occupies."""
    if text.isascii():
        return len(text)
    return sum(map(_char_width, text))


def fit(text: str, columns: int) -> str:
    """Cleaned text truncated to ``columns`` terminal columns, with an ellipsis if anything was cut."""
    if cell_width(text) <= columns:
        return text
    taken, width = [], 0
    for char in text:
        width += _char_width(char)
        if width > columns - 1:
            break
        taken.append(char)
    return "".join(taken) + ELLIPSIS[: max(columns, 0)]


def split_columns(text: str, columns: int, *, indent: int = 0) -> list[str]:
    """Cleaned text as lines of at most ``columns`` terminal columns; every line but the first is indented."""
    lines: list[str] = []
    taken: list[str] = []
    width = 0
    for char in text:
        room = _char_width(char)
        if taken and width + room > columns:
            lines.append("".join(taken))
            taken, width = [" " * indent], indent
        taken.append(char)
        width += room
    return [*lines, "".join(taken)]


def _clean_lines(text: str) -> str:
    lines = _LINE_BREAK.sub("\n", text).split("\n")
    return "\n".join(line.expandtabs(_TAB).translate(_ONE_LINE) for line in lines)


def _replacement(code: int) -> str:
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


_ONE_LINE = _Replacements()


def session_name(session: Session) -> str:
    """The name that lists show: the session's description.

    For a session imported from Codex it is the user's request instead, because the description may begin with context
    that the editor added.
    """
    metadata = session.metadata or {}
    request = metadata.get("request") if metadata.get("source") == "codex" else None
    return request if isinstance(request, str) and request.strip() else session.task_description
