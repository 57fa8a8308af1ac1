"""The tree of a run, with one of three panes beside it (timeline, about, artifacts) and the detail panel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Tree

from acode_tui.domain.entities import Artifact, SessionGraph, ToolCallGraph
from acode_tui.domain.quantities import number
from acode_tui.tui.dashboard_app import DashboardGetter
from acode_tui.tui.run.artifact_table import ArtifactTable
from acode_tui.tui.run.detail import about, describe, kind_of, timeline
from acode_tui.tui.run.nodes import Node, artifacts_of, foldable, last_path, path_to
from acode_tui.tui.run.tree import RunTree
from acode_tui.tui.style.text import styled
from acode_tui.tui.widgets.keyed_table import KeyedTable
from acode_tui.tui.widgets.text_panel import TextPanel

PREVIEW_PAUSE = 0.08
"""Seconds that the cursor stays on an artifact before its content is read."""
PREVIEW_LINES = 200
PREVIEW_LINE_CHARS = 400
MAX_PREVIEW_BYTES = 1_000_000
MAX_LISTED = 1_000
"""The most artifacts that the list shows: a table of more would delay the keys."""

Side = Literal["timeline", "about", "artifacts"]


class TreePage(Horizontal):
    """The run as a tree."""

    dashboard = DashboardGetter()

    @dataclass
    class Opened(Message):
        """An artifact was chosen, to be shown whole elsewhere."""

        artifact: Artifact

    @dataclass
    class Summed(Message):
        """What a run is and holds was put together, which takes long for a long run."""

        about: Content

    @dataclass
    class PreviewRead(Message):
        """The beginning of an artifact's content was read."""

        artifact: Artifact
        preview: Content

    REST_SECONDS: ClassVar[float] = 0.05
    """How long the cursor stays on a node before the node is described."""

    def __init__(self) -> None:
        super().__init__(classes="beside")
        self._graph: SessionGraph | None = None
        self._side: Side = "timeline"
        self._artifacts: Sequence[Artifact] = ()
        """The artifacts in the list."""
        self._described = ""
        """The id of the node in the detail panel."""
        self._describing: Timer | None = None

    def compose(self) -> ComposeResult:
        yield RunTree()
        with Vertical(id="side"):
            yield TextPanel("Timeline", id="timeline")
            yield TextPanel("About", id="about")
            with Vertical(id="artifacts", classes="frame"):
                yield ArtifactTable()
            yield TextPanel("Detail", id="detail")

    def on_mount(self) -> None:
        self.run_tree.border_title = "Run"
        self._show_open_side()

    @property
    def run_tree(self) -> RunTree:
        return self.query_one(RunTree)

    @property
    def detail(self) -> TextPanel:
        return self.query_one("#detail", TextPanel)

    # The run

    def show(self, graph: SessionGraph, empty: Content, *, follow: bool) -> None:
        """Show a run, or a newer state of the run that is shown. ``follow`` puts the cursor on its last node."""
        self._graph = graph
        self._show_side(graph)
        tree = self.run_tree
        tree.show(graph)
        if not graph.tasks:
            self.detail.update(empty)
        elif follow:
            self.reveal_last()
        elif tree.cursor_node is not None and tree.cursor_node.data is not None:
            self._describe(tree.cursor_node.data, home=False)

    def clear(self) -> None:
        """Remove the run, before another one is shown."""
        self._graph = None
        self._described = ""
        self.run_tree.clear()
        self.detail.update(Content(""))

    def reveal(self, node: Node) -> None:
        """Put the cursor on a node."""
        if self._graph is not None:
            self.run_tree.reveal(path_to(self._graph, node))

    def reveal_last(self) -> None:
        """Put the cursor on the last node of the run."""
        if self._graph is not None:
            self.run_tree.reveal(last_path(self._graph))

    @property
    def is_at_last(self) -> bool:
        """Whether the cursor is on the last node of the run."""
        path = last_path(self._graph) if self._graph is not None else []
        return bool(path) and self.run_tree.cursor_node is not None and self.run_tree.cursor_node.data == path[-1]

    @property
    def node(self) -> Node | None:
        """The node under the cursor, or the artifact under that of the list of artifacts if it has the focus."""
        if self.query_one(ArtifactTable).has_focus:
            return self._listed_artifact
        node = self.run_tree.cursor_node
        return node.data if node is not None else None

    @property
    def focused_panel(self) -> TextPanel | None:
        return next((panel for panel in self.query(TextPanel) if panel.has_focus), None)

    # The panes beside the tree

    def _show_side(self, graph: SessionGraph) -> None:
        """Fill the pane that is open."""
        if self._side == "timeline":
            shown = timeline(graph.events, graph, self.dashboard.zone)
            self.query_one("#timeline", TextPanel).update(shown, home=False)
        elif self._side == "about":
            self._sum_up(graph)
        else:
            self._list_artifacts(graph)

    @work(group="about", exclusive=True, exit_on_error=False)
    async def _sum_up(self, graph: SessionGraph) -> None:
        self.post_message(self.Summed(await self.dashboard.in_thread(about, graph, self.dashboard.zone)))

    @on(Summed)
    def _summed(self, event: Summed) -> None:
        self.query_one("#about", TextPanel).update(event.about, home=False)

    def _list_artifacts(self, graph: SessionGraph) -> None:
        found = artifacts_of(graph, MAX_LISTED + 1)
        self._artifacts = found[:MAX_LISTED]
        self.query_one(ArtifactTable).show_artifacts(self._artifacts)
        title = f"Artifacts  {number(len(found))}" if found else "Artifacts: none was recorded"
        if len(found) > MAX_LISTED:
            title = f"Artifacts: the first {number(MAX_LISTED)}"
        self.query_one("#artifacts").border_title = title

    def _show_open_side(self) -> None:
        for side in ("timeline", "about", "artifacts"):
            self.query_one(f"#{side}").display = side == self._side

    def open_side(self, side: Side) -> None:
        """Show one of the panes, and focus it."""
        self._side = side
        self._show_open_side()
        if self._graph is not None:
            self._show_side(self._graph)
        self.query_one(ArtifactTable if side == "artifacts" else f"#{side}").focus()
        if (node := self.node) is not None:
            self._describe(node)

    @property
    def _listed_artifact(self) -> Artifact | None:
        """The artifact under the cursor of the list of artifacts, if the list has the focus."""
        table = self.query_one(ArtifactTable)
        if not table.has_focus:
            return None
        return next((artifact for artifact in self._artifacts if artifact.id == table.cursor_key), None)

    @on(KeyedTable.RowHighlighted)
    def _artifact_highlighted(self) -> None:
        if (artifact := self._listed_artifact) is not None:
            self._describe(artifact)

    @on(KeyedTable.RowSelected)
    def _artifact_selected(self) -> None:
        if (artifact := self._listed_artifact) is not None:
            self.post_message(self.Opened(artifact))

    # The node under the cursor

    @on(Tree.NodeHighlighted)
    def _node_highlighted(self) -> None:
        """Describe the node once the cursor rests on it: while a key is held down a frame has only the tree to draw."""
        if self._describing is not None:
            self._describing.stop()
        if self.REST_SECONDS:
            self._describing = self.set_timer(self.REST_SECONDS, self._describe_highlighted)
        else:
            self._describe_highlighted()

    def _describe_highlighted(self) -> None:
        under = self.run_tree.cursor_node
        if under is not None and (node := under.data) is not None:
            # The tree also tells of the same node on another line, where nodes came above it.
            self._describe(node, home=node.id != self._described)

    @on(Tree.NodeSelected)
    def _node_selected(self, event: Tree.NodeSelected[Node]) -> None:
        node = event.node
        if node.data is None:
            return
        if isinstance(node.data, Artifact):
            self.post_message(self.Opened(node.data))
        elif foldable(node.data):
            node.toggle()
        elif isinstance(node.data, ToolCallGraph) and len(node.data.artifacts) == 1:
            self.post_message(self.Opened(node.data.artifacts[0]))
        else:
            node.toggle()

    def _describe(self, node: Node, *, home: bool = True) -> None:
        self._described = node.id
        self.detail.border_title = kind_of(node)
        content = describe(node, self.dashboard.zone)
        if isinstance(node, Artifact):
            if not home:
                return
            self._preview(node)
        self.detail.update(content, home=home)

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
        if self.node == event.artifact:
            facts = describe(event.artifact, self.dashboard.zone)
            self.detail.update(Content("\n").join([facts, Content(""), event.preview]))


def _preview_content(data: bytes, artifact: Artifact) -> Content:
    """The first lines of an artifact's content, highlighted. Runs in a thread."""
    from acode_tui.tui.run.document import highlighted_lines, open_document

    document = open_document(data, artifact.name, artifact.content_type, artifact.type)
    lines = highlighted_lines(document, 0)[:PREVIEW_LINES]
    preview = Content("\n").join(line[:PREVIEW_LINE_CHARS] for line in lines)
    if document.line_count > PREVIEW_LINES or len(document.parts) > 1:
        preview = Content.assemble(preview, ("\n… enter opens the whole text", "$text-warning"))
    return preview
