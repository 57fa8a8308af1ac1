"""One session: the tree of what was done, beside the timeline of its states and the detail under the cursor."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Tree

from acode_tui.domain.entities import Artifact, SessionGraph, ToolCallGraph
from acode_tui.tui.bindings import SESSION as KEYS
from acode_tui.tui.detail import describe, timeline, title_of
from acode_tui.tui.live import LiveScreen
from acode_tui.tui.nodes import Node, tool_call_count
from acode_tui.tui.palette import CONTENT_STYLE, SESSION
from acode_tui.tui.styles import style_path
from acode_tui.tui.text import line, styled
from acode_tui.tui.times import counted, duration
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.run_tree import RunTree, foldable
from acode_tui.tui.widgets.scrolling import TextPanel
from acode_tui.tui.widgets.title import TitleLine

if TYPE_CHECKING:
    from acode_tui.tui.ports import DashboardWorkspace

PREVIEW_PAUSE = 0.08
"""Seconds the cursor rests on an artifact before its content is read."""
PREVIEW_LINES = 200
PREVIEW_BYTES = 1_000_000


class SessionScreen(LiveScreen[None]):
    """Tree, timeline, detail."""

    CSS_PATH = style_path("screens.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]
    AUTO_FOCUS = "RunTree"

    @dataclass
    class GraphRead(Message):
        """A reading of the whole run, content left out."""

        graph: SessionGraph

    @dataclass
    class PreviewRead(Message):
        """The beginning of an artifact's content."""

        artifact: Artifact
        preview: Content

    def __init__(self, session_id: str) -> None:
        super().__init__()
        self._session_id = session_id
        self._graph: SessionGraph | None = None

    def compose(self) -> ComposeResult:
        yield TitleLine("team session" if self.follows_team else "session")
        with Horizontal(classes="beside"):
            yield RunTree()
            with Vertical(id="side"):
                yield TextPanel("Timeline", id="timeline")
                yield TextPanel("Detail", id="detail")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(RunTree).border_title = "Run"
        self.query_one(TitleLine).say("opening…")
        self.dashboard.theme_changed_signal.subscribe(self, lambda _: self.query_one(RunTree).restyle())

    @property
    def follows_team(self) -> bool:
        return self.dashboard.team.is_open

    async def read(self, workspace: "DashboardWorkspace") -> None:
        runs = self.dashboard.runs or workspace.store
        if self._graph is not None:
            present = await runs.get(self._session_id)
            if present.updated_at == self._graph.updated_at and present.state is self._graph.state:
                return
        self.post_message(self.GraphRead(await runs.get_with_hierarchy(self._session_id)))

    @on(GraphRead)
    def _graph_read(self, event: GraphRead) -> None:
        graph = self._graph = event.graph
        zone = self.dashboard.zone
        mark = SESSION[graph.state]
        self.query_one(TitleLine).say(
            graph.task_description,
            styled(mark.label, CONTENT_STYLE[mark.role]),
            styled(
                f"{counted(len(graph.tasks), 'task')}  {counted(tool_call_count(graph), 'tool')}", "$foreground-muted"
            ),
            styled(duration(graph.updated_at - graph.created_at), "$foreground-muted"),
            *([styled(line(graph.user_id, 32), "$foreground-muted")] if graph.user_id and self.follows_team else []),
        )
        self.query_one("#timeline", TextPanel).say(timeline(graph.events, graph, zone), home=False)
        tree = self.query_one(RunTree)
        tree.take(graph)
        if not graph.tasks:
            why = "No task was recorded in this session yet. What the agent records appears here by itself."
            self.query_one("#detail", TextPanel).say(styled(why, "$foreground-muted"))
        elif tree.cursor_node is not None and tree.cursor_node.data is not None:
            self._describe(tree.cursor_node.data, home=False)

    @on(Tree.NodeHighlighted)
    def _highlighted(self, event: Tree.NodeHighlighted[Node]) -> None:
        if event.node.data is not None:
            self._describe(event.node.data)

    def _describe(self, node: Node, *, home: bool = True) -> None:
        panel = self.query_one("#detail", TextPanel)
        panel.border_title = title_of(node)
        content = describe(node, self.dashboard.zone)
        if isinstance(node, Artifact):
            if not home:
                return
            self._preview(node)
        panel.say(content, home=home)

    @work(group="preview", exclusive=True, exit_on_error=False)
    async def _preview(self, artifact: Artifact) -> None:
        """Read the beginning of what is under the cursor. The cursor moving on cancels it."""
        await self.dashboard.pause(PREVIEW_PAUSE)
        runs = self.dashboard.runs
        if runs is None:
            return
        if artifact.size > PREVIEW_BYTES:
            note = "This is long; enter opens it."
            self.post_message(self.PreviewRead(artifact, styled(note, "$foreground-muted")))
            return
        with self.dashboard.reporting():
            data = await runs.get_artifact_content(artifact.id)
            preview = await self.dashboard.in_thread(_begin, data, artifact)
            self.post_message(self.PreviewRead(artifact, preview))

    @on(PreviewRead)
    def _preview_read(self, event: PreviewRead) -> None:
        node = self.query_one(RunTree).cursor_node
        if node is not None and node.data == event.artifact:
            about = describe(event.artifact, self.dashboard.zone)
            self.query_one("#detail", TextPanel).say(Content("\n").join([about, Content(""), event.preview]))

    @on(Tree.NodeSelected)
    def _selected(self, event: Tree.NodeSelected[Node]) -> None:
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
        from acode_tui.tui.screens.artifact import ArtifactScreen

        self.app.push_screen(ArtifactScreen(artifact))

    def action_unfold(self) -> None:
        if not self.query_one(RunTree).unfold():
            self.notify("This run is large: its tasks are unfolded, unfold steps one by one.", markup=False)

    def action_fold(self) -> None:
        self.query_one(RunTree).fold()


def _begin(data: bytes, artifact: Artifact) -> Content:
    """The first lines of an artifact's content, coloured. Runs in a thread."""
    from acode_tui.tui.document import coloured, open_document

    document = open_document(data, artifact.name, artifact.content_type, artifact.type)
    lines = coloured(document, 0)[:PREVIEW_LINES]
    preview = Content("\n").join(line if len(line) <= 400 else line[:400] for line in lines)
    if document.line_count > PREVIEW_LINES or len(document.parts) > 1:
        preview = Content.assemble(preview, ("\n… enter opens the whole text", "$text-warning"))
    return preview
