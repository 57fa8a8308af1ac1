"""``config`` and ``completion``."""

import shutil
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from acode_tui.cli.main import COMMANDS, cli
from tests.cli.conftest import Run, answer


def config_file(root: Path) -> Path:
    return root / ".agent" / "config.toml"


@pytest.mark.ac("AC-023")
def test_a_setting_can_be_set_read_and_shown_with_its_origin(run: Run, root: Path) -> None:
    assert run("config", "get", "persistence.postgres.enabled").stdout == "false\n"
    assert run("config", "set", "persistence.postgres.enabled", "true").exit_code == 0
    assert run("config", "get", "persistence.postgres.enabled").stdout == "true\n"
    assert answer(run("config", "get", "persistence.postgres.enabled", "--json")) == {
        "key": "persistence.postgres.enabled",
        "value": True,
        "origin": "workspace",
    }
    assert tomllib.loads(config_file(root).read_text()) == {"persistence": {"postgres": {"enabled": True}}}
    shown = answer(run("config", "show", "persistence.postgres", "--json"))
    assert {each["key"]: each["origin"] for each in shown["settings"]}["persistence.postgres.enabled"] == "workspace"
    assert "workspace" in run("config", "show").stdout


def test_the_users_file_applies_to_every_workspace(run: Run, root: Path, tmp_path: Path) -> None:
    assert run("config", "set", "--user", "tui.page_size", "20").exit_code == 0
    assert not config_file(root).exists()
    assert answer(run("config", "get", "tui.page_size", "--json"))["origin"] == "user"
    places = answer(run("config", "path", "--json"))
    assert places == {
        "workspace": str(config_file(root)),
        "user": str(tmp_path / "xdg" / "acode-tui" / "config.toml"),
    }


def test_after_unset_the_next_weaker_source_applies(run: Run, root: Path) -> None:
    assert run("config", "set", "--user", "tui.page_size", "20").exit_code == 0
    assert run("config", "set", "tui.page_size", "30").exit_code == 0
    assert run("config", "unset", "tui.page_size").stdout == "tui.page_size = 20  (user file)\n"
    assert tomllib.loads(config_file(root).read_text()) == {"tui": {}}
    assert run("config", "unset", "--user", "tui.page_size").stdout == "tui.page_size = 50  (default)\n"
    assert run("config", "unset", "tui.page_size").stdout == "tui.page_size = 50  (was not set; default)\n"
    assert "no such setting" in run("config", "unset", "tui.nothing").stderr


