"""The widget that shows a picture in a frame; it is drawn in a thread, again for each size of the frame."""

from typing import TYPE_CHECKING

from rich.control import Control
from rich.segment import ControlType, Segment
from rich.style import Style
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Container
from textual.events import Resize
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from acode_tui.tui.dashboard_app import DashboardGetter
from acode_tui.tui.messages import PictureRefused
from acode_tui.tui.run.picture import Drawn, PictureError, draw

if TYPE_CHECKING:
    from PIL.Image import Image

_NO_STYLE = Style()
# Rich leaves a segment with a control as it is.
_AS_IT_IS = ((ControlType.CURSOR_FORWARD, 0),)


class _Picture(Widget):
    """The drawn picture, exactly as large as it is."""

    def __init__(self) -> None:
        super().__init__()
        self._drawn: Drawn | None = None

    def show(self, drawn: Drawn) -> None:
        self._send(self._drawn.after if self._drawn is not None else "")
        self._send(drawn.before)
        self._drawn = drawn
        self.styles.width, self.styles.height = drawn.columns, drawn.rows
        self.refresh(layout=True)

    def on_unmount(self) -> None:
        self._send(self._drawn.after if self._drawn is not None else "")

    def _send(self, sequences: str) -> None:
        driver = self.app._driver
        if sequences and driver is not None:
            driver.write(sequences)

    def render_line(self, y: int) -> Strip:
        drawn = self._drawn
        return drawn.strips[y] if drawn is not None and y < len(drawn.strips) else Strip.blank(self.size.width)

    def render_lines(self, crop: Region) -> list[Strip]:
        drawn = self._drawn
        if drawn is None or not drawn.sixels:
            return super().render_lines(crop)
        if crop.size != self.size or not self.screen.is_active:
            # Sixels are drawn whole: where something covers a part of them, the rest of the picture is left out.
            return [Strip.blank(crop.width) for _ in range(crop.height)]
        at = self.screen.find_widget(self).visible_region
        last = [
            Segment(Control.move_to(at.x, at.y).segment.text, _NO_STYLE),
            Segment(drawn.sixels, _NO_STYLE, _AS_IT_IS),
            Segment(Control.move_to(at.right, at.bottom).segment.text, _NO_STYLE),
        ]
        return [*(Strip([]) for _ in range(crop.height - 1)), Strip(last, crop.width)]


class PictureView(Container, can_focus=True):
    """A frame with a picture. Posts PictureRefused where it cannot be drawn."""

    dashboard = DashboardGetter()

    class Redrawn(Message):
        """The picture was drawn for the present size of the frame."""

        def __init__(self, drawn: Drawn) -> None:
            super().__init__()
            self.drawn = drawn

    def __init__(self, picture: "Image") -> None:
        super().__init__(id="picture", classes="frame")
        self._picture = picture

    def compose(self) -> ComposeResult:
        yield _Picture()

    def on_mount(self) -> None:
        width, height = self._picture.size
        self.border_title = f"{width} x {height}"

    @on(Resize)
    def _resized(self) -> None:
        self._draw()

    @work(group="draw", exclusive=True, exit_on_error=False)
    async def _draw(self) -> None:
        room = (self.content_size.width, self.content_size.height)
        if min(room) < 1:
            return
        colour = self.background_colors[1]
        ground = (colour.r, colour.g, colour.b)
        try:
            drawn = await self.dashboard.in_thread(draw, self._picture, self.dashboard.images, room, ground)
        except PictureError as error:
            self.post_message(PictureRefused(str(error)))
        else:
            self.post_message(self.Redrawn(drawn))

    @on(Redrawn)
    def _show(self, event: Redrawn) -> None:
        self.query_one(_Picture).show(event.drawn)
