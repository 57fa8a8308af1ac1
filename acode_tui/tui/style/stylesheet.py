"""The style sheet of the dashboard, which parses each source once for a theme."""

from textual.cache import LRUCache
from textual.css.stylesheet import Stylesheet

_SOURCES = 512
"""More than all sheets and widgets have together: a cache of fewer, read in order, would never hold what comes next."""


class ParsedOnce(Stylesheet):
    """Textual parses again in a second style sheet, whose parsed rules it keeps and whose cache it drops: at the start,
    and with each screen that brings a sheet of its own, everything is then parsed twice.
    """

    def __init__(self, *, variables: dict[str, str] | None = None) -> None:
        super().__init__(variables=variables)
        self._parse_cache = LRUCache(_SOURCES)

    def reparse(self) -> None:
        """Parse what is not parsed yet with the present variables. An error leaves the rules as they are."""
        self.parse()
