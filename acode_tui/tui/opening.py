"""How the dashboard opens its workspace, and where it keeps a chosen theme. Imported after the first paint."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

from acode_tui.config import Settings
from acode_tui.tui.ports import DashboardWorkspace, Opening


def open_for_dashboard(root: Path, settings: Settings) -> Opening:
    """An opening of the workspace at ``root`` with its sync worker; storage is imported only when it is called."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[DashboardWorkspace]:
        # Imported in a thread, so that the first frames go on being drawn.
        module = await asyncio.to_thread(import_module, "acode_tui.workspace")
        async with module.open_workspace(root, sync=True, settings=settings, mode="dashboard") as workspace:
            yield workspace

    return opening


def theme_keeper(root: Path) -> Callable[[str], None]:
    """Writes ``tui.theme`` where it is set for this workspace, else into the user's own file. Raises ConfigError."""

    def keep(name: str) -> None:
        from acode_tui.config import Origin, keys, load, user_config_path, workspace_config_path
        from acode_tui.config.edit import set_value
        from acode_tui.config.load import read_text
        from acode_tui.files import make_private_folder, replacing

        of_workspace = load(root).origins["tui.theme"] is Origin.WORKSPACE
        path = workspace_config_path(root) if of_workspace else user_config_path()
        text = set_value(read_text(path), keys.find("tui.theme"), name)
        make_private_folder(path.parent)
        with replacing(path.resolve()) as file:
            file.write(text.encode())

    return keep
