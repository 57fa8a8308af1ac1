"""Why the worker does not send, as a whole sentence: a pane has room for its beginning at most. Pure."""

from textual.content import Content

from acode_tui.sync.ports import SyncStatus
from acode_tui.tui.style.palette import CONTENT_STYLE, SYNC
from acode_tui.tui.style.text import styled


def standing_told(sync: SyncStatus) -> Content | None:
    """State, reason and what to do about it; None where there is nothing to say."""
    if not sync.reason:
        return None
    mark = SYNC[sync.state]
    hint = f"; {sync.hint}" if sync.hint else ""
    return Content.assemble(
        (mark.label, f"bold {CONTENT_STYLE[mark.role]}"), "  ", styled(sync.reason), styled(hint, "$foreground-muted")
    )
