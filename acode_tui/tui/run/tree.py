"""The tree of a run. Nodes below a fold are made when it is first opened, some hundred at a time, so that a run of
thousands opens at once.

Nothing of a run is ever deleted and siblings only grow at their end, so a newer reading of the same run changes labels
and adds nodes, and leaves the cursor, the folds and the scroll where they are.
"""

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import BindingType
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from acode_tui.domain.entities import Artifact, SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.tui.bindings import TREE
from acode_tui.tui.style.palette import ARTIFACT_GLYPH, TOOL_CALL, WORK, Colours, Role
from acode_tui.tui.style.text import line
from acode_tui.tui.style.times import duration, number, size

Node = TaskGraph | StepGraph | ToolCallGraph | Artifact
Label = list[tuple[str, Role]]
"""Pieces of recorded text with their roles."""

_SHOWN_PARAMETERS = ("command", "file_path", "path", "pattern", "query", "url", "description", "prompt", "input")
_MAX_HINT = 160


def is_carrier(call: ToolCallGraph) -> bool:
    """Whether nobody made this call: it only holds texts."""
    return isinstance(call.parameters, dict) and call.parameters.get("carrier") is True


def children(node: SessionGraph | Node) -> Sequence[Node]:
    """What stands below a node."""
    if isinstance(node, SessionGraph):
        return node.tasks
    if isinstance(node, TaskGraph):
        return node.steps
    if isinstance(node, StepGraph):
        below: list[Node] = []
        for call in node.tool_calls:
            below.extend(call.artifacts if is_carrier(call) else (call,))
        return below
    if isinstance(node, ToolCallGraph):
        return node.artifacts
    return ()


def label(node: Node) -> Label:
    """What a node is called."""
    if isinstance(node, TaskGraph):
        mark = WORK[node.state]
        count = len(node.steps)
        return [
            (f"{mark.glyph} ", mark.role),
            (node.title, "plain"),
            (f"  {count} step{'' if count == 1 else 's'}", "quiet"),
        ]
    if isinstance(node, StepGraph):
        mark = WORK[node.state]
        return [(f"{mark.glyph} ", mark.role), (node.name, "plain"), *_said_by_first_call(node)]
    if isinstance(node, ToolCallGraph):
        return _call_label(node)
    return [
        (f"{ARTIFACT_GLYPH.get(node.type, '·')} ", "busy"),
        (short_path(node.name), "plain"),
        (f"  {size(node.size)}", "quiet"),
    ]


def parameter_hint(parameters: object) -> str:
    """The one parameter that says most, for a label: a command, a path, a pattern."""
    if not isinstance(parameters, dict):
        return parameters[:_MAX_HINT] if isinstance(parameters, str) else ""
    for name in _SHOWN_PARAMETERS:
        value = parameters.get(name)
        if isinstance(value, str) and value:
            return short_path(value[:_MAX_HINT])
        if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            return " ".join(value)[:_MAX_HINT]
    return next((value[:_MAX_HINT] for value in parameters.values() if isinstance(value, str) and value), "")


def node_count(graph: SessionGraph) -> int:
    """How many nodes the whole tree has."""
    return sum(1 for _ in graph.entities())


def tool_call_count(graph: SessionGraph) -> int:
    """Calls that somebody made, carriers left out."""
    return sum(not is_carrier(call) for task in graph.tasks for step in task.steps for call in step.tool_calls)


def short_path(text: str) -> str:
    """A long absolute path by its end, which is what tells files apart; other text as it is."""
    parts = text.split("/")
    if text.startswith("/") and len(parts) > 4 and " " not in text:
        return "…/" + "/".join(parts[-2:])
    return text


def _said_by_first_call(step: StepGraph) -> Label:
    """What a step without words of its own is about: it is named after its tools, so its first call's hint is added."""
    first = next((call for call in step.tool_calls if not is_carrier(call)), None)
    if first is None or not step.name.startswith(first.tool_name):
        return []
    return [(f"  {hint}", "quiet")] if (hint := parameter_hint(first.parameters)) else []


def _call_label(call: ToolCallGraph) -> Label:
    mark = TOOL_CALL[call.state]
    parts: Label = [(f"{mark.glyph} ", mark.role), (call.tool_name, "busy")]
    if hint := parameter_hint(call.parameters):
        parts.append((f" {hint}", "quiet"))
    if call.completed_at is not None:
        parts.append((f"  {duration(call.completed_at - call.created_at)}", "quiet"))
    return parts


