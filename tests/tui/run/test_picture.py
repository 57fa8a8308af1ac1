"""Images are decoded within limits, and drawn with the real library."""

import io
import struct
import zlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acode_tui.tui.run.artifact import ArtifactScreen
from acode_tui.tui.run.picture import MAX_BYTES, PictureError, decode, draw
from acode_tui.tui.terminal_images import TerminalImages
from acode_tui.tui.widgets.text_view import TextView
from tests.tui.driving import over, shown, until
from tests.tui.fake import FakeWorkspace
from tests.tui.run.test_screen import open_session, tool_calls

pytest.importorskip("textual_image", reason="the extra `images` is not installed")
from PIL import Image

RED = (255, 0, 0)


def made(format: str, size: tuple[int, int] = (40, 20)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, RED).save(file, format)
    return file.getvalue()


FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
MADE = {format: made(format) for format in FORMATS}


def bomb(side: int) -> bytes:
    """A PNG of so many pixels a side in some bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("format", FORMATS)
def test_each_format_is_drawn_each_way(format: str) -> None:
    picture = decode(MADE[format])
    for drawing, columns, rows in (("sixel", 4, 1), ("kitty", 4, 1), ("blocks", 40, 10)):
        drawn = draw(picture, TerminalImages(drawing, (10, 20)), (76, 18), (0, 0, 0))  # type: ignore[arg-type]
        assert (drawn.columns, drawn.rows) == (columns, rows)
        assert (len(drawn.strips), bool(drawn.sixels)) == ((0, True) if drawing == "sixel" else (rows, False))
        assert (drawn.before.startswith("\x1b_G"), drawn.after.startswith("\x1b_Ga=d")) == (drawing == "kitty",) * 2
    narrow = draw(picture, TerminalImages("blocks"), (8, 18), (0, 0, 0))
    assert (narrow.columns, narrow.rows) == (8, 2)
    with pytest.raises(PictureError, match="cannot be made out"):
        draw(picture, TerminalImages("blocks"), (3, 18), (0, 0, 0))


def test_what_is_too_large_or_of_another_format_is_not_decoded() -> None:
    for data, reason in (
        *((bomb(side), "more than 25,000,000 pixels") for side in (5_001, 10_000, 60_000)),
        (b"\x89PNG" + bytes(MAX_BYTES), "more than the 20.0 MB that are decoded"),
        (made("BMP"), "is no PNG, JPEG, GIF or WebP"),
        (made("TIFF"), "is no PNG, JPEG, GIF or WebP"),
    ):
        with pytest.raises(PictureError, match=reason):
            decode(data)


@settings(max_examples=25)
@given(format=st.sampled_from(FORMATS), data=st.data())
def test_a_damaged_image_is_a_picture_or_one_sentence(format: str, data: st.DataObject) -> None:
    content = bytearray(MADE[format])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    reason = ""
    try:
        decode(bytes(content[: data.draw(st.integers(0, len(content)))]))
    except PictureError as error:
        reason = str(error)
    assert "\n" not in reason
    assert len(reason) < 120


async def test_the_viewer_shows_an_image_its_bytes_and_why_one_is_not_drawn(fake: FakeWorkspace) -> None:
    async with over(fake, images=TerminalImages("blocks")).run_test(size=(100, 30)) as pilot:
        await open_session(pilot)
        image, damaged = (
            msgspec.structs.replace(each, content_type="image/png") for each in tool_calls(pilot)[2].artifacts[:1] * 2
        )
        fake.store.contents[image.id] = MADE["PNG"]
        pilot.app.push_screen(ArtifactScreen(image))
        await until(pilot, lambda: "▀" * 40 in shown(pilot))
        assert "40 x 20" in shown(pilot)
        await pilot.press("i")
        await until(pilot, lambda: "89 50 4e 47" in shown(pilot).lower())
        await pilot.press("i")
        await until(pilot, lambda: "▀" * 40 in shown(pilot))
        await pilot.press("escape")
        fake.store.contents[damaged.id] = MADE["PNG"][:60]
        pilot.app.push_screen(ArtifactScreen(damaged))
        await until(pilot, lambda: "not drawn: it is damaged" in shown(pilot))
        assert pilot.app.screen.query_one(TextView).has_focus
