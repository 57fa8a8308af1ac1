"""The first line of the main screen: workspace, schema, sync state, last sync, time of day, as many as fit."""

from datetime import datetime, tzinfo
from pathlib import Path

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from acode_tui.domain.quantities import ago, number, size
from acode_tui.home import home
from acode_tui.tui.state import DashboardState
from acode_tui.tui.style.palette import CONTENT_STYLE, SYNC
from acode_tui.tui.style.text import line, styled
from acode_tui.tui.style.times import clock


def path_label(path: Path, columns: int) -> str:
    """A path with ``~`` for the home directory; a long one begins with ``…`` and keeps its end."""
    text, folder = str(path), str(home())
    if folder != "/" and (text == folder or text.startswith(folder + "/")):
        text = "~" + text[len(folder) :]
    if len(text) <= columns:
        return text
    return "…" + text[-(columns - 1) :]


NARROW = 100
"""Columns below which the schema version is shown once if it is the same in both tiers."""


class HeaderLine(Widget):
    """Draws the DashboardState in one line."""

    ALLOW_SELECT = False

    def __init__(self, root: Path, zone: tzinfo | None, state: DashboardState) -> None:
        super().__init__(id="header")
        self._root = root
        self._zone = zone
        self._state = state
        self._now: datetime | None = None
        self._painted = Content("")

    def show(self, now: datetime) -> None:
        """Draw the state as of ``now``, unless the line stays the same."""
        self._now = now
        if not self._content().is_same(self._painted):
            self.refresh()

    def render(self) -> RenderResult:
        self._painted = self._content()
        return self._painted

    def _content(self) -> Content:
        width = self.size.width
        time = clock(self._now, self._zone) if self._now is not None else ""
        right = styled(time, "$foreground-muted")
        left = Content.assemble(("▌", "$primary"), ("acode-tui", "bold $text-primary"))
        room = width - left.cell_length - right.cell_length - 2
        for part in _fitting(self._parts(width), room):
            left = Content.assemble(left, "   ", part)
        gap = max(width - left.cell_length - right.cell_length - 1, 1)
        return Content.assemble(left, " " * gap, right)

    def _parts(self, width: int) -> list[tuple[int, Content]]:
        """The line's parts from left to right, each with its rank: what does not fit is left out by rank, the highest
        number first.
        """
        root = styled(line(path_label(self._root, max(width // 3, 12))), "$foreground")
        overview, error = self._state.overview, self._state.read_error
        if error is not None:
            return [(1, root), (0, styled(f"✗ {error.code} the store cannot be read", "$text-error"))]
        if overview is None:
            return [(1, root), (0, styled("opening…", "$foreground-muted"))]
        schema = overview.schema
        version = Content.assemble(
            ("schema ", "$foreground-muted"),
            (schema.version or "none", "$foreground" if schema.version == schema.target else "$text-warning"),
        )
        remote = overview.sync.schema_version
        if remote is not None and (width >= NARROW or remote != schema.version):
            # Each tier has versions of its own: they agree if each tier has the version that this program needs.
            needed = overview.sync.target_schema_version or schema.version
            same = remote == needed and schema.version == schema.target
            tail = styled(f" {'=' if same else '≠'} {remote} (pg)", "$foreground-muted" if same else "$text-warning")
            version = Content.assemble(version, tail)
        mark = SYNC[overview.sync.state]
        state = styled(mark.label, CONTENT_STYLE[mark.role])
        parts = [(1, root), (2, version), (0, state)]
        if overview.space is not None and overview.space.is_low:
            parts.append((0, styled(f"✗ disk full: {size(overview.space.free)} left", "$text-error")))
        elif self._state.write_error is not None:
            parts.append((0, styled(f"✗ {self._state.write_error.code} nothing can be written", "$text-error")))
        if (follow := self._follow()) is not None:
            parts.append(follow)
        if self._state.withheld:
            parts.append((0, styled("! settings not trusted: A", "$text-warning")))
        if overview.sync.last_sync_at is not None and self._now is not None:
            last = ago(overview.sync.last_sync_at, self._now)
            parts.append((3, Content.assemble(("last sync ", "$foreground-muted"), (last, "$foreground"))))
        return parts

    def _follow(self) -> tuple[int, Content] | None:
        """Whether transcripts are followed; None where they are not."""
        follow = self._state.follow
        if follow.problem:
            return 1, styled(f"✗ not imported: {follow.problem}", "$text-error")
        if follow.phase == "importing":
            return 1, styled(f"◌ importing {number(follow.done)} of {number(follow.total)}", "$text-primary")
        if follow.phase == "waiting":
            who = f"pid {follow.holder}" if follow.holder is not None else "another process"
            return 2, styled(f"followed by {who}", "$foreground-muted")
        return (2, styled("● live", "$text-success")) if follow.phase == "on" else None


def _fitting(parts: list[tuple[int, Content]], room: int) -> list[Content]:
    kept = list(parts)
    while kept and sum(part.cell_length + 3 for _, part in kept) > room:
        kept.remove(max(kept, key=lambda ranked: ranked[0]))
    return [part for _, part in kept]
