"""Which theme the dashboard wears: the kept one where it exists, and a chosen one is kept for the next start."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textual.filter import LineFilter, Monochrome, NoColor

from acode_tui.domain.display import clean
from acode_tui.tui.style import themes

if TYPE_CHECKING:
    from acode_tui.tui.app import Dashboard


class Wearing:
    """The theme of one dashboard."""

    def __init__(self, app: "Dashboard", kept: str | None, save: Callable[[str], None] | None) -> None:
        """``kept`` is the setting's theme, None the default; ``save`` keeps another for the next start."""
        self._app = app
        self._save = save
        self._kept = kept or themes.DEFAULT
        self._unknown: str | None = None
        for theme in themes.THEMES:
            app.register_theme(theme)
        app.theme = themes.DEFAULT
        self._wear()

    def begin(self) -> None:
        """From now on keep whatever theme is chosen."""
        self._app.theme_changed_signal.subscribe(self._app, lambda theme: self._keep(theme.name))
        self._tell_unknown()

    def turn_to(self, name: str | None) -> None:
        """The settings name another theme."""
        self._kept = name or themes.DEFAULT
        self._wear()
        self._tell_unknown()

    def _wear(self) -> None:
        """Put the kept theme on; one that does not exist changes nothing."""
        known = self._kept in self._app.available_themes
        self._unknown = None if known else self._kept
        if known:
            self._app.theme = self._kept

    def _tell_unknown(self) -> None:
        if self._unknown is not None:
            known = f"there is no theme {self._unknown!r}; press t to choose one"
            self._app.notify(clean(known), title="theme", severity="warning", markup=False)

    def _keep(self, name: str) -> None:
        if self._save is not None and name != self._kept:
            self._kept = name
            with self._app.reporting():
                self._save(name)


def without_colours(app: "Dashboard", filters: Sequence[LineFilter]) -> list[LineFilter]:
    """Where ``NO_COLOR`` is set: greys for a theme with colours of its own, the terminal's text on its ground for one
    without. Textual decides that once, before a theme is put on; greys of no colour would be black on black.
    """
    others = [each for each in filters if not isinstance(each, (Monochrome, NoColor))]
    return [*others, NoColor() if app.native_ansi_color else Monochrome()]
