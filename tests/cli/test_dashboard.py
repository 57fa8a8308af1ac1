"""The dashboard opens only where a terminal can show it."""

import io
import sys

import pytest

from acode_tui.cli.dashboard import require_terminal


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("term", "can"), [("xterm", True), ("vt100", True), ("dumb", False), ("unknown", False)])
def test_a_terminal_that_cannot_move_its_cursor_gets_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], term: str, can: bool
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys, "stdin", _Terminal())
    monkeypatch.setattr(sys, "stdout", _Terminal())
    assert require_terminal() is can
    assert (f"TERM is {term}" in capsys.readouterr().err) is not can
