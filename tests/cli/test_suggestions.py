"""What helps with a word that is misspelt or half typed: suggestions in errors, and a shell's completion."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from acode_tui.cli.main import COMPLETE_VARIABLE, PROGRAM, cli
from tests.cli.conftest import Recorded, Run


def completions(*words: str) -> list[str]:
    """What bash is offered for the last of these words."""
    environ = {
        COMPLETE_VARIABLE: "bash_complete",
        "COMP_WORDS": " ".join([PROGRAM, *words]),
        "COMP_CWORD": str(len(words)),
    }
    result = CliRunner().invoke(cli, [], prog_name=PROGRAM, env=environ)
    assert result.stderr == ""
    return [line.partition(",")[2] for line in result.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("arguments", "code", "suggested"),
    [
        (("sesion", "list"), 2, "Did you mean 'session'? see `"),
        (("db", "bakcup"), 2, "Did you mean 'backup'? see `"),
        (("session", "list", "--serch", "x"), 2, "'--search'"),
        (("search", "--limti", "3", "x"), 2, "'--limit'"),
        (("search", "modle:opus"), 1, "modle: is no field; did you mean model:?"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_nearest(
    run: Run, arguments: tuple[str, ...], code: int, suggested: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert suggested in result.stderr


def test_a_word_that_is_near_nothing_gets_no_suggestion(run: Run) -> None:
    refused = run("xyzzy")
    assert refused.exit_code == 2
    assert "ean" not in refused.stderr
    assert "No such command 'xyzzy'; see `" in refused.stderr


def test_settings_and_fields_are_completed() -> None:
    assert completions("config", "get", "persistence.postgres.pool") == ["persistence.postgres.pool_size"]
    assert completions("search", "mo") == ["model:"]
    assert completions("session", "list", "--search", "is:res") == ["is:resumable"]
    assert "state:Failed" in completions("search", "state:")


def test_ids_of_sessions_are_completed_and_no_workspace_is_made(root: Path, recorded: Recorded, tmp_path: Path) -> None:
    before = ("--workspace", str(root), "session", "show")
    assert completions(*before, recorded.session[:9]) == [recorded.session]
    assert completions(*before, "ffffffff") == []
    empty = tmp_path / "empty"
    empty.mkdir()
    assert completions("--workspace", str(empty), "session", "show", "0") == []
    assert list(empty.iterdir()) == []
