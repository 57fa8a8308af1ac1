"""How somebody likes the dashboard: order, headings, panes, mouse, line numbers. Kept from one start to the next.

Not in the configuration: that is written by people, often under version control, and every process that has the
workspace open reloads when it changes; these change with a key. One file a user, for all workspaces.
"""

from pathlib import Path

import msgspec

from acode_tui.logs import get_logger
from acode_tui.storage.cursors import SortKey

log = get_logger("acode_tui.tui")


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """``grouped`` puts headings between sessions; ``panes`` shows the four panes; ``mouse`` lets the dashboard have
    the mouse, without it the terminal selects text as it does elsewhere; ``numbers`` puts line numbers beside texts.
    """

    sort: SortKey = "updated"
    grouped: bool = False
    panes: bool = True
    mouse: bool = True
    numbers: bool = True


def layout_path() -> Path:
    """Where the layout is kept."""
    import platformdirs

    return platformdirs.user_state_path("acode-tui") / "dashboard.json"


def load_layout(path: Path) -> Layout:
    """The kept layout; the usual one where none was kept, or where what was kept cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Layout)
    except FileNotFoundError:
        return Layout()
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("dashboard.layout", path=str(path), error=str(error))
        return Layout()


def save_layout(path: Path, layout: Layout) -> None:
    """Keep a layout. A place that cannot be written is logged: the layout is a convenience."""
    from acode_tui.files import make_private_folder, replacing

    try:
        make_private_folder(path.parent)
        with replacing(path) as file:
            file.write(msgspec.json.encode(layout))
    except OSError as error:
        log.warning("dashboard.layout", path=str(path), error=str(error))
