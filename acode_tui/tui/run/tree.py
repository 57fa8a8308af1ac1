"""The tree of a run. The nodes below a folded node are created when it is first unfolded, some hundred at a time: a run
of thousands of nodes opens at once.

Nothing of a run is ever deleted and siblings keep their order, so showing a newer state of the same run changes labels
and adds nodes, and keeps the cursor, the folds and the scroll position.
"""

from collections.abc import Sequence
from typing import ClassVar, Self

from rich.style import Style
from rich.text import Text
from textual.binding import BindingType
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.quantities import number
from acode_tui.tui.bindings import TREE
from acode_tui.tui.run.nodes import Node, children, label, node_count
from acode_tui.tui.style.palette import Colours
from acode_tui.tui.style.text import line

MAX_UNFOLD_ALL = 1_500
"""The most nodes of a run that can be unfolded as a whole; more would delay the keys."""
MAX_UNFOLDED_STEPS = 60
MAX_UNFOLDED_CALLS = 200
"""The most steps and tool calls of a run that opens with all its steps unfolded."""
SIBLINGS_AT_ONCE = 500
"""Siblings that are created at once. A line below them shows how many are left, and creates more when selected."""
_MAX_LABEL = 300


class RunTree(Tree[Node]):
    """Tasks, steps, tool calls, artifacts."""

    BINDINGS: ClassVar[list[BindingType]] = [*TREE]
    ICON_NODE = "▸ "
    ICON_NODE_EXPANDED = "▾ "

    def __init__(self) -> None:
        super().__init__("", id="tree", classes="frame")
        self.show_root = False
        self.guide_depth = 2
        self.auto_expand = False
        self._graph: SessionGraph | None = None
        self._created: dict[str, TreeNode[Node]] = {}
        """The tree's nodes by entity id."""
        self._limits: dict[int, int] = {}
        """How many children of a node may be created, by its id, where it is more than at first."""
        self._more_lines: dict[int, TreeNode[Node]] = {}
        """The line below a node's children that shows how many more there are, by the node's id."""

    def show(self, graph: SessionGraph) -> None:
        """Show a run, or a newer state of the run that is shown."""
        first = self._graph is None
        self._graph = graph
        at_top = self.get_node_at_line(self.scroll_offset.y)
        line = at_top.line if at_top is not None else 0
        self._update_children(self.root, graph)
        self.root.expand()
        # Node lines are known after the lines are built, which reading last_line does.
        if at_top is not None and self.last_line and (moved := at_top.line - line):
            # An artifact came before what is on screen.
            self.scroll_to(y=self.scroll_offset.y + moved, animate=False)
        if first:
            self._unfold_at_first(graph)
            if graph.tasks:
                self.move_cursor(self.root.children[0])

    def clear(self) -> Self:
        """Remove the run, before another one is shown."""
        self._graph = None
        self._created, self._limits, self._more_lines = {}, {}, {}
        return super().clear()

    def unfold(self) -> bool:
        """Unfold every node. False if the run is too large for that: then only its tasks are unfolded."""
        graph = self._graph
        if graph is None:
            return True
        everything = node_count(graph) <= MAX_UNFOLD_ALL
        for task in list(self.root.children):
            self._unfold_node(task)
            if everything:
                for step in list(task.children):
                    self._unfold_node(step)
                    for call in list(step.children):
                        self._unfold_node(call)
        return everything

    def reveal(self, path: Sequence[Node]) -> None:
        """Unfold what is above the last node of a path, and put the cursor on that node."""
        parent: TreeNode[Node] = self.root
        owner: SessionGraph | Node | None = self._graph
        for node in path:
            if owner is None:
                return
            if node.id not in self._created:
                place = children(owner).index(node) + 1
                self._limits[parent.id] = max(self._limits.get(parent.id, SIBLINGS_AT_ONCE), place)
                self._update_children(parent, owner)
            if parent is not self.root:
                parent.expand()
            parent, owner = self._created[node.id], node
        # A node's line number is known after the lines are built, which reading last_line does.
        if path and self.last_line >= 0:
            self.move_cursor(parent)
            self.scroll_to_node(parent, animate=False)

    def fold(self) -> None:
        """Fold every task."""
        for task in self.root.children:
            task.collapse()

    def _unfold_at_first(self, graph: SessionGraph) -> None:
        """Unfold a small run whole, of a large one the last task."""
        steps = [step for task in graph.tasks for step in task.steps]
        few = len(steps) <= MAX_UNFOLDED_STEPS and sum(len(step.tool_calls) for step in steps) <= MAX_UNFOLDED_CALLS
        for task in list(self.root.children) if few else list(self.root.children)[-1:]:
            self._unfold_node(task)
            if few:
                for step in list(task.children):
                    self._unfold_node(step)

    def _unfold_node(self, node: TreeNode[Node]) -> None:
        self._create_children(node)
        node.expand()

    def _update_children(self, node: TreeNode[Node], owner: SessionGraph | Node) -> None:
        below = children(owner)
        colours = Colours.of(self.app.theme_variables)
        # An artifact that comes late stands before the tool calls that were there: what is created stays created.
        last = max((at for at, child in enumerate(below, 1) if child.id in self._created), default=0)
        limit = max(self._limits.get(node.id, SIBLINGS_AT_ONCE), last)
        shown = below[:limit]
        more_line = self._more_lines.get(node.id)
        if more_line is not None and any(child.id not in self._created for child in shown):
            del self._more_lines[node.id]
            more_line.remove()
        for index, child in enumerate(shown):
            text = _label_text(child, colours)
            if (created := self._created.get(child.id)) is not None:
                self._update_node(created, child, text)
            else:
                before = index if index < len(node.children) else None
                expandable = bool(children(child))
                self._created[child.id] = node.add(text, data=child, before=before, allow_expand=expandable)
        if len(below) > limit:
            self._show_more_line(node, len(below) - limit)

    def _show_more_line(self, node: TreeNode[Node], count: int) -> None:
        text = Text(f"… {number(count)} more, enter shows them", Colours.of(self.app.theme_variables).style("wait"))
        more_line = self._more_lines.get(node.id)
        if more_line is None:
            self._more_lines[node.id] = node.add(text, allow_expand=False)
        elif more_line.label != text:
            more_line.set_label(text)

    def action_select_cursor(self) -> None:
        """Select the node under the cursor; on the line below many siblings, create more of them."""
        node = self.cursor_node
        if node is None or node.data is not None or node.parent is None:
            super().action_select_cursor()
            return
        parent = node.parent
        index = len(parent.children) - 1
        self._limits[parent.id] = self._limits.get(parent.id, SIBLINGS_AT_ONCE) + SIBLINGS_AT_ONCE
        owner = parent.data or self._graph
        if owner is not None:
            self._update_children(parent, owner)
            # A node's line number is known after the lines are built, which reading last_line does.
            if index <= self.last_line:
                self.move_cursor(parent.children[index])

    def _update_node(self, node: TreeNode[Node], child: Node, text: Text) -> None:
        expandable = bool(children(child))
        if node.label != text or node.allow_expand != expandable:
            # Its line is drawn again, with the icon of the state below.
            node.set_label(text)
        node.data = child
        node.allow_expand = expandable
        if node.children or node.is_expanded:
            self._update_children(node, child)

    def _create_children(self, node: TreeNode[Node]) -> None:
        if node.data is not None and not node.children:
            self._update_children(node, node.data)

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[Node]) -> None:
        self._create_children(event.node)

    def restyle(self) -> None:
        """Rebuild the labels in the colours of the current theme."""
        colours = Colours.of(self.app.theme_variables)
        for node in self._created.values():
            if node.data is not None:
                node.set_label(_label_text(node.data, colours))

    def process_label(self, label: str | Text) -> Text:
        return label if isinstance(label, Text) else Text(label)

    def get_label_width(self, node: TreeNode[Node]) -> int:
        """0, so that the tree never scrolls sideways: labels are truncated, and the detail panel has them whole."""
        return 0

    def on_resize(self) -> None:
        self._clear_line_cache()

    def render_label(self, node: TreeNode[Node], base_style: Style, style: Style) -> Text:
        shown = node.label.copy() if isinstance(node.label, Text) else Text(node.label)
        if node is self.cursor_node:
            shown.spans.clear()
        shown.stylize(style)
        columns = self.scrollable_content_region.width - self.guide_depth * _depth(node) - len(self.ICON_NODE)
        shown.truncate(max(columns, 8), overflow="ellipsis")
        icon = "  " if not node.allow_expand else self.ICON_NODE_EXPANDED if node.is_expanded else self.ICON_NODE
        return Text.assemble((icon, base_style + Style.from_meta({"toggle": True})), shown, no_wrap=True)

    def action_expand(self) -> None:
        """Unfold the node; if it is unfolded, go to its first child."""
        node = self.cursor_node
        if node is None or not node.allow_expand:
            return
        if node.is_expanded and node.children:
            self.move_cursor(node.children[0])
        else:
            self._unfold_node(node)

    def action_collapse(self) -> None:
        """Fold the node; if it is folded, go to its parent."""
        node = self.cursor_node
        if node is None:
            return
        if node.is_expanded and node.allow_expand:
            node.collapse()
        elif node.parent is not None and node.parent is not self.root:
            self.move_cursor(node.parent)

    def action_half_page(self, direction: int) -> None:
        step = max(self.size.height // 2, 1)
        self.cursor_line = min(max(self.cursor_line + direction * step, 0), self.last_line)


def _depth(node: TreeNode[Node]) -> int:
    depth, parent = 0, node.parent
    while parent is not None and parent.parent is not None:
        depth, parent = depth + 1, parent.parent
    return depth


def _label_text(node: Node, colours: Colours) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    for value, role in label(node):
        text.append(line(value)[:_MAX_LABEL], colours.style(role))
    return text
