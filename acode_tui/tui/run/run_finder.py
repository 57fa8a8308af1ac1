"""The line in which one types what to find in a run, and the keys that go from match to match, in both views."""

from dataclasses import dataclass

from textual import on, work
from textual.message import Message
from textual.widgets import Input

from acode_tui.domain.quantities import number
from acode_tui.tui.run.conversation import ConversationView
from acode_tui.tui.run.find_in_run import find_next
from acode_tui.tui.run.node_actions import NodeActions
from acode_tui.tui.style.text import line


class RunFinder(NodeActions):
    """The part of the session screen that finds texts in the run."""

    @dataclass
    class Found(Message):
        """The block of the next match was found; None if there is none."""

        needle: str
        key: str | None
        start: int
        direction: int

    needle = ""
    """What is searched for."""

    @property
    def search(self) -> Input:
        return self.query_one("#search", Input)

    @property
    def at_block(self) -> int:
        """The index of the block under the cursor; -1 above the first one."""
        raise NotImplementedError

    def reveal_block(self, at: int) -> None:
        """Put the cursor on a block, in the view that is open."""
        raise NotImplementedError

    def show_search_state(self, text: str) -> None:
        """Show how the search goes, or nothing any more, below both views."""
        raise NotImplementedError

    def focus_run(self) -> None:
        """Focus the view that is open."""
        raise NotImplementedError

    def action_search(self) -> None:
        self.search.display = True
        # Not focus(), which takes effect later: the next letters may already be typed.
        self.set_focus(self.search)

    @on(Input.Submitted, "#search")
    def _submitted(self, event: Input.Submitted) -> None:
        self.focus_run()
        self.needle = event.value.strip()
        self.query_one(ConversationView).highlight(self.needle)
        if self.needle:
            # The block under the cursor may hold it too.
            self._find(self.at_block - 1, 1)
        else:
            self.close_search()
        self.refresh_bindings()

    def action_match(self, direction: int) -> None:
        if self.needle:
            self._find(self.at_block, direction)
        else:
            self.action_search()

    def close_search(self) -> bool:
        """Leave the search; False if there was none."""
        if not self.search.display:
            return False
        self.workers.cancel_group(self, "find")
        self.search.display, self.search.value, self.needle = False, "", ""
        self.query_one(ConversationView).highlight("")
        self.show_search_state("")
        self.focus_run()
        self.refresh_bindings()
        return True

    @work(group="find", exclusive=True, exit_on_error=False)
    async def _find(self, start: int, direction: int) -> None:
        runs, needle = self.dashboard.runs, self.needle
        self.show_search_state("searching…")
        while not self.run_view.whole:
            await self.dashboard.pause(0.05)
        conversation = self.run_view.conversation
        if runs is None or conversation is None or not conversation.blocks:
            return
        count = len(conversation.blocks)

        def progress(searched: int) -> None:
            self.show_search_state(f"searching… {number(searched)} of {number(count)} blocks")

        with self.dashboard.reporting():
            at = await find_next(
                runs, conversation.blocks, start, direction, needle, self.dashboard.in_thread, progress
            )
            key = conversation.blocks[at].key if at is not None else None
            self.post_message(self.Found(needle, key, start, direction))

    @on(Found)
    def _found(self, event: Found) -> None:
        conversation = self.run_view.conversation
        if event.needle != self.needle or conversation is None:
            return
        at = conversation.index.get(event.key) if event.key is not None else None
        if at is None:
            self.show_search_state(f"“{line(event.needle, 40)}” is not in this run")
            return
        around = (at - event.start) * event.direction <= 0
        end = "beginning" if event.direction > 0 else "end"
        self.show_search_state(f"n N go on{f'; searched on from the {end}' if around else ''}")
        self.reveal_block(at)
