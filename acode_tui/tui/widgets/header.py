"""The line at the top: name, workspace, schema, sync state, last sync, time of day. It drops what does not fit."""

from datetime import datetime, tzinfo
from pathlib import Path

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from acode_tui.tui.palette import CONTENT_STYLE, SYNC
from acode_tui.tui.state import Overview
from acode_tui.tui.text import line, styled
from acode_tui.tui.times import ago, clock


def short_path(path: Path, columns: int, home: Path | None = None) -> str:
    """A path with ``~`` for the home directory, its middle left out where it is too long."""
    text = str(path)
    home_text = str(home or Path.home())
    if home_text != "/" and (text == home_text or text.startswith(home_text + "/")):
        text = "~" + text[len(home_text) :]
    if len(text) <= columns:
        return text
    return "…" + text[-(columns - 1) :]


class HeaderLine(Widget):
    """The dashboard's first line."""

    ALLOW_SELECT = False

    def __init__(self, place: Path, zone: tzinfo | None) -> None:
        super().__init__(id="header")
        self._place = place
        self._zone = zone
        self._overview: Overview | None = None
        self._now: datetime | None = None

    def show(self, overview: Overview | None, now: datetime) -> None:
        """Take a new reading or merely a new moment."""
        if overview is not None:
            self._overview = overview
        self._now = now
        self.refresh()

    def render(self) -> RenderResult:
        width = self.size.width
        time = clock(self._now, self._zone) if self._now is not None else ""
        right = styled(time, "$foreground-muted")
        parts = self._parts(width)
        left = Content.assemble(("▌", "$primary"), ("acode-tui", "bold $text-primary"))
        for part in parts:
            if left.cell_length + 3 + part.cell_length + right.cell_length + 2 > width:
                continue
            left = Content.assemble(left, "   ", part)
        gap = max(width - left.cell_length - right.cell_length - 1, 1)
        return Content.assemble(left, " " * gap, right)

    def _parts(self, width: int) -> list[Content]:
        place = styled(line(short_path(self._place, max(width // 3, 12))), "$foreground")
        overview = self._overview
        if overview is None:
            return [place, styled("opening…", "$foreground-muted")]
        schema = overview.schema
        version = Content.assemble(
            ("schema ", "$foreground-muted"),
            (schema.version or "none", "$foreground" if schema.version == schema.target else "$text-warning"),
        )
        remote = overview.sync.schema_version
        if remote is not None:
            same = remote == (overview.sync.target_schema_version or schema.version)
            tail = styled(f" {'=' if same else '≠'} {remote} (pg)", "$foreground-muted" if same else "$text-warning")
            version = Content.assemble(version, tail)
        mark = SYNC[overview.sync.state]
        state = styled(mark.label, CONTENT_STYLE[mark.role])
        parts = [place, version, state]
        if overview.sync.last_sync_at is not None and self._now is not None:
            parts.append(
                Content.assemble(
                    ("last sync ", "$foreground-muted"), (ago(overview.sync.last_sync_at, self._now), "$foreground")
                )
            )
        return parts
