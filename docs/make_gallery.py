"""Takes the pictures of docs/gallery.md: `uv run python docs/make_gallery.py [NAME...]`.

A scene whose expected text does not appear is reported, and the others are taken.
"""

import asyncio
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = Path(__file__).with_name("gallery.md")
FOLDER = Path(__file__).with_name("gallery")

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


def page() -> str:
    """The text of docs/gallery.md."""
    from tests.tui.gallery import SCENES

    lines = ["# Gallery", "", "Made by `uv run python docs/make_gallery.py`; not edited by hand."]
    for scene in SCENES:
        lines += ["", f"## {scene.caption}", "", f"![{scene.caption}](gallery/{scene.name}.svg)"]
    return "\n".join([*lines, ""])


async def make(names: list[str], folder: Path = FOLDER) -> int:
    """Take these scenes, or all. Returns how many did not show their expected text."""
    from tests.tui.gallery import SCENES, take

    folder.mkdir(exist_ok=True)
    missed = 0
    for scene in SCENES:
        if names and scene.name not in names:
            continue
        try:
            picture = await take(scene)
        except AssertionError as error:
            missed += 1
            print(f"{scene.name}: {error}", file=sys.stderr)
            continue
        (folder / f"{scene.name}.svg").write_text(picture, encoding="utf-8")
        print(f"{scene.name}: {len(picture) // 1000} KB")
    return missed


def main(names: list[str]) -> int:
    """Take the pictures. Without names: all of them, and the page; pictures without a scene are deleted."""
    from tests.tui.gallery import SCENES

    os.environ["TEXTUAL_ANIMATIONS"] = "none"
    os.environ.pop("NO_COLOR", None)
    missed = asyncio.run(make(names))
    if not names:
        PAGE.write_text(page(), encoding="utf-8")
        for file in FOLDER.glob("*.svg"):
            if file.stem not in {scene.name for scene in SCENES}:
                file.unlink()
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
