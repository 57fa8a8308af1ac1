"""The rows of one block of a conversation, at one width and in the colours of one theme. Pure.

Rows of call lines and of what is folded are cheap. Those of a block with content are not: they are made in a thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.segment import Segment
from textual.content import Content

from acode_tui.domain.display import cell_width, fit
from acode_tui.domain.entities import Artifact, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.quantities import counted, duration, number, size
from acode_tui.domain.states import ArtifactType, ToolCallState
from acode_tui.tui.run.blocks import MAX_ROWS, Block
from acode_tui.tui.run.document import Document, highlighted_lines, open_document
from acode_tui.tui.run.markdown import markdown_rows
from acode_tui.tui.run.nodes import Node, parameter_hint, short_path
from acode_tui.tui.style.palette import ARTIFACT, CONTENT_STYLE, TOOL_CALL, WORK, Colours, Mark
from acode_tui.tui.style.text import block as block_text
from acode_tui.tui.style.text import line, pretty_json, styled

MAX_READ_BYTES = 1_000_000
"""The largest content that is read for the page; a larger one is named, and enter opens it."""
MAX_REASON_ROWS = 12
MAX_PARAMETER_ROWS = 30
MAX_PROMPT_CHARS = 20_000
_MAX_LINE = 2_000
_INDENT = 2
_LAST_COLUMN = 8
"""Columns for how long a call took."""

Row = Content | list[Segment]


@dataclass(frozen=True, slots=True)
class Look:
    """What rows depend on beside their block: columns, and the colours of the theme."""

    width: int
    colours: Colours
    dark: bool


def text_of_row(row: Row) -> str:
    """The characters of a row."""
    return row.plain if isinstance(row, Content) else "".join(segment.text for segment in row)


def needs_content(block: Block) -> bool:
    """Whether the content of the block's artifact must be read before its rows can be made."""
    artifact = block.artifact
    return artifact is not None and block.kind not in ("image", "file") and 0 < artifact.size <= MAX_READ_BYTES


def rows_of(block: Block, content: bytes | AcodeError | None, look: Look, *, opened: bool) -> list[Row]:
    """The rows of a block. ``content`` is that of its artifact, or why it cannot be read."""
    node = block.node
    if isinstance(node, TaskGraph):
        return _prompt(node.description or node.title, look, opened=opened)
    if isinstance(node, StepGraph):
        return [_line(WORK[node.state], node.name, "", WORK[node.state].word, "", look.width)]
    if isinstance(node, ToolCallGraph):
        return _call(node, look, opened=opened)
    if isinstance(content, AcodeError):
        return _unread(node, content, look)
    if not needs_content(block):
        return [_named(node)]
    text = clean_decoded(content or b"")
    if text is not None and block.kind == "prompt":
        return _prompt(text, look, opened=False)
    if text is not None and block.kind == "reasoning":
        return _reasoning(text, look, opened=opened)
    if text is not None and block.kind == "answer":
        rows: list[Row] = [
            [Segment(" " * _INDENT), *row]
            for row in markdown_rows(text, look.width - _INDENT, look.colours, dark=look.dark)
        ]
        return _cut(rows, MAX_ROWS["answer"], text.count("\n") + 1)
    return _document(block, node, content or b"", look)


def clean_decoded(content: bytes) -> str | None:
    """Content as text; None for bytes that are not text."""
    try:
        return None if b"\0" in content else content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None


def placeholder(block: Block) -> Row:
    """The first row of a block whose content is still being read."""
    artifact = block.artifact
    glyph = ARTIFACT[artifact.type].glyph if artifact is not None else " "
    return styled(f"{glyph} …", "$foreground-muted")


def _prompt(text: str, look: Look, *, opened: bool) -> list[Row]:
    mark = ARTIFACT[ArtifactType.USER_PROMPT]
    shown = block_text(text.strip("\n"), "bold $foreground", max_chars=MAX_PROMPT_CHARS)
    rows = _indented(shown, look.width, (f"{mark.glyph} ", CONTENT_STYLE[mark.role]))
    return _cut(rows, MAX_ROWS["answer" if opened else "prompt"], text.count("\n") + 1)


