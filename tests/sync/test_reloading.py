"""A running process loads a changed file within five seconds; an invalid one changes nothing."""

from pathlib import Path

import pytest

from acode_tui.config import load_settings, set_flags, workspace_config_path
from acode_tui.config.trust import approve, read_trust, revoke
from tests.approved import write_approved
from tests.pg import Database
from tests.sync.conftest import LogLines
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import add_run, opened, syncing

WITHIN = 5.0


@pytest.fixture(autouse=True)
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))


def write(root: Path, text: str) -> None:
    """Write the file without an approval."""
    path = workspace_config_path(root)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


@pytest.mark.ac("AC-023")
async def test_a_changed_file_is_loaded_within_five_seconds(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time, sync=True, settings=syncing(enabled=False)) as workspace:
        await add_run(workspace)
        assert (await workspace.sync.status()).state == "disabled"
        write_approved(tmp_path, "[persistence.postgres]\nenabled = true\n[health]\nqueue_degraded = 3\n")
        await time.advance(WITHIN)
        assert workspace.settings.health.queue_degraded == 3
        status = await workspace.sync.status()
        assert (str(status.state), status.pending) == ("idle", 0)
        write(tmp_path, "[persistence.postgres]\nenabled = false\n")
        await time.advance(WITHIN)
        assert (await workspace.sync.status()).state == "disabled"
        assert workspace.settings.health.queue_degraded == 5000


async def test_the_users_file_is_followed_too(tmp_path: Path, time: FakeTime) -> None:
    async with opened(tmp_path / "shop", time, sync=True) as workspace:
        folder = tmp_path / "xdg" / "acode-tui"
        folder.mkdir(parents=True)
        (folder / "config.toml").write_text("[tui]\npage_size = 20\n")
        await time.advance(WITHIN)
        assert workspace.settings.tui.page_size == 20


@pytest.mark.parametrize(
    "text", ["[tui\n", "[tui]\npage_size = 1\n", "a = " + "[" * 20_000, "[persistence.postgres]\npassword = 's3cret'\n"]
)
async def test_an_invalid_file_changes_nothing_and_the_next_valid_one_is_loaded(
    tmp_path: Path, time: FakeTime, log_lines: LogLines, text: str
) -> None:
    async with opened(tmp_path, time, sync=True) as workspace:
        before = workspace.settings
        write(tmp_path, text)
        await time.advance(WITHIN)
        assert workspace.settings is before
        refused = [line for line in log_lines() if line["event"] == "config.refused"]
        assert [line["code"] for line in refused] == ["ACODE-CONFIG-001"]
        assert "s3cret" not in str(refused)
        write(tmp_path, "[tui]\npage_size = 20\n")
        await time.advance(WITHIN)
        assert workspace.settings.tui.page_size == 20


async def test_settings_of_the_command_line_outlive_a_reload(tmp_path: Path, time: FakeTime) -> None:
    set_flags({"backup.max_backups": 3})
    try:
        async with opened(tmp_path, time, sync=True) as workspace:
            write(tmp_path, "[backup]\nmax_backups = 5\n[tui]\npage_size = 20\n")
            await time.advance(WITHIN)
            assert workspace.settings.tui.page_size == 20
            assert workspace.settings.backup.max_backups == 3
    finally:
        set_flags({})


async def test_a_file_that_changes_unapproved_ends_the_sync_until_it_is_approved(
    tmp_path: Path, time: FakeTime, team: Database, log_lines: LogLines
) -> None:
    enabled = "[persistence.postgres]\nenabled = true\n"
    write_approved(tmp_path, enabled)
    async with opened(tmp_path, time, sync=True, settings=load_settings(tmp_path)) as workspace:
        await add_run(workspace)
        await time.advance(WITHIN)
        assert str((await workspace.sync.status()).state) == "idle"
        write(tmp_path, enabled + "schema = 'other'\n")
        await time.advance(WITHIN)
        await add_run(workspace)
        await time.advance(60)
        status = await workspace.sync.status()
        assert (str(status.state), status.pending > 0) == ("disabled", True)
        assert "not trusted" in status.reason
        events = [line for line in log_lines() if line["event"] == "config.untrusted"]
        assert [(line["level"], line["withheld"]) for line in events] == [
            ("warning", ["persistence.postgres.enabled", "persistence.postgres.schema"])
        ]
        write(tmp_path, enabled + "# harmless\n")
        await time.advance(WITHIN)
        assert str((await workspace.sync.status()).state) == "disabled"
        approve(read_trust(tmp_path))
        await time.advance(WITHIN)
        status = await workspace.sync.status()
        assert (str(status.state), status.pending) == ("idle", 0)
        revoke(tmp_path)
        await time.advance(WITHIN)
        assert str((await workspace.sync.status()).state) == "disabled"
