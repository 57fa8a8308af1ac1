"""Line numbers in the viewer: shown or hidden, not copied, not searched."""

import msgspec
import pytest
from textual.content import Content
from textual.pilot import Pilot

from acode_tui.domain.states import ArtifactType
from acode_tui.tui.layout import Layout
from acode_tui.tui.run.artifact import ArtifactScreen
from acode_tui.tui.widgets.text_view import MAX_WIDTH, TextView, _visible_part, lay_out_text
from tests.tui.driving import over, shown, until, until_listed
from tests.tui.fake import FakeWorkspace, graph

DIFF = b"--- a/x.py\n+++ b/x.py\n@@ -98,3 +98,3 @@\n def f():\n-    return 1\n+    return 2\n # end\n"


async def view(pilot: Pilot[int], fake: FakeWorkspace, content: bytes, name: str, type_: ArtifactType) -> TextView:
    await until_listed(pilot)
    call = graph(0).tasks[0].steps[0].tool_calls[0]
    artifact = msgspec.structs.replace(call.artifacts[0], name=name, type=type_, content_type="text/plain")
    fake.store.contents[artifact.id] = content
    pilot.app.push_screen(ArtifactScreen(artifact))
    await until(pilot, lambda: isinstance(pilot.app.screen, ArtifactScreen) and pilot.app.screen.query(TextView))
    found = pilot.app.screen.query_one(TextView)
    await until(pilot, lambda: found.lines)
    return found


def rows(pilot: Pilot[int]) -> list[str]:
    """The rows inside the frame."""
    return [row.strip("│ ▁▂▃▄▅▆▇█\n") for row in shown(pilot).splitlines() if row.startswith("│")]


async def test_line_numbers_of_a_diff_are_hidden_by_a_key_and_the_choice_is_saved(fake: FakeWorkspace) -> None:
    kept: list[Layout] = []
    async with over(fake, save_layout=kept.append).run_test(size=(80, 24)) as pilot:
        found = await view(pilot, fake, DIFF, "x.py", ArtifactType.FILE_DIFF)
        assert rows(pilot)[2:7] == [
            "@@ -98,3 +98,3 @@",
            " 98  98   def f():".strip(),
            " 99      -    return 1".strip(),
            "     99  +    return 2".strip(),
            "100 100   # end",
        ]
        await pilot.press("y")
        assert pilot.app.clipboard == DIFF.decode().rstrip("\n"), "numbers are not copied"
        await pilot.press("slash", *"99", "enter")
        await until(pilot, lambda: "none × “99”" in shown(pilot))
        await pilot.press("escape", "number_sign")
        await until(pilot, lambda: not found.numbered)
        assert rows(pilot)[3:5] == ["def f():", "-    return 1"]
    assert [layout.numbers for layout in kept] == [False]
    async with over(fake, layout=kept[0]).run_test(size=(80, 24)) as pilot:
        found = await view(pilot, fake, DIFF, "x.py", ArtifactType.FILE_DIFF)
        assert not found.numbered
        await pilot.press("number_sign")
        await until(pilot, lambda: found.numbered)


async def test_a_wrapped_line_has_one_number_and_the_top_line_stays_when_wrapping_changes(fake: FakeWorkspace) -> None:
    text = "\n".join(f"line {number} " + "word " * 40 for number in range(1, 300)).encode()
    async with over(fake).run_test(size=(80, 24)) as pilot:
        found = await view(pilot, fake, text, "out", ArtifactType.COMMAND_OUTPUT)
        assert [row[:6] for row in rows(pilot)[:5]] == ["1  lin", "word w", "word w", "2  lin", "word w"]
        assert all(len(row) <= 76 for row in rows(pilot))
        await pilot.press(*["ctrl+d"] * 9)
        top = found.first_visible
        assert top > 20
        for key in ("w", "number_sign", "w", "number_sign"):
            await pilot.press(key)
            await pilot.pause(0.05)
            assert found.first_visible == top, f"after {key}"


async def test_line_numbers_continue_across_parts_and_binary_content_has_none(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await view(pilot, fake, b"x\n" * 4_100, "out", ArtifactType.COMMAND_OUTPUT)
        await pilot.press("right_square_bracket", "right_square_bracket")
        await until(pilot, lambda: rows(pilot)[0] == "4001  x")
        await pilot.press("escape")
        await view(pilot, fake, b"\0" * 600, "x.bin", ArtifactType.FILE_CONTENT)
        assert rows(pilot)[0].startswith("00000000  00")
        assert "number_sign" not in pilot.app.screen.active_bindings


@pytest.mark.parametrize("char", ["a", "字", "e\u0301"], ids=["narrow", "wide", "combining"])
def test_of_a_very_long_line_only_the_visible_columns_are_rendered(char: str) -> None:
    plain = char * 5_000
    for start in (0, 1, 777, 4_000):
        first, last, skipped = _visible_part(plain, start, 100)
        assert last - first <= 2 * (100 + start) + 100, "about what is seen"
        columns = Content(plain[first:last]).cell_length
        assert skipped <= start <= skipped + columns
        assert last == len(plain) or skipped + columns >= start + 100
    laid_out = lay_out_text([Content("x" * 100_000)], None)
    assert len(laid_out.rows[0][1]) == laid_out.widest == MAX_WIDTH
