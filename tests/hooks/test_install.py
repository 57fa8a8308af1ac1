"""Adding the hook to an agent's settings and removing it: whatever else is in them stays."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from acode_tui.cli.main import cli
from acode_tui.domain.errors import ConfigError
from acode_tui.hooks import install

Hook = Callable[..., Result]
FOREIGN = {"type": "command", "command": "acode-tui-like hook claude-code"}
GROUPS = st.lists(
    st.fixed_dictionaries({"matcher": st.text(max_size=3), "hooks": st.lists(st.just(FOREIGN), max_size=2)}),
    min_size=1,
    max_size=2,
)
SETTINGS = st.fixed_dictionaries(
    {"model": st.text(max_size=5)},
    optional={"hooks": st.dictionaries(st.sampled_from([*install.CLAUDE_EVENTS, "PreCompact"]), GROUPS, min_size=1)},
)


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hook:
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "ACODE_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    def hook(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(cli, ["--workspace", str(tmp_path), "hook", *arguments], **options)

    return hook


def planned(tmp_path: Path, *, remove: bool, program: str = "/usr/bin/acode-tui") -> install.Change:
    return install.plan("claude-code", program=program, remove=remove, project=tmp_path, environ={}, home=tmp_path)


@settings(max_examples=15)
@given(present=SETTINGS)
def test_removing_what_was_added_gives_the_settings_back(
    present: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("project")
    path = folder / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text(json.dumps(present))
    planned(folder, remove=False).apply()
    added = json.loads(path.read_text())
    for event in install.CLAUDE_EVENTS:
        assert added["hooks"][event][:-1] == present.get("hooks", {}).get(event, [])
    assert planned(folder, remove=False).diff == "", "a second time changes nothing"
    planned(folder, remove=False, program="/elsewhere/acode-tui").apply()
    planned(folder, remove=True).apply()
    assert json.loads(path.read_text()) == present


def test_the_change_is_shown_and_written_only_on_consent(hook: Hook, tmp_path: Path) -> None:
    path = tmp_path / ".claude" / "settings.json"
    refused = hook("install", "claude-code", input="n\n")
    assert refused.exit_code == 1
    assert '+    "SessionStart": [' in refused.stderr
    assert not path.exists()
    assert hook("install", "claude-code", "--yes").exit_code == 0
    path.chmod(0o644)
    again = hook("install", "claude-code", "--json")
    assert json.loads(again.stdout) == {"agent": "claude-code", "path": str(path), "changed": False, "diff": ""}
    assert hook("uninstall", "claude-code", "--yes").exit_code == 0
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("{}\n", 0o644)


def test_a_project_names_the_program_by_its_name(hook: Hook, tmp_path: Path) -> None:
    assert hook("install", "claude-code", "--project", "--yes").exit_code == 0
    settings = json.loads((tmp_path / ".claude" / "settings.json").read_text())
    assert settings["hooks"]["Stop"][0]["hooks"][0]["command"] == "acode-tui hook claude-code"


@pytest.mark.parametrize("text", ["{", "[]", '{"hooks": []}', '{"hooks": {"Stop": {}}}', "[" * 100_000])
def test_settings_that_are_not_understood_stay_as_they_are(tmp_path: Path, text: str) -> None:
    path = tmp_path / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"settings\.json"):
        planned(tmp_path, remove=False)
    assert path.read_text() == text


CODEX = '# mine\nmodel = "gpt-5"\n\n[tui]\nnotifications = true\n'


def test_codex_gets_a_line_before_its_tables(hook: Hook, tmp_path: Path) -> None:
    path = tmp_path / ".codex" / "config.toml"
    path.parent.mkdir()
    path.write_text(CODEX)
    assert hook("install", "codex", "--yes").exit_code == 0
    assert tomllib.loads(path.read_text())["notify"][1:] == ["hook", "codex"]
    assert hook("install", "codex", "--yes").stdout.startswith("nothing to change")
    assert hook("uninstall", "codex", "--yes").exit_code == 0
    assert path.read_text() == CODEX


def test_another_program_in_codex_is_not_replaced(hook: Hook, tmp_path: Path) -> None:
    path = tmp_path / ".codex" / "config.toml"
    path.parent.mkdir()
    path.write_text('notify = ["bell"]\n')
    refused = hook("install", "codex", "--yes")
    assert refused.exit_code == 1
    assert 'notify is set already: ["bell"]' in refused.stderr
    assert hook("uninstall", "codex", "--yes").exit_code == 0
    assert path.read_text() == 'notify = ["bell"]\n'
