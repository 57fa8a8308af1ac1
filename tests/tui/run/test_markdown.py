"""Markdown that nobody may trust: nothing of it is dropped, obeyed or a link."""

from hypothesis import given
from hypothesis import strategies as st

from acode_tui.tui.run.markdown import markdown_rows
from acode_tui.tui.style.palette import Colours

COLOURS = Colours("#00ff00", "#0000ff", "#ffff00", "#ff0000", "#888888", "#ffffff")


def text_of(markdown: str) -> str:
    return "\n".join("".join(part.text for part in row) for row in markdown_rows(markdown, 80, COLOURS, dark=True))


def test_html_entities_and_control_characters_are_shown_as_text() -> None:
    text = text_of("<b>bold</b> &#27;[31m \x1b]8;;http://evil\x07 [/foo] [bold]x[/bold] :smile:")
    for each in ("<b>bold</b>", "&#27;[31m", "␛]8;;http://evil␇", "[/foo]", "[bold]x[/bold]", ":smile:"):
        assert each in text


def test_a_link_shows_its_address_and_an_image_its_name() -> None:
    rows = markdown_rows("[safe](https://evil.example/x)\n\n![alt](https://i.example/p.png)", 80, COLOURS, dark=True)
    assert all(part.style is None or part.style.link is None for row in rows for part in row)
    text = text_of("[safe](https://evil.example/x) ![alt](https://i.example/p.png)")
    assert "safe (https://evil.example/x)" in text
    assert "▣ alt (https://i.example/p.png)" in text


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("\x1b\x07\u202e&#;<>[]()`*_\n|-"), max_size=200))
def test_whatever_was_written_is_printable(markdown: str) -> None:
    for row in markdown_rows(markdown, 40, COLOURS, dark=True):
        assert "".join(part.text for part in row).isprintable()
