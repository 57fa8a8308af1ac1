"""Runs the dashboard over a workspace: what the app gets from the terminal, the settings and the user's files."""

import os
from functools import partial
from pathlib import Path

import msgspec

from acode_tui.config import Settings
from acode_tui.storage.cursors import FIGURES
from acode_tui.tui import garbage
from acode_tui.tui.app import Dashboard, Toast
from acode_tui.tui.layout import layout_path, load_layout, save_layout
from acode_tui.tui.opening import (
    first_page_of,
    follow_consent,
    is_own_checkout,
    migration_consent,
    open_for_dashboard,
    restore_backup,
    theme_saver,
)
from acode_tui.tui.personal import PersonalFile, personal_path
from acode_tui.tui.style.colour_depth import terminal_colours
from acode_tui.tui.terminal_images import terminal_images


def run_dashboard(
    root: Path,
    settings: Settings,
    *,
    asks_for_folder: bool = True,
    database_url: str | None = None,
) -> int:
    """Run the dashboard over the workspace at ``root`` and return its exit code. Raises AcodeError if the workspace
    cannot be opened. ``asks_for_folder``: before the program's own checkout is made a workspace. ``database_url`` is a
    database that is the workspace: then nothing is migrated, followed or written at ``root``.

    Where the user restores a backup, the dashboard ends, which closes the workspace, and begins again afterwards.
    """
    begin_with: Toast | None = None
    while True:
        app, mouse = _dashboard(root, settings, asks_for_folder, database_url, begin_with)
        code = app.run(mouse=mouse)
        if app.fatal_error is not None:
            raise app.fatal_error
        if app.restore is None:
            return code or app.return_code or 0
        begin_with = restore_backup(root, settings, app.restore)
        asks_for_folder = False


def _dashboard(
    root: Path,
    settings: Settings,
    asks_for_folder: bool,
    database_url: str | None,
    begin_with: Toast | None,
) -> tuple[Dashboard, bool]:
    """The dashboard, and whether it has the mouse."""
    path = layout_path()
    layout = load_layout(path)
    if database_url is not None and layout.sort in FIGURES:
        # No index of figures sorts the runs of a database.
        layout = msgspec.structs.replace(layout, sort="updated")
    colours = terminal_colours(os.environ, settings.tui.colors)
    app = Dashboard(
        root,
        settings,
        opening=open_for_dashboard(database_url or root, settings),
        save_theme=theme_saver(root) if database_url is None else None,
        layout=layout,
        save_layout=partial(save_layout, path),
        freeze_objects=garbage.keep_present_objects,
        collect_garbage=garbage.collect_if_due,
        migration_consent=migration_consent(root, settings) if database_url is None else None,
        asks_for_folder=asks_for_folder and database_url is None and is_own_checkout(root),
        follow_consent=follow_consent(root) if database_url is None else None,
        personal=PersonalFile(personal_path()),
        terminal=colours,
        images=terminal_images(os.environ, settings.tui.images, many_colours=colours.depth in ("truecolor", "256")),
        # A browser's driver serves one run of the app.
        can_restore=database_url is None and not os.environ.get("TEXTUAL_DRIVER"),
        begin_with=begin_with,
        first_page=first_page_of(root, settings, layout) if database_url is None else None,
    )
    return app, layout.mouse
