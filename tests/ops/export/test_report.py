"""Reports of a run: every value is escaped, the page loads nothing, and content cannot break out of its block."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from acode_tui.domain.codec import digest
from acode_tui.domain.entities import Artifact, SessionGraph
from acode_tui.domain.errors import ExportError
from acode_tui.domain.states import ArtifactType
from acode_tui.ops.export.export import ExportRequest
from acode_tui.ops.export.html import render_html
from acode_tui.ops.export.json import About
from acode_tui.ops.export.markdown import fence, inline, quote, render_markdown
from acode_tui.ops.export.report import MOST_CHARS, Report, ReportFile
from acode_tui.workspace import Workspace
from tests.domain.graphs import HOSTILE
from tests.storage.runs import make_run

ABOUT = About(
    created_at="2026-01-05T18:23:45.000000Z", program_version="1", schema_version="1", workspace_id="w", redacted=True
)
BREAKING = (
    *HOSTILE,
    "```\n# broke out\n```",
    "~~~~\n</details></summary><script>alert(1)</script>",
    "</pre></details><img src=x onerror=alert(1)>",
    "![x](https://evil.example/x.png) [y](javascript:alert(1)) <https://evil.example>",
    "@everyone | pipe \\| `tick` **bold** $math$ # head\n---\n===",
    "<!-- comment --> &lt;b&gt; &#60;",
    "    indented\n\tcode",
)
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Parses a page and checks that every element is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def report_of(graph: SessionGraph) -> Report:
    import io

    found: list[Report] = []

    def render(report: Report) -> Any:
        found.append(report)
        return iter(())

    file = ReportFile(io.BytesIO(), ABOUT, render)
    for entity in graph.entities():
        file.add(entity)
    file.close({})
    return found[0]


def artifact_of(
    artifact: Artifact, name: str, content: bytes, type: ArtifactType, mime: str = "text/plain"
) -> Artifact:
    return msgspec.structs.replace(
        artifact,
        name=name,
        type=type,
        content=content,
        size=len(content),
        content_hash=digest(content),
        content_type=mime,
    )


def run_of(text: str, *, type: ArtifactType = ArtifactType.FILE_CONTENT, content: bytes | None = None) -> SessionGraph:
    """A run with this text in every field."""
    graph = make_run("00000000-0000-0000-0000-000000000007", description=text.strip() or "x", calls=1)
    (task,) = graph.tasks
    (step,) = task.steps
    (call,) = step.tool_calls
    data = text.encode() if content is None else content
    call = msgspec.structs.replace(
        call,
        tool_name=text,
        parameters={text: [text]},
        result=text,
        error_message=text,
        artifacts=(artifact_of(call.artifacts[0], text, data, type),),
    )
    step = msgspec.structs.replace(
        step,
        name=text,
        description=text,
        artifacts=(artifact_of(step.artifacts[0], text, data, ArtifactType.REASONING),),
        tool_calls=(call,),
    )
    task = msgspec.structs.replace(
        task,
        title=text,
        description=f"about {text}",
        artifacts=(artifact_of(task.artifacts[0], text, data, ArtifactType.USER_PROMPT),),
        steps=(step,),
    )
    events = tuple(msgspec.structs.replace(event, reason=text) for event in graph.events)
    return msgspec.structs.replace(graph, tasks=(task,), events=events, metadata={text: text}, user_id=text)


@pytest.mark.parametrize("text", BREAKING)
def test_html_holds_no_element_that_was_recorded_and_loads_nothing(text: str) -> None:
    html = "".join(render_html(report_of(run_of(text))))
    page = Page(html)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "iframe", "object", "link", "base", "form", "a", "svg", "b script"}
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert not {"href", "srcset", "action"} & set(attributes)
        assert tag != "img"
    assert "default-src 'none'" in html
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert "url(" not in html.split("</style>")[0]


@pytest.mark.parametrize("text", BREAKING)
def test_markdown_holds_no_html_link_or_image_that_was_recorded(text: str) -> None:
    markdown = "".join(render_markdown(report_of(run_of(text))))
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    page = Page(rendered)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "a", "iframe"}
    assert "\x1b" not in markdown
    assert "@" not in inline(text) + quote(text)
    assert [tag for tag, _ in page.elements].count("h1") == 1
    assert [tag for tag, _ in page.elements].count("details") == 5


@given(st.text("`~\n a<", max_size=60))
def test_nothing_closes_a_fence_but_its_end(text: str) -> None:
    rendered = MarkdownIt("commonmark").render(fence(text) + "\n\nafter\n")
    assert rendered.endswith("<p>after</p>\n")
    assert rendered.count("<pre>") == 1


@given(st.text(st.sampled_from("`*_[]()<>#&|~\\!-+=1.: \n\tab@$"), max_size=40))
def test_inline_and_quoted_text_is_the_recorded_text(text: str) -> None:
    render = MarkdownIt("commonmark", {"html": True}).render
    line = Page(render(f"x {inline(text)} x"))
    assert " ".join("".join(line.text).split()) == " ".join(f"x {text} x".split())
    assert {tag for tag, _ in line.elements} <= {"p"}
    quoted = Page(render(quote(text)))
    assert not {tag for tag, _ in quoted.elements} & {"a", "img", "em", "strong", "code", "h1"}


def test_a_diff_is_coloured_line_by_line() -> None:
    graph = run_of(
        "x", type=ArtifactType.FILE_DIFF, content=b"--- a/f\n+++ b/f\n@@ -1 +1 @@\n-old <b>\n+new &\n same\n"
    )
    html = "".join(render_html(report_of(graph)))
    assert '<span class="del">-old &lt;b&gt;\n</span>' in html
    assert '<span class="add">+new &amp;\n</span>' in html
    assert '<span class="hunk">@@' in html
    assert "```diff\n--- a/f" in "".join(render_markdown(report_of(graph)))


def test_binary_content_is_named_and_images_are_inside_the_page() -> None:
    binary = "".join(render_html(report_of(run_of("x", content=b"\x00\x01\x02"))))
    assert "3 B that are not shown here" in binary
    image = run_of("x", content=b"\x89PNG\r\n")
    call = image.tasks[0].steps[0].tool_calls[0]
    artifact: Artifact = msgspec.structs.replace(call.artifacts[0], content_type="image/png")
    step = msgspec.structs.replace(
        image.tasks[0].steps[0], tool_calls=(msgspec.structs.replace(call, artifacts=(artifact,)),)
    )
    image = msgspec.structs.replace(image, tasks=(msgspec.structs.replace(image.tasks[0], steps=(step,)),))
    html = "".join(render_html(report_of(image)))
    assert 'src="data:image/png;base64,iVBORw0K"' in html


def test_what_was_said_stands_where_it_was_said() -> None:
    graph = make_run("00000000-0000-0000-0000-000000000007", description="Validate", calls=1)
    (task,) = graph.tasks
    (step,) = task.steps
    said = artifact_of(step.artifacts[0], "text", b"All fields are checked now.", ArtifactType.MODEL_RESPONSE)
    picture = artifact_of(task.artifacts[0], "form.png", b"\x89PNG\r\n", ArtifactType.IMAGE, "image/png")
    step = msgspec.structs.replace(step, artifacts=(*step.artifacts, said))
    task = msgspec.structs.replace(
        task, description="Please validate …", artifacts=(*task.artifacts, picture), steps=(step,)
    )
    report = report_of(msgspec.structs.replace(graph, tasks=(task,)))
    html, markdown = "".join(render_html(report)), "".join(render_markdown(report))
    for page, call in ((html, "<code>read_file</code>"), (markdown, "**read_file**")):
        places = [
            page.index(part)
            for part in (
                "Please validate every field.",
                "form.png",
                "Read the login form",
                "The form trusts its input.",
                "All fields are checked now.",
                call,
                "login-0.ts",
            )
        ]
        assert places == sorted(places)
        assert "Please validate …" not in page, "the prompt says it whole"
        assert "(response)" not in page
    assert 'src="data:image/png;base64,iVBORw0K"' in html
    assert re.search(r"<summary>reasoning .*</summary>\n<pre>\nThe form trusts its input", html), "folded"
    assert '<pre class="prose response">\nAll fields' in html
    assert '<pre class="prose prompt">\nPlease' in html
    assert dict(report.numbers)["artifacts"] == "5"
    assert dict(report.numbers)["tool calls"] == "1"


def test_a_page_of_any_run_stays_readable() -> None:
    graph = run_of("a" * 300_000, content=b"b" * 900_000)
    for render in (render_html, render_markdown):
        page = "".join(render(report_of(graph)))
        assert "more characters" in page
        assert len(page) < 12 * MOST_CHARS


@pytest.mark.parametrize("render", [render_html, render_markdown])
def test_a_cut_text_names_how_much_is_missing_once(render: Any) -> None:
    response = run_of("x", type=ArtifactType.MODEL_RESPONSE, content=b"b" * (MOST_CHARS + 1234))
    assert "… 1,234 more characters" in "".join(render(report_of(response)))


@pytest.mark.parametrize("format", ["markdown", "html"])
async def test_a_report_is_of_one_session_and_redacted(workspace: Workspace, tmp_path: Path, format: Any) -> None:
    for _ in range(2):
        await workspace.store.save(make_run(workspace.workspace_id, description="for ada@example.org"))
    session = (await workspace.store.list()).sessions[0]
    report = await workspace.export_session(session.id, format, tmp_path / "page")
    page = (tmp_path / "page").read_text()
    assert report.redactions == {"email": 1}
    assert "redacted:email" in page
    assert "ada@example.org" not in page
    assert "Known shapes of secrets were hidden." in page
    assert re.search(r"tool calls \| 2 \||<b>2</b> tool calls", page)
    with pytest.raises(ExportError, match="of one session"):
        await workspace.export(ExportRequest(format=format))