def _reasoning(text: str, look: Look, *, opened: bool) -> list[Row]:
    glyph = ("∴ ", "$foreground-muted")
    if opened:
        shown = block_text(text.strip("\n"), "italic $foreground-muted", max_chars=MAX_PROMPT_CHARS)
        return _cut(_indented(shown, look.width, glyph), MAX_ROWS["reasoning"], text.count("\n") + 1)
    words = line(text.strip().replace("**", ""))
    return [Content.assemble(glyph, (fit(words, look.width - _INDENT), "italic $foreground-muted"))]


def _call(call: ToolCallGraph, look: Look, *, opened: bool) -> list[Row]:
    mark = TOOL_CALL[call.state]
    took = duration(call.completed_at - call.created_at) if call.completed_at is not None else ""
    rows: list[Row] = [_line(mark, call.tool_name, parameter_hint(call.parameters), mark.word, took, look.width)]
    if call.error_message:
        # A call that the user stopped or refused did not fail.
        style = "$text-error" if call.state is ToolCallState.FAILED else "$foreground-muted"
        rows += _body(block_text(call.error_message, style), look, MAX_REASON_ROWS, style, opened)
    if opened and call.parameters not in (None, {}, []):
        rows += _body(_parameters(call.parameters), look, MAX_PARAMETER_ROWS)
    if opened and call.result not in (None, {}, [], "") and not call.artifacts:
        rows.append(Content.assemble("  ", ("result", "bold $foreground-muted")))
        rows += _body(Content(pretty_json(call.result)[:MAX_PROMPT_CHARS]), look, MAX_PARAMETER_ROWS)
    return rows


def _parameters(parameters: object) -> Content:
    """The parameters as JSON; of a call with one text, such as a command, that text as it was written."""
    values = list(parameters.values()) if isinstance(parameters, dict) else []
    only = values[0] if len(values) == 1 and isinstance(values[0], str) else None
    return block_text(only or pretty_json(parameters), max_chars=MAX_PROMPT_CHARS)


def _line(mark: Mark, name: str, hint: str, outcome: str, took: str, width: int) -> Content:
    """One line: sign, name, what it acted on, and at the right edge the outcome in words and the time it took."""
    right = f"{outcome:>10}{took:>{_LAST_COLUMN}}" if width >= 50 else ""
    room = max(width - _INDENT - len(right) - 1, 8)
    name = fit(line(name), room)
    hint = fit(line(short_path(hint)), max(room - cell_width(name) - 2, 0)) if hint else ""
    left = cell_width(name) + (cell_width(hint) + 2 if hint else 0)
    style = CONTENT_STYLE[mark.role]
    return Content.assemble(
        (f"{mark.glyph} ", style),
        (name, "bold $foreground"),
        (f"  {hint}" if hint else "", "$foreground-muted"),
        " " * (room - left + 1),
        (right[:10], style if mark.role in ("bad", "wait", "busy") else "$foreground-muted"),
        (right[10:], "$foreground-muted"),
    )


def _named(artifact: Artifact) -> Content:
    """An artifact that is not shown inline: its name, type and size."""
    mark = ARTIFACT[artifact.type]
    return Content.assemble(
        "  " if artifact.tool_call_id else "",
        (f"{mark.glyph} ", CONTENT_STYLE[mark.role]),
        (line(short_path(artifact.name)), "$foreground"),
        (f"  {line(artifact.content_type)}  {size(artifact.size)}", "$foreground-muted"),
        ("  enter opens it" if artifact.size > MAX_READ_BYTES else "", "$text-warning"),
    )


def _unread(artifact: Artifact, error: AcodeError, look: Look) -> list[Row]:
    head = Content.assemble(("✗ ", "$text-error"), (line(short_path(artifact.name)), "$foreground"))
    message = block_text(f"could not be read: {error.message}", "$text-error", max_chars=1_000)
    hint = styled("R reads it again.", "$foreground-muted")
    return [head, *_body(message, look, MAX_REASON_ROWS), Content.assemble("  ", hint)]


