"""The layout is saved, and loaded at the next start."""

from pathlib import Path

from acode_tui.tui.layout import Layout, load_layout, save_layout


def test_a_layout_is_saved_for_its_owner_alone_and_a_broken_file_gives_the_default(tmp_path: Path) -> None:
    path = tmp_path / "state" / "dashboard.json"
    assert load_layout(path) == Layout()
    save_layout(path, Layout(sort="state", grouped=True, panes_open=False, mouse=False))
    assert load_layout(path) == Layout(sort="state", grouped=True, panes_open=False, mouse=False)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text('{"sort": "colour"}')
    assert load_layout(path) == Layout()
    path.write_text("[")
    assert load_layout(path) == Layout()


def test_a_layout_that_cannot_be_written_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    save_layout(tmp_path / "file" / "dashboard.json", Layout())
