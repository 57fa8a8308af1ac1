"""What commands print holds nothing that a terminal obeys or is misled by, as text or as JSON, on either stream."""

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.cli.main import cli
from acode_tui.domain.codec import encode_json_for_terminal
from tests.cli.conftest import HOSTILE, Recorded, Run

CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
PRINTED = (
    "status",
    "config show",
    "config path",
    "config get persistence.sqlite.path",
    "config set tui.theme nord",
    "config unset tui.theme",
    "config init --force",
    "session list",
    "session list --search zzz\u202e\x9b",
    "session show SESSION",
    "session show SESSION --tree",
    "artifact show ARTIFACT",
    "artifact save ARTIFACT ROOT/out --force",
    "search validation",
    "search zzz\u202e\x9b",
    "db status",
    "db check",
    "db backup",
    "db backup list",
    "db outbox list",
    "db conflicts list",
    "db sync status",
    "db sync now",
    "db export --format json --output ROOT/runs.json --force",
    "db import ROOT/runs.json",
    "db vacuum",
    "db search rebuild",
    "diagnostics",
    "import ROOT/transcripts",
    "import ROOT/nothing-here",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "shop\u202e\x9b31m\x7f\u2066"
    root.mkdir()
    return root


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_nothing_that_is_printed_controls_the_terminal(
    run: Run, recorded: Recorded, root: Path, as_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.ingest.builders import story

    monkeypatch.setattr("acode_tui.cli.output.is_terminal", lambda: True)
    transcripts = root / "transcripts\x9b"
    story().write(transcripts / "a\u202e.jsonl")
    (transcripts / "b\u202e.jsonl").symlink_to("/nowhere\x9b")
    (root / "transcripts").symlink_to(transcripts)
    found = []
    for line in PRINTED:
        replaced = {"SESSION": recorded.session, "ARTIFACT": recorded.artifact}
        words = [replaced.get(word, word.replace("ROOT", str(root))) for word in line.split(" ")]
        result = run(*words, *(["--json"] if as_json and _takes_json(words) else []))
        assert result.exit_code in (0, 1, 3), (line, result.stderr)
        assert "ACODE-000" not in result.stderr
        found += [(line, text) for text in _control(result)]
    assert found == []


def _takes_json(words: list[str]) -> bool:
    command: click.Command = cli
    for word in words:
        if isinstance(command, click.Group):
            command = command.get_command(click.Context(command), word) or command
    return any("--json" in option.opts for option in command.params)


def _control(result: Result) -> list[str]:
    return CONTROL.findall(result.stdout + result.stderr)


def test_json_with_hostile_text_is_read_as_it_was_recorded(run: Run, recorded: Recorded) -> None:
    shown = json.loads(run("session", "show", recorded.session, "--json").stdout)
    assert shown["taskDescription"] == HOSTILE


@given(
    st.recursive(
        st.text()
        | st.text('a\x7f\x80\x9f\u00a0\u061c\u200e\u202a\u202e\u2028\u2029\u2066\u2069\u2070\\"')
        | st.integers(-9, 9),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    )
)
def test_escaped_json_decodes_to_the_same_value(value: Any) -> None:
    line = encode_json_for_terminal(value).decode()
    assert json.loads(line) == value
    assert len(line.splitlines()) == 1
    assert CONTROL.search(line) is None
