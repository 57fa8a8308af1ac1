"""The settings screen: origins, checking a typed value, writing and removing it, the search."""

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from acode_tui.config import Origin, keys, load
from acode_tui.tui.main.screen import MainScreen
from acode_tui.tui.tools.preferences import Preference, read_preferences, scope_path, write_preference
from acode_tui.tui.tools.settings import SettingsScreen, SettingTable
from tests.tui.driving import over, shown, toasts, until, until_listed
from tests.tui.fake import FakeWorkspace


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeWorkspace:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ACODE_TUI__PAGE_SIZE", "20")
    workspace = FakeWorkspace()
    workspace.root = tmp_path
    path = scope_path(tmp_path, "workspace")
    path.parent.mkdir()
    path.write_text("# mine\n[persistence.sync]\ninterval_seconds = 12 # often\n")
    return workspace


async def open_settings(pilot: Pilot[int]) -> None:
    await until_listed(pilot)
    await pilot.press("o")
    await until(pilot, lambda: "timeout_seconds" in shown(pilot))


async def test_changing_a_setting_keeps_the_rest_of_the_file(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_settings(pilot)
        await pilot.press("j", "enter")
        await until(pilot, lambda: "allowed: a number from 0.1 to 3600" in shown(pilot))
        await pilot.press("0")
        await until(pilot, lambda: "✗ persistence.sqlite.timeout_seconds: " in shown(pilot))
        await pilot.press("enter", "backspace", *"2.5", "enter")
        await until(pilot, lambda: load(fake.root).settings.persistence.sqlite.timeout_seconds == 2.5)
        await until(pilot, lambda: "this workspace" in _row(pilot, "timeout_seconds"))
        text = scope_path(fake.root, "workspace").read_text()
        assert text.startswith("# mine\n[persistence.sync]\ninterval_seconds = 12 # often\n")
        await pilot.press("y")
        assert pilot.app.clipboard == "persistence.sqlite.timeout_seconds = 2.5"


async def test_removing_a_setting_from_the_file_restores_the_default(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_settings(pilot)
        _stand_on(pilot, "persistence.sync.interval_seconds")
        await pilot.press("d")
        await until(pilot, lambda: "Remove this setting?" in shown(pilot) and "interval_seconds = 12" in shown(pilot))
        await pilot.press("n")
        assert "interval_seconds" in scope_path(fake.root, "workspace").read_text()
        await pilot.press("d", "y")
        await until(pilot, lambda: "default" in _row(pilot, "interval_seconds"))
        assert scope_path(fake.root, "workspace").read_text() == "# mine\n[persistence.sync]\n"
        await pilot.press("d")
        await until(pilot, lambda: len(toasts(pilot)) == 2)
        assert toasts(pilot)[1] == ("persistence.sync.interval_seconds", "is not set in this workspace's file")


async def test_a_change_can_go_to_the_users_file_and_escape_changes_nothing(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await open_settings(pilot)
        await pilot.press("u")
        await until(pilot, lambda: "changes are for all" in shown(pilot))
        await pilot.press("j", "j", "e", "escape")
        assert isinstance(pilot.app.screen, SettingsScreen)
        await pilot.press("e", "enter")
        await until(pilot, lambda: load(fake.root).origins["persistence.postgres.enabled"] is Origin.USER)
        assert scope_path(fake.root, "user").stat().st_mode & 0o777 == 0o600
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, MainScreen)


async def test_values_set_by_the_environment_or_not_allowed_with_others_are_refused(
    fake: FakeWorkspace,
) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_settings(pilot)
        _stand_on(pilot, "tui.page_size")
        await pilot.press("e")
        await until(pilot, lambda: toasts(pilot))
        assert toasts(pilot)[0][1] == "ACODE_TUI__PAGE_SIZE holds this value; a file cannot change it"
        _stand_on(pilot, "persistence.sync.max_backoff_seconds")
        await pilot.press("e", "1", "enter")
        await until(pilot, lambda: "it must be at most persistence.sync.max_backoff_seconds" in shown(pilot))
        assert "max_backoff" not in scope_path(fake.root, "workspace").read_text()
        _stand_on(pilot, "persistence.postgres.database")
        await pilot.press("escape", "e")
        pilot.app.screen.query_one("#value", Input).value = "postgres://u:hunter2@db/x"
        await pilot.press("enter")
        await until(pilot, lambda: "✗ persistence.postgres.database" in shown(pilot))
        assert shown(pilot).count("hunter2") == 1, "only where it is being typed"


async def test_settings_are_found_by_key_description_and_value(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_settings(pilot)
        _stand_on(pilot, "persistence.sync.interval_seconds")
        await pilot.press("slash", *"inter sec")
        await until(pilot, lambda: _names(pilot) == ["persistence.sync.interval_seconds"])
        assert f"1 of {len(keys.table())} settings" in shown(pilot)
        await pilot.press(*["backspace"] * 9, *"environment variable")
        await until(pilot, lambda: "persistence.postgres.password_env" in _names(pilot))
        await pilot.press(*["backspace"] * 20, *".agent/workspace.db")
        await until(pilot, lambda: _names(pilot) == ["persistence.sqlite.path"])
        await pilot.press("enter", "e", "escape")
        assert _names(pilot) == ["persistence.sqlite.path"], "leaving the value leaves the search"
        await pilot.press("escape")
        assert len(_names(pilot)) == len(keys.table())
        assert pilot.app.screen.query_one(SettingTable).cursor_key == "persistence.sqlite.path", "the cursor stays"
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, MainScreen)


async def test_a_search_without_matches_says_so_and_how_to_clear_it(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await open_settings(pilot)
        await pilot.press("slash", *"nothing[/b]")
        await until(pilot, lambda: "No setting fits" in shown(pilot))
        assert "“nothing[/b]”" in shown(pilot)
        assert "esc shows all" in shown(pilot)
        await pilot.press("enter", "x")
        assert pilot.app.screen.query_one("#search", Input).value == "nothing[/b]x", "the line keeps the keys"
        fake.version += 1
        await pilot.press("escape")
        await until(pilot, lambda: len(_names(pilot)) == len(keys.table()))
        await pilot.press("j", "y")
        assert pilot.app.clipboard.startswith("persistence.sqlite.timeout_seconds = ")


def test_a_search_does_not_match_a_hidden_secret() -> None:
    key = keys.find("identity.user")
    preference = Preference(key, "postgres://u:hunter2@db/x", Origin.ENV)
    assert preference.matches("IDENTITY db/x")
    assert not preference.matches("hunter2")


def test_every_setting_is_listed_with_secrets_hidden(fake: FakeWorkspace) -> None:
    preferences = read_preferences(fake.root, {})
    assert [preference.key.name for preference in preferences] == list(keys.table())
    key = keys.find("identity.user")
    assert "hunter2" not in Preference(key, "postgres://u:hunter2@db/x", Origin.ENV).shown
    write_preference(fake.root, key, "ada", "workspace", {})
    assert [each.origin for each in read_preferences(fake.root, {}) if each.key is key] == [Origin.WORKSPACE]


def _row(pilot: Pilot[int], text: str) -> str:
    return next(row for row in shown(pilot).splitlines() if text in row)


def _names(pilot: Pilot[int]) -> list[str]:
    return pilot.app.screen.query_one(SettingTable).row_keys


def _stand_on(pilot: Pilot[int], name: str) -> None:
    table = pilot.app.screen.query_one(SettingTable)
    table.move_cursor(row=table.row_keys.index(name))


async def test_settings_of_a_file_that_is_not_trusted_are_marked(fake: FakeWorkspace) -> None:
    scope_path(fake.root, "workspace").write_text('[persistence.postgres]\nhost = "evil.example"\n')
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_settings(pilot)
        _stand_on(pilot, "persistence.postgres.host")
        await until(pilot, lambda: 'left out "evil.example"' in " ".join(shown(pilot).split()))
        assert "not trusted" in _row(pilot, "host")
        _stand_on(pilot, "persistence.postgres.port")
        await pilot.press("enter", *["backspace"] * 4, *"6000", "enter")
        await until(pilot, lambda: toasts(pilot))
        assert toasts(pilot)[0][1].startswith("written, but this file is not trusted")
        assert load(fake.root).settings.persistence.postgres.port == 5432


async def test_what_is_written_into_a_new_file_counts(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_settings(pilot)
        _stand_on(pilot, "persistence.postgres.port")
        await pilot.press("enter", *["backspace"] * 4, *"6000", "enter")
        await until(pilot, lambda: load(fake.root).settings.persistence.postgres.port == 6000)
        assert not toasts(pilot)
