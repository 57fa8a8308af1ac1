"""Marks what is found in a row that was drawn already."""

from collections.abc import Iterator

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip


def highlighted(strip: Strip, needle: str, style: Style) -> Strip:
    """The strip with every occurrence of a casefolded text in another style."""
    text = strip.text
    found = text.casefold()
    if needle not in found:
        return strip
    if len(found) != len(text):
        # A letter that casefolds to several shifts the positions: such a row is marked as a whole.
        return strip.apply_style(style)
    cuts: list[int] = []
    at = found.find(needle)
    while at >= 0:
        cuts += [cell_len(text[:at]), cell_len(text[: at + len(needle)])]
        at = found.find(needle, at + len(needle))
    pieces = strip.divide([*cuts, strip.cell_length])
    return Strip([segment for number, piece in enumerate(pieces) for segment in _styled(piece, style, number % 2 > 0)])


def _styled(piece: Strip, style: Style, marked: bool) -> Iterator[Segment]:
    for segment in piece:
        yield Segment(segment.text, (segment.style or Style()) + style) if marked else segment