def test_each_value_is_shown_with_its_origin(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("config", "set", "--user", "tui.page_size", "20").exit_code == 0
    assert run("config", "set", "backup.max_backups", "3").exit_code == 0
    monkeypatch.setenv("ACODE_TUI__REFRESH_SECONDS", "2")
    flags = ("--set", "persistence.sync.jitter=0.1")
    lines = {line.split()[0]: line for line in run(*flags, "config", "show").stdout.splitlines()}
    assert lines["tui.page_size"].endswith("user file")
    assert lines["backup.max_backups"].endswith("workspace file")
    assert lines["tui.refresh_seconds"].endswith("environment")
    assert lines["persistence.sync.jitter"].endswith("flag")
    assert lines["tui.theme"].endswith("default")
    shown = answer(run(*flags, "config", "show", "--json"))["settings"]
    assert {each["origin"] for each in shown} == {"default", "user", "workspace", "env", "flag"}
    assert answer(run("config", "get", "persistence.sync.jitter", "--json"))["origin"] == "default"


def test_a_flag_is_checked_like_any_other_value(run: Run) -> None:
    refused = run("--set", "tui.page_size=2", "config", "show")
    assert refused.exit_code == 1
    assert refused.stderr == (
        "error: ACODE-CONFIG-001: tui.page_size: 2 is not allowed; it must be a whole number from 5 to 200\n"
    )
    assert run("--set", "tui.page_size", "config", "show").exit_code == 2
    assert run("--set", "tui.pagesize=9", "config", "show").exit_code == 1


@pytest.mark.ac("AC-058")
def test_secrets_in_the_environment_are_masked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACODE_IDENTITY__USER", "postgresql://me:s3cret@h/d")
    for arguments in (("show",), ("show", "--json"), ("get", "identity.user"), ("get", "identity.user", "--json")):
        result = run("config", *arguments)
        assert result.exit_code == 0
        assert "s3cret" not in result.output
        assert "identity.user" in result.output or "***" in result.output


@pytest.mark.ac("AC-024")
@pytest.mark.ac("AC-058")
def test_the_address_in_the_environment_is_shown_masked_with_its_origin(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answer(run("config", "show", "--json"))["connection"] is None
    monkeypatch.setenv("ACODE_POSTGRES_URL", "postgresql://me:s3cret@db.example.org:6432/shop")
    expected = {
        "variable": "ACODE_POSTGRES_URL",
        "origin": "env",
        "address": "db.example.org:6432/shop",
        "reason": None,
    }
    for prefix in ((), ("persistence",), ("persistence.postgres.host",)):
        assert answer(run("config", "show", *prefix, "--json"))["connection"] == expected
        shown = run("config", "show", *prefix).stdout
        assert shown.splitlines()[-1].split() == ["ACODE_POSTGRES_URL", "db.example.org:6432/shop", "environment"]
        assert "s3cret" not in shown
    assert "ACODE_POSTGRES_URL" not in run("config", "show", "tui").stdout
    assert answer(run("config", "show", "tui", "--json"))["connection"] is None
    monkeypatch.setenv("ACODE_POSTGRES_URL", "mysql://me:s3cret@h/d")
    connection = answer(run("config", "show", "--json"))["connection"]
    assert (connection["address"], "is not a postgresql:// URL" in connection["reason"]) == (None, True)
    assert "s3cret" not in run("config", "show").stdout


def test_a_section_is_not_a_setting_and_the_error_names_the_command_that_shows_it(run: Run) -> None:
    for arguments in (("get", "persistence"), ("set", "persistence.sync", "1"), ("unset", "tui")):
        refused = run("config", *arguments)
        assert refused.exit_code == 1
        assert "is a section, not a setting; see `acode-tui config show " in refused.stderr


@pytest.mark.ac("AC-024")
@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("persistence.sync.interval_seconds", "0", "from 0.1 to 86400"),
        ("persistence.sync.interval_second", "5", "interval_seconds"),
        ("persistence.postgres.password", "s3cret", "password_env"),
        ("persistence.postgres.connection_string_env", "postgres://u:s3cret@h/d", "environment variable"),
        ("identity.user", "postgres://u:s3cret@h/d", "password"),
        ("health.queue_degraded", "99999", "health.queue_unhealthy"),
        ("ingest.formats", '["nope"]', "claude-code, codex"),
        ("tui.theme", "nosuch", "acode-day"),
        ("tui.keymap", '{foo = "x"}', "next_pane"),
    ],
)
def test_a_value_that_is_not_allowed_in_a_file_is_refused_without_a_write(
    run: Run, root: Path, key: str, value: str, word: str
) -> None:
    result = run("config", "set", key, value)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ACODE-CONFIG-001: ")
    assert result.stderr.count("\n") == 1
    assert word in result.stderr
    assert "s3cret" not in result.output
    assert not config_file(root).exists()


def test_init_writes_every_setting_once_and_does_not_replace_a_file(run: Run, root: Path) -> None:
    assert run("config", "init").exit_code == 0
    path = config_file(root)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert run("config", "set", "tui.page_size", "20").exit_code == 0
    assert "\npage_size = 20\n" in path.read_text()
    text = path.read_text()
    again = run("config", "init")
    assert again.exit_code == 1
    assert "--force" in again.stderr
    assert path.read_text() == text
    assert run("config", "init", "--force").exit_code == 0
    assert answer(run("config", "get", "tui.page_size", "--json"))["origin"] == "default"


def test_a_broken_file_is_named_by_every_command(run: Run, root: Path) -> None:
    config_file(root).parent.mkdir()
    config_file(root).write_text("[tui\n")
    for arguments in (("session", "list"), ("config", "show"), ("config", "set", "tui.page_size", "20")):
        result = run(*arguments)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"error: ACODE-CONFIG-001: {config_file(root)}: not valid TOML")
    assert config_file(root).read_text() == "[tui\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_valid_in_their_shell(shell: str) -> None:
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0
    assert "_ACODE_TUI_COMPLETE" in result.stdout
    program = shutil.which(shell)
    if program is not None:
        checked = subprocess.run([program, "-n"], input=result.stdout, text=True, capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr


def test_completion_completes_commands_options_and_states() -> None:
    def complete(words: str, number: int) -> str:
        environment = {"_ACODE_TUI_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
        return CliRunner().invoke(cli, [], env=environment).stdout

    assert "session" in complete("acode-tui se", 1)
    assert "--tree" in complete("acode-tui session show --t", 3)
    assert "awaitingapproval" in complete("acode-tui session list --state A", 4)


def test_the_top_help_has_the_first_sentence_of_each_commands_help() -> None:
    for name, module in COMMANDS.items():
        command = cli.get_command(cli.make_context("acode-tui", ["config"], resilient_parsing=True), name)
        assert command is not None
        assert (command.help or "").split(". ")[0].split(".\n")[0].removesuffix(".") + "." == module.summary
