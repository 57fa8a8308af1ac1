"""The line that asks whether the runs of this folder are followed. It takes no focus: all other keys work meanwhile."""

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from acode_tui.domain.quantities import number
from acode_tui.tui.follow_state import FollowState
from acode_tui.tui.style.text import line

_KEYS = (("y", "yes"), ("n", "no"), ("esc", "later"))


class FollowQuestion(Widget):
    """Shown while the user is asked."""

    ALLOW_SELECT = False

    def __init__(self, state: FollowState) -> None:
        super().__init__(id="follow-question")
        self._state = state
        self.display = False

    def show(self) -> None:
        """Appear while the question is open, and disappear when it is answered."""
        self.display = self._state.phase == "asking"
        self.refresh()

    def render(self) -> RenderResult:
        keys = Content("  ").join(
            Content.assemble((key, "bold $text-primary"), (f" {word}", "$foreground-muted")) for key, word in _KEYS
        )
        places = ", ".join(self._state.places)
        question = f"Follow the runs of this folder: {number(self._state.found)} found, {places}"
        room = self.size.width - keys.cell_length - 2
        return Content.assemble((line(question, room), "bold"), "  ", keys)
