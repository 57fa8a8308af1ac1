"""The layout of the dashboard: order, headings, panes, mouse, line numbers. It is kept from one start to the next.

It is not in the configuration, which people write, often under version control, and which every process reloads when it
changes; the layout changes with a key. Each user has one file for all workspaces.
"""

from pathlib import Path

import msgspec

from acode_tui.home import state_folder
from acode_tui.logs import get_logger
from acode_tui.storage.cursors import SortKey

log = get_logger("acode_tui.tui")


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """``grouped`` shows headings between sessions, ``numbers`` line numbers beside texts. ``mouse`` captures the mouse;
    without it the terminal selects text. ``panes_open`` is whether the four panes are open or folded to one line; None
    opens them while one of them has something to say.
    """

    sort: SortKey = "updated"
    grouped: bool = True
    panes_open: bool | None = None
    mouse: bool = True
    numbers: bool = True


def layout_path() -> Path:
    """The file of the layout."""
    return state_folder() / "dashboard.json"


def load_layout(path: Path) -> Layout:
    """The layout in a file; the default one if there is no file, or if it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Layout)
    except FileNotFoundError:
        return Layout()
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("dashboard.layout", path=str(path), error=str(error))
        return Layout()


def save_layout(path: Path, layout: Layout) -> None:
    """Write the layout to a file. A file that cannot be written is logged and ignored."""
    from acode_tui.files import make_private_folder, replacing

    try:
        make_private_folder(path.parent)
        with replacing(path) as file:
            file.write(msgspec.json.encode(layout))
    except OSError as error:
        log.warning("dashboard.layout", path=str(path), error=str(error))