def _document(block: Block, artifact: Artifact, content: bytes, look: Look) -> list[Row]:
    """A diff, or what a call read or printed: highlighted, and cut."""
    document = open_document(content, artifact.name, artifact.content_type, artifact.type)
    most = MAX_ROWS[block.kind if block.kind in ("diff", "output") else "output"]
    mark = ARTIFACT[artifact.type]
    count = _changes(document) if document.kind == "diff" else counted(document.line_count, "line")
    head = Content.assemble(
        "  ",
        (f"{mark.glyph} ", CONTENT_STYLE[mark.role]),
        (fit(line(short_path(artifact.name)), max(look.width - 24, 8)), "$foreground"),
        (f"  {count}", "$foreground-muted"),
    )
    shown: list[Content] = [each[:_MAX_LINE] for each in _head_lines(document, most)]
    rows = [row for each in shown for row in _folded(each, look.width - 4)]
    cut: list[Row] = [Content.assemble(("  │ ", "$foreground-muted"), row) for row in rows[:most]]
    if len(rows) > most or document.line_count > len(shown):
        cut.append(_more(document.line_count))
    return [head, *cut]


def _head_lines(document: Document, most: int) -> list[Content]:
    """The first lines of a document. Of a long part only the beginning is highlighted."""
    part = document.parts[0]
    lines = part.lines
    if len(lines) <= most:
        return highlighted_lines(document, 0)
    head = Document(document.kind, document.language, (replace(part, text="\n".join(lines[:most])),), most)
    return highlighted_lines(head, 0)


def _changes(document: Document) -> str:
    lines = [each for part in document.parts for each in part.lines]
    added = sum(each.startswith("+") and not each.startswith("+++") for each in lines)
    removed = sum(each.startswith("-") and not each.startswith("---") for each in lines)
    return f"+{number(added)} -{number(removed)}"


def _body(text: Content, look: Look, most: int, style: str = "$foreground-muted", opened: bool = False) -> list[Row]:
    """Lines of text below a call, behind a rule; all of them where the block is unfolded."""
    rows = [row for each in text.split("\n", allow_blank=True) for row in _folded(each, look.width - 4)]
    limit = MAX_ROWS["answer"] if opened else most
    cut: list[Row] = [Content.assemble(("  │ ", style), row) for row in rows[:limit]]
    if len(rows) > limit:
        cut.append(_more(len(rows)))
    return cut


def _indented(text: Content, width: int, first: tuple[str, str]) -> list[Row]:
    rows = [row for each in text.split("\n", allow_blank=True) for row in _folded(each, width - _INDENT)]
    return [Content.assemble(first if not at else " " * _INDENT, row) for at, row in enumerate(rows)]


def _cut(rows: Sequence[Row], most: int, lines: int) -> list[Row]:
    return [*rows[:most], _more(lines)] if len(rows) > most else list(rows)


def _more(lines: int) -> Content:
    return Content.assemble("  ", (f"… enter: all {counted(lines, 'line')}", "$text-warning"))


def _folded(text: Content, width: int) -> list[Content]:
    return [text] if text.cell_length <= width else text.wrap(max(width, 8))


def text_of(node: Node, content: bytes | None) -> str:
    """The text that ``y`` copies: what was said or printed, the reason of a failure, what a call acted on."""
    if isinstance(node, TaskGraph):
        return node.description or node.title
    if isinstance(node, StepGraph):
        return node.description or node.name
    if isinstance(node, ToolCallGraph):
        return node.error_message or full_hint(node.parameters) or node.tool_name
    return clean_decoded(content or b"") or ""


def full_hint(parameters: object) -> str:
    """What a call acted on, whole: the command or path, else its parameters as JSON."""
    for name in ("command", "file_path", "path", "pattern", "query", "url"):
        value = parameters.get(name) if isinstance(parameters, dict) else None
        if isinstance(value, str) and value:
            return value
    return pretty_json(parameters) if parameters not in (None, {}, []) else ""
