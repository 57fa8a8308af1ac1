"""Line kinds and line numbers of diffs. Pure."""

from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.states import ArtifactType
from acode_tui.tui.run.document import (
    highlighted_lines,
    line_numbers,
    open_document,
)

DIFF = """--- a/x.sql
+++ b/x.sql
@@ -9,4 +9,4 @@ CREATE
 one
--- removed, and no file's name
+++ added, and no file's name
 three
\\ No newline at end of file

+++ beyond what the header counted
@@ -200 +201,2 @@
-old
+new
+newer
@@ @@
-somewhere
"""


def test_lines_of_a_diff_have_the_numbers_of_both_texts_where_these_are_known() -> None:
    document = open_document(DIFF.encode(), "x.diff", "text/x-diff", ArtifactType.FILE_DIFF)
    assert [label.split() for label in line_numbers(document, 0)] == [
        *([], [], []),
        *(["9", "9"], ["10"], ["10"], ["11", "11"], [], ["12", "12"], []),
        *([], ["200"], ["201"], ["202"]),
        *([], []),
    ]
    assert {len(label) for label in line_numbers(document, 0)} == {7}
    styles = [next((str(span.style) for span in line.spans), "") for line in highlighted_lines(document, 0)]
    assert ["error" in style for style in styles][4] and ["success" in style for style in styles][5]  # noqa: PT018
    assert "muted" in styles[0]
    nowhere = open_document(b"@@ @@\n-a\n+b\n", "x.diff", "text/x-diff", ArtifactType.FILE_DIFF)
    assert line_numbers(nowhere, 0) == []


def test_line_numbers_of_a_diff_continue_across_parts() -> None:
    body = "".join(f" {n}\n" for n in range(4_500))
    diff = f"--- a\n+++ b\n@@ -1,4500 +1,4501 @@\n+first\n{body}"
    document = open_document(diff.encode(), "x.diff", "text/x-diff", ArtifactType.FILE_DIFF)
    assert [line_numbers(document, part)[0].split() for part in (1, 2)] == [["1997", "1998"], ["3997", "3998"]]
    assert line_numbers(document, 2)[-1].split() == ["4500", "4501"]


@given(st.text(alphabet="+- @\\x,123\n", max_size=300))
def test_any_text_can_be_shown_as_a_diff(text: str) -> None:
    document = open_document(("@@ -1,9 +1,9 @@\n" + text).encode(), "x.diff", "text/x-diff", ArtifactType.FILE_DIFF)
    assert len(highlighted_lines(document, 0)) == len(document.parts[0].lines)
    assert len(line_numbers(document, 0)) in (0, len(document.parts[0].lines))
