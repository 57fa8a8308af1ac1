"""The paths of the style sheets: inside the installed package, or at the root of a checkout. Always absolute."""

from pathlib import Path

_INSTALLED = Path(__file__).resolve().parents[2] / "styles"
_CHECKOUT = Path(__file__).resolve().parents[3] / "styles"


def style_path(name: str) -> Path:
    """The absolute path of a style sheet, such as ``app.tcss``. Raises FileNotFoundError naming both places."""
    for folder in (_INSTALLED, _CHECKOUT):
        path = folder / name
        if path.is_file():
            return path
    raise FileNotFoundError(f"{name} is neither in {_INSTALLED} nor in {_CHECKOUT}")
