"""Run by an installed wheel's Python: the package is whole, the styles are in it, and the dashboard starts."""

import asyncio
import tempfile
from pathlib import Path

import acode_tui
from acode_tui.config import load_settings
from acode_tui.tui.app import Dashboard
from acode_tui.tui.opening import open_for_dashboard


async def start(root: Path) -> None:
    settings = load_settings(root)
    app = Dashboard(root, settings, opening=open_for_dashboard(root, settings))
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause()
        assert app.workspace is not None or app.fatal_error is None, app.fatal_error


package = Path(acode_tui.__file__).parent
assert "site-packages" in package.parts, f"imported from a checkout: {package}"
assert list((package / "styles").glob("*.tcss")), "no styles in the wheel"
with tempfile.TemporaryDirectory() as folder:
    asyncio.run(start(Path(folder)))
print("the wheel works")
