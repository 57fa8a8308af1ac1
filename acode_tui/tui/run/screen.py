"""One session in two views: its conversation on one page, or the tree of its run with panes beside it.

A run that is being recorded is shown as it grows, and followed at its end until the user moves away from it. Keys open
the next and the previous session of the list.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Tree

from acode_tui.domain.display import session_name
from acode_tui.domain.entities import Artifact
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.quantities import counted, duration
from acode_tui.tui.bindings import SESSION as KEYS
from acode_tui.tui.run.blocks import Conversation, position_of
from acode_tui.tui.run.conversation import ConversationView
from acode_tui.tui.run.node_actions import EXPORT_INSTEAD
from acode_tui.tui.run.nodes import Node
from acode_tui.tui.run.outside import resume_command
from acode_tui.tui.run.run_finder import RunFinder
from acode_tui.tui.run.run_reads import RunRead, first_read, next_read, whole_read
from acode_tui.tui.run.run_view import SessionWalk
from acode_tui.tui.run.tree_page import Side, TreePage
from acode_tui.tui.state import RunAs
from acode_tui.tui.style.palette import CONTENT_STYLE, session_mark
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.style.text import error_lines, line, styled
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.read_error import show_read_error
from acode_tui.tui.widgets.text_panel import TextPanel
from acode_tui.tui.widgets.title_line import TitleLine

if TYPE_CHECKING:
    from acode_tui.tui.ports import DashboardWorkspace

NOTHING_YET = "No task was recorded in this session yet. What the agent records appears here by itself."
WHOLE_EVERY = 30.0
"""Seconds after which a run of which only the end was read again is read whole, once nothing is recorded."""


class SessionScreen(RunFinder):
    """Conversation and tree of a run. Its result is the id of the session that was shown last."""

    CSS_PATH = style_path("screens.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]
    AUTO_FOCUS = "ConversationView, RunTree"

    @dataclass
    class RunWasRead(Message):
        """The run, or a part of it, was read, without the content of artifacts."""

        read: RunRead

    @dataclass
    class Stepped(Message):
        """The next (1) or previous (-1) session of the list was looked up; None at the end of the list."""

        session_id: str | None
        direction: int

    def __init__(
        self, session_id: str, walk: SessionWalk | None = None, *, place: Sequence[str] = (), needle: str = ""
    ) -> None:
        """``place``: ids of the node to go to, and of those above it, for one that the view does not show; ``needle``:
        the text that was found there.
        """
        super().__init__(session_id)
        self._walk = walk
        self._places: dict[str, Sequence[str]] = {session_id: place} if place else {}
        """Where to go to in a run once it is read: a place that was found, or the one where it was left."""
        self.needle = needle
        self._whole_at = 0.0
        """When the whole run was read last, in the event loop's time."""

    def compose(self) -> ComposeResult:
        yield TitleLine("team session" if self.follows_team else "session")
        yield ConversationView()
        yield TreePage()
        yield Input(placeholder="find in this run", id="search")
        yield KeyBar()

    def on_mount(self) -> None:
        self.page.border_title = "Conversation"
        # Also with a text that was found elsewhere: one key leaves such a run again.
        self.search.display = False
        self.page.highlight(self.needle)
        self._show_opening()
        self.dashboard.theme_changed_signal.subscribe(self, lambda _: self._restyle())

    @property
    def page(self) -> ConversationView:
        return self.query_one(ConversationView)

    @property
    def tree_page(self) -> TreePage:
        return self.query_one(TreePage)

    @property
    def loading_more(self) -> bool:
        """Whether only a part of the run is shown, and the rest is being read."""
        return self.run_view.graph is not None and not self.run_view.whole

    def _show_opening(self) -> None:
        """The run is being read. If the user has not chosen a view, it is not known yet which one it opens in."""
        self._show_as(self.dashboard.state.run_as or self.shown_as)
        self.query_one(TitleLine).update("opening…")
        self.page.say([styled("reading the run…", "$foreground-muted")])

    def _restyle(self) -> None:
        self.tree_page.run_tree.restyle()
        self.page.restyle()

    # Reading

    @property
    def follows_team(self) -> bool:
        return self.dashboard.team.is_open

    def read_failed(self, error: AcodeError) -> None:
        if self.run_view.graph is None:
            show_read_error(self, error)
            self.page.say(list(Content("\n").join(error_lines(error)).split("\n", allow_blank=True)))

    def refresh_now(self) -> None:
        super().refresh_now()
        for page in self.query(ConversationView):
            page.try_again()

    async def read(self, workspace: "DashboardWorkspace") -> None:
        runs, view, in_thread = self.dashboard.runs or workspace.store, self.run_view, self.dashboard.in_thread
        width = self.page.columns
        if view.graph is None:
            at_end = self.dashboard.state.run_as != "tree"
            async for read in first_read(runs, view.session_id, width, in_thread, may_begin_at_end=at_end):
                self._post(read)
        elif not view.whole:
            self._post(await whole_read(runs, view.session_id, width, in_thread))
        elif view.is_newer(await runs.get(view.session_id)):
            self._post(await next_read(runs, view, width, in_thread))

    async def read_idle(self, workspace: "DashboardWorkspace") -> None:
        if self.run_view.joined and asyncio.get_running_loop().time() > self._whole_at + WHOLE_EVERY:
            runs = self.dashboard.runs or workspace.store
            width = self.page.columns
            self._post(await whole_read(runs, self.run_view.session_id, width, self.dashboard.in_thread))

    def _post(self, read: RunRead) -> None:
        if read.whole and not read.joined:
            self._whole_at = asyncio.get_running_loop().time()
        self.post_message(self.RunWasRead(read))

    @on(RunWasRead)
    def _run_was_read(self, event: RunWasRead) -> None:
        view, read = self.run_view, event.read
        if read.graph.id != view.session_id:
            return  # another session is shown by now
        first = view.graph is None
        if first and self.dashboard.state.run_as is None:
            self._show_as("conversation" if read.conversation.has_words else "tree")
        view.update(read.graph, read.conversation, whole=read.whole, joined=read.joined)
        if first:
            view.follows = view.running and self.shown_as == "conversation"
        if self.shown_as == "tree" and read.from_end and not read.whole:
            return  # a tree begins at the beginning
        place = self._places.get(view.session_id)
        if place and (read.whole or place[0] in read.conversation.index):
            view.follows = False
        self._retitle()
        self._show_run()
        if place and self._return_to(place):
            del self._places[view.session_id]
        self.refresh_bindings()

    def _return_to(self, place: Sequence[str]) -> bool:
        """Go to a node as soon as it is read; to the one above it if the whole run is read and has no block of it."""
        conversation, whole = self.run_view.conversation, self.run_view.whole
        if conversation is None:
            return False
        found = next((each for each in (place if whole else place[:1]) if each in conversation.index), None)
        if found is not None and self.shown_as == "conversation":
            self.page.once_laid_out(partial(self._go_to_block_of, found))
        elif found is not None:
            self.tree_page.reveal(conversation.blocks[conversation.index[found]].node)
        elif whole and (node := self._node_of(place)) is not None:
            self._go_to_node(conversation, node)
        return whole or found is not None

    def _node_of(self, place: Sequence[str]) -> Node | None:
        """The node of the run that a place names and that has no block of its own, such as a step with calls."""
        graph = self.run_view.graph
        nodes = {each.id: each for each in graph.entities() if isinstance(each, Node)} if graph is not None else {}
        return next((nodes[each] for each in place if each in nodes), None)

    def _go_to_node(self, conversation: Conversation, node: Node) -> None:
        if self.shown_as == "tree":
            self.tree_page.reveal(node)
        elif conversation.blocks:
            # A node's first block follows the place that stands for it.
            at = min(position_of(conversation, node) + 1, len(conversation.blocks) - 1)
            self.page.once_laid_out(partial(self.page.go_to, conversation.blocks[at].key))

    def _go_to_block_of(self, key: str) -> None:
        """Go to the block of an entity in the conversation; what is folded is unfolded where a text was found in it."""
        conversation = self.run_view.conversation
        at = conversation.index.get(key) if conversation is not None else None
        if at is not None and self.needle:
            self.page.show_match(at)
        elif at is not None:
            self.page.go_to(key)

    def _show_run(self) -> None:
        """Show the run in the view that is open; the other one gets it when the user turns to it."""
        view = self.run_view
        graph, conversation = view.graph, view.conversation
        if graph is None or conversation is None:
            return
        empty = styled(NOTHING_YET, "$foreground-muted")
        if self.shown_as == "conversation":
            self.page.say([empty])
            self.page.show(conversation, at_end=view.follows)
        else:
            self.tree_page.show(graph, empty, follow=view.follows)

    # The two views

    @property
    def toasts_make_room(self) -> bool:
        """In the tree: its details are beside it."""
        return self.shown_as == "tree"

    @property
    def shown_as(self) -> RunAs:
        return "conversation" if self.page.display else "tree"

    def _show_as(self, run_as: RunAs) -> None:
        page, tree_page = self.page, self.tree_page
        had_focus = self.focused is None or not self.focused.display or self.shown_as != run_as
        page.display, tree_page.display = run_as == "conversation", run_as == "tree"
        if had_focus:
            self.focus_run()

    def action_turn_view(self) -> None:
        """Turn to the other view, at the same place; runs open in it from now on."""
        run_as: RunAs = "tree" if self.shown_as == "conversation" else "conversation"
        node = self.node
        moved = self.page.moved if run_as == "tree" else self.tree_page.run_tree.cursor_line > 0
        self.dashboard.state.run_as = run_as
        self._show_as(run_as)
        self._show_run()
        if node is None or not moved or self.run_view.follows:
            return
        if run_as == "tree":
            self.tree_page.reveal(node)
        else:
            self.page.once_laid_out(partial(self.page.go_to, node.id))

    def action_failure(self, direction: int) -> None:
        conversation = self.run_view.conversation
        if conversation is None:
            return
        if self.shown_as == "conversation":
            found = self.page.failure(direction)
        else:
            found = self._reveal_failure(conversation, direction)
        if not found:
            self.notify(f"That was the {'last' if direction > 0 else 'first'} failure.", timeout=2, markup=False)

    def _reveal_failure(self, conversation: Conversation, direction: int) -> bool:
        node = self.node
        failure = conversation.failure_from(position_of(conversation, node) if node is not None else -1, direction)
        if failure is None:
            return False
        self.tree_page.run_tree.focus()
        self.tree_page.reveal(conversation.blocks[failure].node)
        return True

    @on(ConversationView.Opened)
    @on(TreePage.Opened)
    def _opened(self, event: ConversationView.Opened | TreePage.Opened) -> None:
        from acode_tui.tui.run.artifact import ArtifactScreen

        self.app.push_screen(ArtifactScreen(event.artifact))

    def _retitle(self) -> None:
        graph, conversation = self.run_view.graph, self.run_view.conversation
        if graph is None or conversation is None:
            return
        mark = session_mark(graph, self.dashboard.now())
        follow_label = self.run_view.follow_label
        counts = f"{counted(len(graph.tasks), 'task')}  {counted(conversation.calls, 'tool')}"
        self.query_one(TitleLine).update(
            session_name(graph),
            styled(mark.label, CONTENT_STYLE[mark.role]),
            *([styled(follow_label[0], CONTENT_STYLE[follow_label[1]])] if follow_label is not None else []),
            styled(counts if self.run_view.whole else "reading the rest…", "$foreground-muted"),
            styled(duration(graph.updated_at - graph.created_at), "$foreground-muted"),
            *([styled(line(graph.user_id, 32), "$foreground-muted")] if graph.user_id and self.follows_team else []),
        )

    def action_side(self, side: Side) -> None:
        if self.shown_as == "conversation":
            self.action_turn_view()
        self.tree_page.open_side(side)

    # Following the run

    def action_follow(self) -> None:
        """Go to the end of the run and stay there, or stay where the view is."""
        view = self.run_view
        if self.shown_as == "conversation":
            self.page.follow()
            return
        self._follow(not view.follows)
        if view.follows:
            self.tree_page.reveal_last()

    @on(ConversationView.FollowChanged)
    def _follow_changed(self) -> None:
        if self.shown_as == "conversation":
            self._follow(self.page.follows)

    @on(Tree.NodeHighlighted)
    def _node_highlighted(self) -> None:
        if self.run_view.follows and self.shown_as == "tree" and not self.tree_page.is_at_last:
            self._follow(False)

    def _follow(self, follows: bool) -> None:
        view = self.run_view
        view.follows = follows
        view.more = view.more and not follows
        self._retitle()

    # The neighbouring sessions

    @work(group="step", exclusive=True, exit_on_error=False)
    async def action_step(self, direction: int) -> None:
        runs, walk = self.dashboard.runs, self._walk
        if runs is not None and walk is not None:
            with self.dashboard.reporting():
                session_id = await walk.step(runs, self.run_view.session_id, direction)
                self.post_message(self.Stepped(session_id, direction))

    @on(Stepped)
    def _stepped(self, event: Stepped) -> None:
        if event.session_id is None:
            end = "last" if event.direction > 0 else "first"
            self.notify(f"That was the {end} session of the list.", timeout=2, markup=False)
            return
        self.open_run(event.session_id)

    def open_run(self, session_id: str) -> None:
        """Show another session on this screen, at the place where it was left."""
        if self.node is not None:
            self._places[self.run_view.session_id] = (self.node.id,)
        self.run_view.switch_to(session_id)
        self.tree_page.clear()
        self.page.clear()
        self._show_opening()
        self.refresh_now()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "step":
            return self._walk is not None
        if action == "failure":
            return bool(self.run_view.conversation and self.run_view.conversation.failures)
        if action == "match":
            return bool(self.needle)
        if action == "follow":
            return self.run_view.running
        if action == "parent":
            return bool(self.run_view.graph and (self.run_view.graph.metadata or {}).get("parentSessionId"))
        if action == "child":
            return not self.follows_team  # the team's database keeps no index of parents
        if action == "resume":
            return bool(self.run_view.graph and resume_command(self.run_view.graph.metadata))
        return self.dashboard.actions.check(action)

    def action_dismiss(self, result: None = None) -> None:  # type: ignore[override]
        if not self.close_search():
            self.dismiss(self.run_view.session_id)

    def action_export(self) -> None:
        graph = self.run_view.graph
        if graph is not None:
            from acode_tui.tui.dialogs.save import ExportSessionDialog

            self.app.push_screen(ExportSessionDialog(graph.id, session_name(graph)))

    def action_unfold(self) -> None:
        if self.shown_as == "conversation":
            self.page.unfold_reasoning(fold=False)
        elif not self.tree_page.run_tree.unfold():
            self.notify("This run is large: its tasks are unfolded, unfold steps one by one.", markup=False)

    def action_fold(self) -> None:
        if self.shown_as == "conversation":
            self.page.unfold_reasoning(fold=True)
        else:
            self.tree_page.run_tree.fold()

    # The node under the cursor

    @property
    def node(self) -> Node | None:
        if self.shown_as == "conversation":
            return self.page.block.node if self.page.block is not None else None
        return self.tree_page.node

    @property
    def at_block(self) -> int:
        conversation, node = self.run_view.conversation, self.node
        if conversation is None or node is None:
            return -1
        return self.page.cursor if self.shown_as == "conversation" else position_of(conversation, node)

    def reveal_block(self, at: int) -> None:
        if self.shown_as == "conversation":
            self.page.show_match(at)
        elif (conversation := self.run_view.conversation) is not None:
            self.tree_page.reveal(conversation.blocks[at].node)

    def show_search_state(self, text: str) -> None:
        self.page.note(text)
        self.tree_page.run_tree.border_subtitle = Content(text)

    def focus_run(self) -> None:
        (self.page if self.shown_as == "conversation" else self.tree_page.run_tree).focus()

    def action_copy(self) -> None:
        """Copy the text of the block or of the artifact under the cursor; in the tree else what the detail shows."""
        focused, node = self.tree_page.focused_panel, self.node
        if node is not None and focused is None and (self.shown_as == "conversation" or isinstance(node, Artifact)):
            self.copy_node(node)
            return
        panel: TextPanel = focused or self.tree_page.detail
        self.dashboard.copy(panel.shown.plain, str(panel.border_title).lower(), otherwise=EXPORT_INSTEAD)
