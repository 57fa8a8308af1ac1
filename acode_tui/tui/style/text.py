"""Text for the screen: cleaned of control characters, and never parsed as markup.

Every text on screen that was written by an agent, a transcript, a server or another process passes through here.
"""

from typing import Any

import msgspec
from rich.text import Text
from textual.content import Content

from acode_tui.domain.display import clean, fit
from acode_tui.domain.errors import AcodeError

MAX_LINE_CHARS = 2_000
"""The longest line that is shown; a longer one ends in an ellipsis."""


def line(value: str, columns: int | None = None) -> str:
    """Cleaned text on one line, truncated to ``columns`` terminal columns."""
    if columns is None:
        return clean(value, max_chars=MAX_LINE_CHARS)
    return fit(clean(value, max_chars=columns + 1), columns)


def cell(value: str, style: str = "", *, right: bool = False) -> Text:
    """A table cell or tree label: plain, one line, truncated with an ellipsis where it does not fit."""
    return Text(
        clean(value, max_chars=MAX_LINE_CHARS),
        style=style,
        no_wrap=True,
        overflow="ellipsis",
        justify="right" if right else "left",
        end="",
    )


def styled(value: str, style: str = "") -> Content:
    """Cleaned text on one line, in one style."""
    return Content.styled(clean(value, max_chars=MAX_LINE_CHARS), style)


def labelled(name: str, value: str, *, width: int) -> Content:
    """A value behind its muted name, which takes ``width`` columns."""
    return Content.assemble((f"{name:<{width}}", "$foreground-muted"), styled(value, "$foreground"))


def block(value: str, style: str = "", *, max_chars: int = 20_000) -> Content:
    """Cleaned text of several lines, truncated to ``max_chars`` characters."""
    return Content.styled(clean(value, max_chars=max_chars, keep_newlines=True), style)


def pretty_json(value: Any) -> str:
    """A JSON value, indented and cleaned: control and bidi characters inside strings are shown by name."""
    if isinstance(value, str):
        return clean(value, keep_newlines=True)
    encoded = msgspec.json.format(msgspec.json.encode(value), indent=2)
    return clean(encoded.decode(), keep_newlines=True)


def error_lines(error: AcodeError) -> list[Content]:
    """Message, hint and code of an error, with blank lines between them."""
    lines = [Content.assemble(("✗ ", "$text-error"), block(error.message, "$text-error", max_chars=1_000))]
    if error.hint:
        lines += [Content(""), block(error.hint, "$foreground", max_chars=1_000)]
    return [*lines, Content(""), styled(error.code, "$foreground-muted")]
