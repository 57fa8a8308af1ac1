"""Changing one value in a file, and detecting changes."""

import os
import tomllib
from pathlib import Path

import pytest

from acode_tui.config import ConfigWatch, keys, workspace_config_path
from acode_tui.config.edit import set_value, template, unset_value

INTERVAL = keys.find("persistence.sync.interval_seconds")

COMMENTED = """\
# mine
[persistence.sync]
# interval_seconds = 30
jitter = 0.1   # less noise

[tui]
page_size = 20
"""


@pytest.mark.parametrize(
    "text",
    [
        "",
        COMMENTED,
        "[persistence.sync]\ninterval_seconds = 9 # why\n",
        "[persistence.sync]\n",
        "persistence.sync.interval_seconds = 9\n",
        "persistence = { sync = { interval_seconds = 9 } }\n",
        "[persistence]\nsync.interval_seconds = 9\n",
        "[tui]\npage_size = 20",
        '[ "persistence" . sync ]\ninterval_seconds = 9\n[tui.keymap]\nsync = "x"\n',
        "[export]\npatterns = [\n'[persistence.sync]',\n]\n",
    ],
)
def test_an_edit_sets_that_value_and_nothing_else(text: str) -> None:
    before = tomllib.loads(text)
    after = tomllib.loads(set_value(text, INTERVAL, 5.0))
    assert after["persistence"]["sync"].pop("interval_seconds") == 5
    before.get("persistence", {}).get("sync", {}).pop("interval_seconds", None)
    for tables in (before, after):
        if not tables.get("persistence", {"sync": True}).get("sync", True):
            del tables["persistence"]
    assert after == before or {**before, "persistence": {}} == after or after.get("persistence") == {"sync": {}}


def test_an_edit_keeps_comments_and_replaces_the_commented_line() -> None:
    edited = set_value(COMMENTED, INTERVAL, 5.0)
    assert edited == COMMENTED.replace("# interval_seconds = 30", "interval_seconds = 5")
    again = set_value("[persistence.sync]\ninterval_seconds = 9 # why\n", INTERVAL, 7.5)
    assert again == "[persistence.sync]\ninterval_seconds = 7.5 # why\n"


def test_the_template_names_every_setting_and_sets_none() -> None:
    text = template()
    assert not any(tomllib.loads(text).get("tui", {}))
    for key in keys.table().values():
        assert f"# {key.leaf} = " in text
    uncommented = "\n".join(
        line[2:] if " = " in line and not line.endswith(" = ...") and not line.endswith(".") else line
        for line in text.splitlines()
    )
    assert tomllib.loads(uncommented)["persistence"]["sync"]["interval_seconds"] == 30


@pytest.mark.ac("AC-023")
def test_the_watch_detects_edits_creation_and_removal_but_not_a_touch(tmp_path: Path) -> None:
    path = workspace_config_path(tmp_path)
    path.parent.mkdir()
    watch = ConfigWatch(tmp_path, environ={"XDG_CONFIG_HOME": str(tmp_path / "xdg")})
    assert not watch.changed()
    path.write_text("[tui]\npage_size = 20\n")
    assert watch.changed()
    assert not watch.changed()
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert not watch.changed()
    path.write_text("[tui]\npage_size = 21\n")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 2))
    assert watch.changed()
    path.unlink()
    assert watch.changed()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("", ""),
        (COMMENTED, COMMENTED),
        (
            "# mine\n[persistence.sync]\ninterval_seconds = 9 # why\njitter = 0.1\n",
            "# mine\n[persistence.sync]\njitter = 0.1\n",
        ),
        (
            "[tui]\ninterval_seconds = 1\n[persistence.sync]\ninterval_seconds = 9\n",
            "[tui]\ninterval_seconds = 1\n[persistence.sync]\n",
        ),
    ],
)
def test_removing_a_setting_keeps_the_rest_of_the_file(text: str, left: str) -> None:
    assert unset_value(text, INTERVAL) == left


@pytest.mark.parametrize(
    "text",
    [
        "persistence.sync.interval_seconds = 9\ntui.page_size = 20\n",
        "persistence = { sync = { interval_seconds = 9 } }\ntui.page_size = 20\n",
        "tui.page_size = 20\n[persistence]\nsync.interval_seconds = 9\n",
    ],
)
def test_a_setting_is_removed_in_any_layout(text: str) -> None:
    left = tomllib.loads(unset_value(text, INTERVAL))
    assert left["tui"] == {"page_size": 20}
    assert "interval_seconds" not in left["persistence"].get("sync", {})


def test_a_value_over_several_lines_is_removed_completely() -> None:
    text = "[export]\npatterns = [\n'a',\n'b',\n]\nredact = true\n"
    assert tomllib.loads(unset_value(text, keys.find("export.patterns"))) == {"export": {"redact": True}}
