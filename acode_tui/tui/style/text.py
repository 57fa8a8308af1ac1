"""Recorded text on its way to the screen: cleaned, and never read as markup.

Everything shown that an agent, a transcript, a server or another process wrote goes through here.
"""

from typing import Any

import msgspec
from rich.text import Text
from textual.content import Content

from acode_tui.domain.display import clean, fit
from acode_tui.domain.errors import AcodeError

MAX_LINE_CHARS = 2_000
"""What one line shows at most; a longer one ends in an ellipsis."""


def line(value: str, columns: int | None = None) -> str:
    """Cleaned text on one line, cut to so many terminal columns."""
    if columns is None:
        return clean(value, max_chars=MAX_LINE_CHARS)
    return fit(clean(value, max_chars=columns + 1), columns)


def cell(value: str, style: str = "", *, right: bool = False) -> Text:
    """A table cell or tree label: plain, one line, cut with an ellipsis where it does not fit."""
    return Text(
        clean(value, max_chars=MAX_LINE_CHARS),
        style=style,
        no_wrap=True,
        overflow="ellipsis",
        justify="right" if right else "left",
        end="",
    )


def styled(value: str, style: str = "") -> Content:
    """A piece of one line in a pane."""
    return Content.styled(clean(value, max_chars=MAX_LINE_CHARS), style)


def block(value: str, style: str = "", *, max_chars: int = 20_000) -> Content:
    """Text of several lines, cut at ``max_chars`` characters."""
    return Content.styled(clean(value, max_chars=max_chars, keep_newlines=True), style)


def pretty_json(value: Any) -> str:
    """A JSON value over several lines, cleaned: control and bidi characters inside strings are shown by name."""
    if isinstance(value, str):
        return clean(value, keep_newlines=True)
    encoded = msgspec.json.format(msgspec.json.encode(value), indent=2)
    return clean(encoded.decode(), keep_newlines=True)


def told_fault(error: AcodeError) -> list[Content]:
    """A fault, a line a part."""
    said = [Content.assemble(("✗ ", "$text-error"), block(error.message, "$text-error", max_chars=1_000))]
    if error.hint:
        said += [Content(""), block(error.hint, "$foreground", max_chars=1_000)]
    return [*said, Content(""), styled(error.code, "$foreground-muted")]
