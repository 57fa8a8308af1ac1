"""Begins to read the first page of the list before Textual is imported, which takes longer than the read."""

from concurrent.futures import Future
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from acode_tui.config import Settings
from acode_tui.storage.ports import SessionFilter
from acode_tui.tui.layout import layout_path, load_layout

if TYPE_CHECKING:
    from acode_tui.workspace.first_page import FirstPage


def begin_first_page(root: Path, settings: Settings) -> "Future[FirstPage | None]":
    """Read, in a thread, the page that the dashboard begins with; None where there is none to show."""
    given = SessionFilter(folded=True, sort=load_layout(layout_path()).sort)
    answer: Future[FirstPage | None] = Future()

    def read() -> None:
        try:
            module = import_module("acode_tui.workspace.first_page")
            answer.set_result(module.read_first_page(root, settings, given, settings.tui.page_size))
        except Exception as error:  # noqa: BLE001 - reported where the page would be shown
            answer.set_exception(error)

    Thread(target=read, name="first-page", daemon=True).start()
    return answer