UNFOLD_AT_ONCE = 1_500
"""Nodes up to which everything is unfolded on request; more would hold up the keys."""
UNFOLD_AT_FIRST = 200
"""Tool calls up to which a run opens with all its steps unfolded."""
AT_ONCE = 500
"""Siblings that are made at once; the rest stands below them as one line that makes more."""
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
        self._made: dict[str, TreeNode[Node]] = {}
        self._room: dict[int, int] = {}
        self._rest: dict[int, TreeNode[Node]] = {}

    def take(self, graph: SessionGraph) -> None:
        """Show a run, or a newer reading of it."""
        first = self._graph is None
        self._graph = graph
        self._grow(self.root, graph)
        self.root.expand()
        if first:
            self._unfold_some(graph)
            if graph.tasks:
                self.move_cursor(self.root.children[0])

    def leave(self) -> None:
        """Forget the run: another one comes."""
        self._graph = None
        self._made, self._room, self._rest = {}, {}, {}
        self.clear()

    def unfold(self) -> bool:
        """Open everything; False if it is too much, and only tasks were opened."""
        graph = self._graph
        if graph is None:
            return True
        everything = node_count(graph) <= UNFOLD_AT_ONCE
        for task in list(self.root.children):
            self._open(task)
            if everything:
                for step in list(task.children):
                    self._open(step)
                    for call in list(step.children):
                        self._open(call)
        return everything

    def fold(self) -> None:
        """Close every task."""
        for task in self.root.children:
            task.collapse()

    def _unfold_some(self, graph: SessionGraph) -> None:
        steps = [step for task in graph.tasks for step in task.steps]
        few = len(steps) <= 60 and sum(len(step.tool_calls) for step in steps) <= UNFOLD_AT_FIRST
        for task in list(self.root.children) if few else list(self.root.children)[-1:]:
            self._open(task)
            if few:
                for step in list(task.children):
                    self._open(step)

    def _open(self, node: TreeNode[Node]) -> None:
        self._fill(node)
        node.expand()

    def _grow(self, node: TreeNode[Node], owner: SessionGraph | Node) -> None:
        below = children(owner)
        room = self._room.get(node.id, AT_ONCE)
        colours = Colours.of(self.app.theme_variables)
        rest = self._rest.get(node.id)
        known = [child for child in node.children if child is not rest]
        if rest is not None and len(known) < room:
            del self._rest[node.id]
            rest.remove()
        for index, child in enumerate(below[:room]):
            text = _text(child, colours)
            if index < len(known):
                self._renew(known[index], child, text)
            else:
                self._made[child.id] = node.add(text, data=child, allow_expand=bool(children(child)))
        if len(below) > room:
            self._say_rest(node, len(below) - room)

    def _say_rest(self, node: TreeNode[Node], count: int) -> None:
        said = Text(f"… {number(count)} more, enter shows them", Colours.of(self.app.theme_variables).style("wait"))
        rest = self._rest.get(node.id)
        if rest is None:
            self._rest[node.id] = node.add(said, allow_expand=False)
        elif rest.label != said:
            rest.set_label(said)

    def action_select_cursor(self) -> None:
        """Open, fold, or show more of a long row of siblings."""
        here = self.cursor_node
        if here is None or here.data is not None or here.parent is None:
            super().action_select_cursor()
            return
        above = here.parent
        place = len(above.children) - 1
        self._room[above.id] = self._room.get(above.id, AT_ONCE) + AT_ONCE
        owner = above.data or self._graph
        if owner is not None:
            self._grow(above, owner)
            # A node knows its line once the lines were built, which asking for their number does.
            if place <= self.last_line:
                self.move_cursor(above.children[place])

    def _renew(self, node: TreeNode[Node], child: Node, text: Text) -> None:
        if node.label != text or node.data is None or node.data.updated_at != child.updated_at:
            node.set_label(text)
        node.data = child
        node.allow_expand = bool(children(child))
        if node.children:
            self._grow(node, child)

    def _fill(self, node: TreeNode[Node]) -> None:
        if node.data is not None and not node.children:
            self._grow(node, node.data)

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[Node]) -> None:
        self._fill(event.node)

    def restyle(self) -> None:
        """Write the labels anew, after the theme changed."""
        colours = Colours.of(self.app.theme_variables)
        for node in self._made.values():
            if node.data is not None:
                node.set_label(_text(node.data, colours))

    def process_label(self, label: str | Text) -> Text:
        return label if isinstance(label, Text) else Text(label)

    def get_label_width(self, node: TreeNode[Node]) -> int:
        """Nothing: labels are cut to the room there is, and the detail panel has them whole."""
        return 0

    def on_resize(self) -> None:
        self._clear_line_cache()

    def render_label(self, node: TreeNode[Node], base_style: Style, style: Style) -> Text:
        shown = node.label.copy() if isinstance(node.label, Text) else Text(node.label)
        if node is self.cursor_node:
            shown.spans.clear()
        shown.stylize(style)
        room = self.scrollable_content_region.width - self.guide_depth * _depth(node) - len(self.ICON_NODE)
        shown.truncate(max(room, 8), overflow="ellipsis")
        icon = "  " if not node.allow_expand else self.ICON_NODE_EXPANDED if node.is_expanded else self.ICON_NODE
        return Text.assemble((icon, base_style + Style.from_meta({"toggle": True})), shown, no_wrap=True)

    def action_expand(self) -> None:
        """Unfold, or step in when unfolded."""
        node = self.cursor_node
        if node is None or not node.allow_expand:
            return
        if node.is_expanded and node.children:
            self.move_cursor(node.children[0])
        else:
            self._open(node)

    def action_collapse(self) -> None:
        """Fold, or step out when folded."""
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
    depth, above = 0, node.parent
    while above is not None and above.parent is not None:
        depth, above = depth + 1, above.parent
    return depth


def foldable(node: Node) -> bool:
    """Whether enter folds and unfolds this node rather than opening it."""
    return isinstance(node, (TaskGraph, StepGraph))


def _text(node: Node, colours: Colours) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    for value, role in label(node):
        text.append(line(value)[:_MAX_LABEL], colours.style(role))
    return text
