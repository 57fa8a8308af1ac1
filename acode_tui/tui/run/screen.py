"""One session in two views: its conversation on one page, or the tree of its run, with one of three panes beside it
(timeline, about, artifacts) and the detail panel.

A run that is being recorded is followed, or held as it is. Keys open the next and the previous session of the list.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Tree

from acode_tui.domain.display import session_name
from acode_tui.domain.entities import Artifact, SessionGraph, ToolCallGraph
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.quantities import counted, duration, number, size
from acode_tui.tui.bindings import SESSION as KEYS
from acode_tui.tui.live_screen import LiveScreen
from acode_tui.tui.run.artifact_table import ArtifactTable
from acode_tui.tui.run.block_rows import text_of
from acode_tui.tui.run.blocks import Conversation, conversation_of, position_of
from acode_tui.tui.run.conversation import ConversationView
from acode_tui.tui.run.detail import about, describe, kind_of, timeline
from acode_tui.tui.run.nodes import Node, foldable, path_to, tool_call_count
from acode_tui.tui.run.run_view import RunView, SessionWalk, Side
from acode_tui.tui.run.tree import RunTree
from acode_tui.tui.state import RunAs
from acode_tui.tui.style.palette import CONTENT_STYLE, SESSION
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.style.text import error_lines, line, styled
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.keyed_table import KeyedTable
from acode_tui.tui.widgets.read_error import show_read_error
from acode_tui.tui.widgets.text_panel import TextPanel
from acode_tui.tui.widgets.title_line import TitleLine

if TYPE_CHECKING:
    from acode_tui.tui.ports import DashboardWorkspace

PREVIEW_PAUSE = 0.08
"""Seconds that the cursor stays on an artifact before its content is read."""
PREVIEW_LINES = 200
PREVIEW_LINE_CHARS = 400
MAX_PREVIEW_BYTES = 1_000_000
NOTHING_YET = "No task was recorded in this session yet. What the agent records appears here by itself."
EXPORT_INSTEAD = "x exports the session"


class SessionScreen(LiveScreen[str]):
    """Tree, side pane and detail panel. Its result is the id of the session that was shown last."""

    CSS_PATH = style_path("screens.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]
    AUTO_FOCUS = "ConversationView, RunTree"

    @dataclass
    class GraphRead(Message):
        """The whole run was read, without the content of artifacts."""

        graph: SessionGraph
        conversation: Conversation

    class NewerRunStored(Message):
        """The stored run is newer than the held one that is shown."""

    @dataclass
    class Stepped(Message):
        """The next (1) or previous (-1) session of the list was looked up; None at the end of the list."""

        session_id: str | None
        direction: int

    @dataclass
    class PreviewRead(Message):
        """The beginning of an artifact's content was read."""

        artifact: Artifact
        preview: Content

    @dataclass
    class TextRead(Message):
        """The text under the cursor was read, to be copied; ``what`` names it."""

        text: str
        what: str

    def __init__(self, session_id: str, walk: SessionWalk | None = None) -> None:
        super().__init__()
        self.run_view = RunView(session_id)
        self._walk = walk
        self._described = ""
        """The id of the node in the detail panel."""

    def compose(self) -> ComposeResult:
        yield TitleLine("team session" if self.follows_team else "session")
        yield ConversationView()
        with Horizontal(classes="beside"):
            yield RunTree()
            with Vertical(id="side"):
                yield TextPanel("Timeline", id="timeline")
                yield TextPanel("About", id="about")
                with Vertical(id="artifacts", classes="frame"):
                    yield ArtifactTable()
                yield TextPanel("Detail", id="detail")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(RunTree).border_title = "Run"
        self.query_one(ConversationView).border_title = "Conversation"
        self._show_open_side()
        self._show_opening()
        self.dashboard.theme_changed_signal.subscribe(self, lambda _: self._restyle())

    def _show_opening(self) -> None:
        """The run is being read. If the user has not chosen a view, it is not known yet which one it opens in."""
        self._show_as(self.dashboard.state.run_as or self.shown_as)
        self.query_one(TitleLine).update("opening…")
        self.query_one(ConversationView).say([styled("reading the run…", "$foreground-muted")])

    def _restyle(self) -> None:
        self.query_one(RunTree).restyle()
        self.query_one(ConversationView).restyle()

    @property
    def follows_team(self) -> bool:
        return self.dashboard.team.is_open

    def read_failed(self, error: AcodeError) -> None:
        if self.run_view.graph is None:
            show_read_error(self, error)
            self.query_one(ConversationView).say(
                list(Content("\n").join(error_lines(error)).split("\n", allow_blank=True))
            )

    def refresh_now(self) -> None:
        super().refresh_now()
        for page in self.query(ConversationView):
            page.try_again()

    async def read(self, workspace: "DashboardWorkspace") -> None:
        runs, view = self.dashboard.runs or workspace.store, self.run_view
        session_id = view.session_id
        if view.graph is not None:
            if not view.is_newer(await runs.get(session_id)):
                return
            if view.held:
                self.post_message(self.NewerRunStored())
                return
        graph = await runs.get_with_hierarchy(session_id)
        columns = self.query_one(ConversationView).columns
        self.post_message(self.GraphRead(graph, await self.dashboard.in_thread(conversation_of, graph, columns)))

    @on(GraphRead)
    def _graph_read(self, event: GraphRead) -> None:
        view, graph = self.run_view, event.graph
        if graph.id != view.session_id or (view.held and view.graph is not None):
            return  # another session is shown by now, or this one is held
        if view.graph is None and self.dashboard.state.run_as is None:
            self._show_as("conversation" if event.conversation.has_words else "tree")
        view.update(graph, event.conversation)
        self._retitle()
        self._show_run()
        self.refresh_bindings()

    def _show_run(self) -> None:
        """Show the run in the view that is open; the other one gets it when the user turns to it."""
        view = self.run_view
        graph, conversation = view.graph, view.conversation
        if graph is None or conversation is None:
            return
        empty = styled(NOTHING_YET, "$foreground-muted")
        if self.shown_as == "conversation":
            page = self.query_one(ConversationView)
            page.say([empty])
            page.show(conversation, at_end=view.running)
            return
        self._show_sides(graph)
        tree = self.query_one(RunTree)
        tree.show(graph)
        if not graph.tasks:
            self.query_one("#detail", TextPanel).update(empty)
        elif tree.cursor_node is not None and tree.cursor_node.data is not None:
            self._describe(tree.cursor_node.data, home=False)

    # The two views

    @property
    def shown_as(self) -> RunAs:
        return "conversation" if self.query_one(ConversationView).display else "tree"

    def _show_as(self, run_as: RunAs) -> None:
        page, beside = self.query_one(ConversationView), self.query_one(".beside")
        had_focus = self.focused is None or not self.focused.display or self.shown_as != run_as
        page.display, beside.display = run_as == "conversation", run_as == "tree"
        if had_focus:
            (page if run_as == "conversation" else self.query_one(RunTree)).focus()

    def action_turn_view(self) -> None:
        """Turn to the other view, at the same place; runs open in it from now on."""
        run_as: RunAs = "tree" if self.shown_as == "conversation" else "conversation"
        page, tree = self.query_one(ConversationView), self.query_one(RunTree)
        node = self._under_cursor()
        moved = page.moved if run_as == "tree" else tree.cursor_line > 0
        self.dashboard.state.run_as = run_as
        self._show_as(run_as)
        self._show_run()
        graph, conversation = self.run_view.graph, self.run_view.conversation
        if node is None or graph is None or conversation is None or not moved:
            return
        if run_as == "tree":
            tree.reveal(path_to(graph, node))
        else:
            page.call_after_refresh(page.go_to, node.id)

    def action_failure(self, direction: int) -> None:
        conversation = self.run_view.conversation
        if conversation is None:
            return
        if self.shown_as == "conversation":
            found = self.query_one(ConversationView).failure(direction)
        else:
            found = self._reveal_failure(conversation, direction)
        if not found:
            self.notify(f"That was the {'last' if direction > 0 else 'first'} failure.", timeout=2, markup=False)

    def _reveal_failure(self, conversation: Conversation, direction: int) -> bool:
        node, graph = self._under_cursor(), self.run_view.graph
        failure = conversation.failure_from(position_of(conversation, node) if node is not None else -1, direction)
        if failure is None or graph is None:
            return False
        tree = self.query_one(RunTree)
        tree.focus()
        tree.reveal(path_to(graph, conversation.blocks[failure].node))
        return True

    @on(ConversationView.Opened)
    def _opened(self, event: ConversationView.Opened) -> None:
        self._open(event.artifact)

    def _retitle(self) -> None:
        graph = self.run_view.graph
        if graph is None:
            return
        mark, follow_label = SESSION[graph.state], self.run_view.follow_label
        self.query_one(TitleLine).update(
            session_name(graph),
            styled(mark.label, CONTENT_STYLE[mark.role]),
            *([styled(follow_label[0], CONTENT_STYLE[follow_label[1]])] if follow_label is not None else []),
            styled(
                f"{counted(len(graph.tasks), 'task')}  {counted(tool_call_count(graph), 'tool')}", "$foreground-muted"
            ),
            styled(duration(graph.updated_at - graph.created_at), "$foreground-muted"),
            *([styled(line(graph.user_id, 32), "$foreground-muted")] if graph.user_id and self.follows_team else []),
        )

    # The panes beside the tree

    def _show_sides(self, graph: SessionGraph) -> None:
        zone = self.dashboard.zone
        self.query_one("#timeline", TextPanel).update(timeline(graph.events, graph, zone), home=False)
        self.query_one("#about", TextPanel).update(about(graph, zone), home=False)
        artifacts = self.run_view.artifacts
        self.query_one(ArtifactTable).show_artifacts(artifacts)
        title = f"Artifacts  {number(len(artifacts))}" if artifacts else "Artifacts: none was recorded"
        self.query_one("#artifacts").border_title = title

    def _show_open_side(self) -> None:
        for side in ("timeline", "about", "artifacts"):
            self.query_one(f"#{side}").display = side == self.run_view.side

    def action_side(self, side: Side) -> None:
        if self.shown_as == "conversation":
            self.action_turn_view()
        self.run_view.side = side
        self._show_open_side()
        self.query_one(ArtifactTable if side == "artifacts" else f"#{side}").focus()
        if (node := self._under_cursor()) is not None:
            self._describe(node)

    @property
    def _listed_artifact(self) -> Artifact | None:
        """The artifact under the cursor of the list of artifacts, if the list has the focus."""
        table = self.query_one(ArtifactTable)
        if not table.has_focus:
            return None
        return next((artifact for artifact in self.run_view.artifacts if artifact.id == table.cursor_key), None)

    @on(KeyedTable.RowHighlighted)
    def _artifact_highlighted(self) -> None:
        if (artifact := self._listed_artifact) is not None:
            self._describe(artifact)

    @on(KeyedTable.RowSelected)
    def _artifact_selected(self) -> None:
        if (artifact := self._listed_artifact) is not None:
            self._open(artifact)

    # Following the run, and the neighbouring sessions

    @on(NewerRunStored)
    def _newer_run_stored(self) -> None:
        self.run_view.newer = True
        self._retitle()

    def action_follow(self) -> None:
        view = self.run_view
        view.held = not view.held
        self._retitle()
        if not view.held:
            self.refresh_now()

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
        self.run_view.switch_to(event.session_id)
        self.query_one(RunTree).clear()
        self.query_one(ConversationView).clear()
        self.query_one("#detail", TextPanel).update(Content(""))
        self._described = ""
        self._show_opening()
        self.refresh_now()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "step":
            return self._walk is not None
        if action == "failure":
            return bool(self.run_view.conversation and self.run_view.conversation.failures)
        if action == "follow":
            return self.run_view.running or self.run_view.held
        return self.dashboard.actions.check(action)

    def action_dismiss(self, result: None = None) -> None:  # type: ignore[override]
        self.dismiss(self.run_view.session_id)

    def action_export(self) -> None:
        graph = self.run_view.graph
        if graph is not None:
            from acode_tui.tui.dialogs.save import ExportSessionDialog

            self.app.push_screen(ExportSessionDialog(graph.id, session_name(graph)))

    # Copying

    def _under_cursor(self) -> Node | None:
        if self.shown_as == "conversation":
            block = self.query_one(ConversationView).block
            return block.node if block is not None else None
        if self.query_one(ArtifactTable).has_focus:
            return self._listed_artifact
        node = self.query_one(RunTree).cursor_node
        return node.data if node is not None else None

    def action_copy(self) -> None:
        """Copy the text of the block or of the artifact under the cursor; in the tree else what the detail shows."""
        focused = next((panel for panel in self.query(TextPanel) if panel.has_focus), None)
        node = self._under_cursor()
        if node is not None and focused is None and (self.shown_as == "conversation" or isinstance(node, Artifact)):
            self._read_text(node)
            return
        panel = focused or self.query_one("#detail", TextPanel)
        self.dashboard.copy(panel.shown.plain, str(panel.border_title).lower(), otherwise=EXPORT_INSTEAD)

    @work(group="copy", exclusive=True, exit_on_error=False)
    async def _read_text(self, node: Node) -> None:
        runs, content = self.dashboard.runs, None
        if isinstance(node, Artifact):
            if node.size > MAX_PREVIEW_BYTES or runs is None:
                self.notify(f"{size(node.size)} are too long to copy; enter opens it, s saves it.", markup=False)
                return
            with self.dashboard.reporting():
                content = await runs.get_artifact_content(node.id)
            if content is None:
                return
        self.post_message(self.TextRead(text_of(node, content), kind_of(node).lower()))

    @on(TextRead)
    def _text_read(self, event: TextRead) -> None:
        self.dashboard.copy(event.text, event.what, otherwise=EXPORT_INSTEAD)

    def action_copy_id(self) -> None:
        node = self._under_cursor()
        self.dashboard.copy(node.id if node is not None else self.run_view.session_id, "id")

    # The node under the cursor

    @on(Tree.NodeHighlighted)
    def _node_highlighted(self, event: Tree.NodeHighlighted[Node]) -> None:
        if (node := event.node.data) is not None:
            # The tree also tells of the same node on another line, where nodes came above it.
            self._describe(node, home=node.id != self._described)

    def _describe(self, node: Node, *, home: bool = True) -> None:
        self._described = node.id
        panel = self.query_one("#detail", TextPanel)
        panel.border_title = kind_of(node)
        content = describe(node, self.dashboard.zone)
        if isinstance(node, Artifact):
            if not home:
                return
            self._preview(node)
        panel.update(content, home=home)

    @work(group="preview", exclusive=True, exit_on_error=False)
    async def _preview(self, artifact: Artifact) -> None:
        """Read the beginning of an artifact. Cancelled when the cursor moves to another artifact."""
        await self.dashboard.pause(PREVIEW_PAUSE)
        runs = self.dashboard.runs
        if runs is None:
            return
        if artifact.size > MAX_PREVIEW_BYTES:
            note = "This is long; enter opens it."
            self.post_message(self.PreviewRead(artifact, styled(note, "$foreground-muted")))
            return
        with self.dashboard.reporting():
            data = await runs.get_artifact_content(artifact.id)
            preview = await self.dashboard.in_thread(_preview_content, data, artifact)
            self.post_message(self.PreviewRead(artifact, preview))

    @on(PreviewRead)
    def _preview_read(self, event: PreviewRead) -> None:
        if self._under_cursor() == event.artifact:
            facts = describe(event.artifact, self.dashboard.zone)
            self.query_one("#detail", TextPanel).update(Content("\n").join([facts, Content(""), event.preview]))

    @on(Tree.NodeSelected)
    def _node_selected(self, event: Tree.NodeSelected[Node]) -> None:
        node = event.node
        if node.data is None:
            return
        if isinstance(node.data, Artifact):
            self._open(node.data)
        elif foldable(node.data):
            node.toggle()
        elif isinstance(node.data, ToolCallGraph) and len(node.data.artifacts) == 1:
            self._open(node.data.artifacts[0])
        else:
            node.toggle()

    def _open(self, artifact: Artifact) -> None:
        from acode_tui.tui.run.artifact import ArtifactScreen

        self.app.push_screen(ArtifactScreen(artifact))

    def action_unfold(self) -> None:
        if self.shown_as == "conversation":
            self.query_one(ConversationView).unfold_reasoning(fold=False)
        elif not self.query_one(RunTree).unfold():
            self.notify("This run is large: its tasks are unfolded, unfold steps one by one.", markup=False)

    def action_fold(self) -> None:
        if self.shown_as == "conversation":
            self.query_one(ConversationView).unfold_reasoning(fold=True)
        else:
            self.query_one(RunTree).fold()


def _preview_content(data: bytes, artifact: Artifact) -> Content:
    """The first lines of an artifact's content, highlighted. Runs in a thread."""
    from acode_tui.tui.run.document import highlighted_lines, open_document

    document = open_document(data, artifact.name, artifact.content_type, artifact.type)
    lines = highlighted_lines(document, 0)[:PREVIEW_LINES]
    preview = Content("\n").join(line[:PREVIEW_LINE_CHARS] for line in lines)
    if document.line_count > PREVIEW_LINES or len(document.parts) > 1:
        preview = Content.assemble(preview, ("\n… enter opens the whole text", "$text-warning"))
    return preview
