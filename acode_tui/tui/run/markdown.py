"""Markdown as rows of segments: for text that an agent wrote, which is not trusted.

Nothing in the text is dropped or obeyed: HTML is shown as it was written, a link shows its address and is no link of
the terminal, an image is named, and a character that an entity (``&#27;``) stands for is not produced.
"""

import io
from collections.abc import Iterator
from functools import lru_cache

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Heading, ImageItem, Markdown
from rich.segment import Segment
from rich.text import Text
from rich.theme import Theme

from acode_tui.domain.display import clean
from acode_tui.tui.style.palette import Colours

MAX_CHARS = 60_000
"""The most characters that are parsed; more would take long, and the page shows their beginning only."""


class _LeftHeading(Heading):
    """A heading at the left edge, without a box."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        yield self.text


class _NamedImage(ImageItem):
    """An image in a text: its description and its address."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        name = self.text.plain if self.text else ""
        yield Text.assemble("▣ ", name, f" ({self.destination})" if self.destination else "")


class SafeMarkdown(Markdown):
    """Markdown whose HTML and entities are plain text."""

    elements = {**Markdown.elements, "heading_open": _LeftHeading, "image": _NamedImage}  # noqa: RUF012

    def __init__(self, text: str, *, dark: bool) -> None:
        super().__init__("", code_theme="ansi_dark" if dark else "ansi_light", hyperlinks=False)
        self.markup = text
        self.parsed = _parser().parse(text)


def markdown_rows(text: str, width: int, colours: Colours, *, dark: bool) -> list[list[Segment]]:
    """The rows of a text rendered for ``width`` columns, without padding. Slow for long texts: call it in a thread."""
    console = _console(colours)
    shown = SafeMarkdown(clean(text[:MAX_CHARS], keep_newlines=True), dark=dark)
    options = console.options.update(width=width)
    return list(_trimmed(console.render_lines(shown, options, pad=False)))


def _trimmed(rows: list[list[Segment]]) -> Iterator[list[Segment]]:
    """The rows with every segment clean, and without blank rows at both ends."""
    cleaned = [[_clean(segment) for segment in row if not segment.control] for row in rows]
    blank = ["".join(segment.text for segment in row).isspace() or not row for row in cleaned]
    shown = [at for at, empty in enumerate(blank) if not empty]
    if shown:
        yield from cleaned[shown[0] : shown[-1] + 1]


def _clean(segment: Segment) -> Segment:
    text = segment.text
    return segment if text.isprintable() else Segment(clean(text), segment.style)


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    return MarkdownIt().enable("strikethrough").enable("table").disable(["html_block", "html_inline", "entity"])


@lru_cache(maxsize=4)
def _console(colours: Colours) -> Console:
    def of(role: str, more: str = "") -> str:
        return f"{more} {getattr(colours, role)}".strip() or "none"

    theme = Theme(
        {
            "markdown.h1": of("busy", "bold underline"),
            "markdown.h2": of("busy", "bold"),
            **{f"markdown.h{level}": "bold" for level in range(3, 7)},
            "markdown.code": of("wait"),
            "markdown.code_block": of("plain"),
            "markdown.block_quote": of("quiet", "italic"),
            "markdown.item.bullet": of("busy"),
            "markdown.item.number": of("busy"),
            "markdown.hr": of("quiet"),
            "markdown.link": of("busy"),
            "markdown.link_url": of("quiet", "underline"),
            "markdown.table.border": of("quiet"),
            "markdown.table.header": "bold",
        }
    )
    return Console(
        file=io.StringIO(),
        width=80,
        color_system="truecolor",
        force_terminal=True,
        legacy_windows=False,
        theme=theme,
        markup=False,
        highlight=False,
        emoji=False,
        _environ={},
    )
