"""Decoding an image and drawing it for the terminal. Pure of the app: both run in a thread.

An image is part of a transcript, so it is a stranger's: four formats alone are decoded, each limited in bytes and
pixels, and whatever a decoder says of a damaged one becomes one sentence. Nothing here is imported before an image is
opened. The way to draw is known then, so the library's own questions to the terminal are kept from being asked: Textual
would take the answers for keys.
"""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.color import Color
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from acode_tui.domain.display import clean
from acode_tui.domain.quantities import number, size
from acode_tui.tui.terminal_images import TerminalImages

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES = 20_000_000
MAX_PIXELS = 25_000_000
"""A pixel takes three or four bytes while it is decoded. Photographs of a telephone have 12 million."""

CONTENT_TYPES = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WEBP"}
_KEPT = (2_000, 2_000)
"""The size that a larger image is reduced to, in pixels: more than a terminal shows."""

MOST_REDUCED = 10
"""By how much an image may be reduced to half cells, of which each is one pixel: beyond it nothing can be made out."""

_lock = threading.Lock()
_messages: list[str] = []
"""What the library wants to send to the terminal, while an image is drawn under the lock."""


class PictureError(ValueError):
    """Why an image is not drawn, as a clause."""


class Drawn(NamedTuple):
    """An image as it is drawn in ``columns`` and ``rows`` cells.

    ``before`` and ``after`` are sent to the terminal before it is shown and when it is not shown any more. Sixels have
    no strips.
    """

    columns: int
    rows: int
    strips: tuple[Strip, ...] = ()
    sixels: str = ""
    before: str = ""
    after: str = ""


def decode(data: bytes) -> "Image":
    """The first picture of an image, reduced to what a terminal may show. Raises PictureError."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    if len(data) > MAX_BYTES:
        raise PictureError(f"it has {size(len(data))}, more than the {size(MAX_BYTES)} that are decoded")
    too_many = f"it has more than {number(MAX_PIXELS)} pixels"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(data), formats=tuple(CONTENT_TYPES.values()))
        if opened.width * opened.height > MAX_PIXELS:
            raise PictureError(too_many)
        opened.draft("RGB", _KEPT)
        turned = ImageOps.exif_transpose(opened)
        picture = turned.convert("RGBA" if turned.has_transparency_data else "RGB")
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureError(too_many) from None
    except UnidentifiedImageError:
        raise PictureError("it is damaged, or is no PNG, JPEG, GIF or WebP") from None
    except Exception as error:  # noqa: BLE001 - a decoder raises whatever it meets in a damaged file
        raise PictureError(f"it is damaged: {clean(str(error), max_chars=80) or type(error).__name__}") from None
    picture.thumbnail(_KEPT)
    return picture


def draw(picture: "Image", images: TerminalImages, room: tuple[int, int], ground: tuple[int, int, int]) -> Drawn:
    """The picture in at most ``room`` columns and rows, on a ground of that colour. Raises PictureError."""
    drawing = images.drawing
    columns, rows = _cells(picture, images, room)
    if drawing == "blocks" and max(picture.width / columns, picture.height / (2 * rows)) > MOST_REDUCED:
        raise PictureError(
            f"its {picture.width} x {picture.height} pixels cannot be made out in {columns} x {rows} cells of text"
        )
    plain = _on_ground(picture, ground)
    if drawing == "blocks":
        return Drawn(columns, rows, strips=tuple(_half_cells(plain.resize((columns, 2 * rows)))))
    with _library(images) as library:
        if drawing == "sixel":
            scaled = plain.resize((columns * images.cell[0], rows * images.cell[1]))
            return Drawn(columns, rows, sixels=library.sixels(scaled))
        by_kitty = library.by_kitty(plain, columns, rows)
        strips = tuple(_strips(by_kitty, columns, rows))
        before = "".join(_messages)
        _messages.clear()
        by_kitty.cleanup()
        return Drawn(columns, rows, strips=strips, before=before, after="".join(_messages))


def _cells(picture: "Image", images: TerminalImages, room: tuple[int, int]) -> tuple[int, int]:
    """How many columns and rows the picture takes; it is not enlarged, except to one cell."""
    width, height = images.cell
    if images.drawing == "blocks":
        width, height = 1, 2
    scale = min(room[0] * width / picture.width, room[1] * height / picture.height, 1.0)
    columns, rows = round(picture.width * scale / width), round(picture.height * scale / height)
    return min(max(columns, 1), room[0]), min(max(rows, 1), room[1])


def _on_ground(picture: "Image", ground: tuple[int, int, int]) -> "Image":
    if picture.mode != "RGBA":
        return picture
    from PIL import Image

    behind = Image.new("RGBA", picture.size, (*ground, 255))
    return Image.alpha_composite(behind, picture).convert("RGB")


def _half_cells(picture: "Image") -> Iterator[Strip]:
    """Two rows of pixels in each row of cells: the upper one as the colour of a half block, the lower one behind it."""
    width, pixels = picture.width, picture.tobytes()
    colours = [Color.from_rgb(*pixels[at : at + 3]) for at in range(0, len(pixels), 3)]
    for top in range(0, len(colours), 2 * width):
        pairs = zip(colours[top : top + width], colours[top + width : top + 2 * width], strict=True)
        yield Strip([Segment("▀", Style.from_color(upper, lower)) for upper, lower in pairs], width)


def _strips(renderable: Any, columns: int, rows: int) -> Iterator[Strip]:
    console = Console(width=columns, height=rows, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    options = console.options.update(width=columns, height=rows)
    for segments in console.render_lines(renderable, options, pad=False)[:rows]:
        yield Strip(segments, columns)


class _Library:
    """What is used of textual-image."""

    def sixels(self, picture: "Image") -> str:
        from textual_image._sixel import image_to_sixels

        return str(image_to_sixels(picture))

    def by_kitty(self, picture: "Image", columns: int, rows: int) -> Any:
        from textual_image.renderable import tgp

        return tgp.Image(picture, columns, rows)


@contextmanager
def _library(images: TerminalImages) -> Iterator[_Library]:
    """The library, which asks and sends nothing by itself; one picture is drawn at a time."""
    with _lock:
        from textual_image import _terminal

        size = _terminal.CellSize(*images.cell)
        _terminal.get_cell_size._result = size  # type: ignore[attr-defined]
        _terminal.capture_terminal_response = _no_answer
        from textual_image.renderable import tgp

        tgp._send_tgp_message = _keep_message
        _messages.clear()
        yield _Library()
        _messages.clear()


@contextmanager
def _no_answer(*_: Any, **__: Any) -> Iterator[Any]:
    from textual_image import _terminal

    raise _terminal.TerminalError("the terminal is not asked while the app runs")
    yield


def _keep_message(*, payload: str | None = None, **values: int | str | None) -> None:
    """Keep a message of kitty's protocol, to be sent between two frames and not into one."""
    given = ",".join(f"{name}={value}" for name, value in values.items() if value is not None)
    _messages.append(f"\x1b_G{given}{f';{payload}' if payload else ''}\x1b\\")
