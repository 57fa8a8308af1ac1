"""The drill reports whether a restore and a recovery would work, by running them in a scratch folder."""

import json
from pathlib import Path
from typing import Any

import pytest

from acode_tui.config import Settings
from acode_tui.domain.errors import DatabaseConnectionError
from acode_tui.ops.recovery import rebuild
from acode_tui.workspace import Maintenance
from tests.ops.recovery.test_disaster import acode, damage, edit_all, files_in
from tests.ops.recovery.test_disaster import enabled as enabled
from tests.ops.recovery.test_disaster import shop as shop
from tests.pg import Database
from tests.sync.conftest import URL
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import opened


async def drilled(folder: Path, code: int) -> Any:
    """The drill's JSON answer. Checks that the drill created and changed no file."""
    before = files_in(folder)
    done = await acode(folder, "db", "drill", "--json")
    assert done.exit_code == code, done.stderr
    assert files_in(folder) == before
    assert not list((folder / ".agent").glob(".drill*"))
    return json.loads(done.stdout)


def bad(tried: Any) -> list[tuple[str, str]]:
    return [(each["name"], each["description"]) for each in tried["checks"] if not each["ok"]]


async def test_restore_and_recovery_both_succeed(shop: Path, time: FakeTime) -> None:
    assert (await acode(shop, "db", "backup")).exit_code == 0
    answer = await drilled(shop, 0)
    assert (answer["ok"], answer["backup"]["ok"], answer["recovery"]["ok"]) == (True, True, True)
    assert answer["backup"]["counts"]["sessions"] == 4
    assert answer["backup"]["live"] == {"same": 4, "changed": 0, "onlyLive": 0, "onlyScratch": 0, "wrong": 0}
    # The one that was never sent is not on the server.
    assert answer["recovery"]["counts"]["sessions"] == 3
    assert answer["recovery"]["live"] == {"same": 3, "changed": 0, "onlyLive": 1, "onlyScratch": 0, "wrong": 0}
    async with opened(shop, time) as workspace:
        await edit_all(workspace)
    answer = await drilled(shop, 0)
    assert answer["backup"]["live"] == {"same": 1, "changed": 3, "onlyLive": 0, "onlyScratch": 0, "wrong": 0}
    shown = await acode(shop, "db", "drill")
    assert "everything tested works" in shown.stdout


async def test_without_a_backup_the_report_suggests_one(shop: Path) -> None:
    answer = await drilled(shop, 1)
    assert bad(answer["backup"]) == [("way back", "there is no backup yet; make one with `acode-tui db backup`")]
    assert answer["recovery"]["ok"]


async def test_a_damaged_backup_is_found(shop: Path) -> None:
    await acode(shop, "db", "backup")
    (path,) = (shop / ".agent" / "backups").glob("*.db")
    content = bytearray(path.read_bytes())
    content[-100] ^= 0xFF
    path.write_bytes(content)
    answer = await drilled(shop, 1)
    assert "sha256" in bad(answer["backup"])[0][1]


async def test_a_damaged_workspace_is_tried_too(shop: Path) -> None:
    await acode(shop, "db", "backup")
    damage(shop)
    answer = await drilled(shop, 0)
    assert (answer["backup"]["live"], answer["recovery"]["live"]) == (None, None)


async def test_a_server_that_is_down_fails_the_drill(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await acode(shop, "db", "backup")
    monkeypatch.setenv(URL, "postgresql://ada:secret-word@127.0.0.1:1/shop")
    answer = await drilled(shop, 1)
    assert answer["backup"]["ok"]
    assert "ACODE-DB-001" in bad(answer["recovery"])[0][1]
    assert "secret-word" not in json.dumps(answer)


async def test_without_a_workspace_nothing_is_made(tmp_path: Path, plain_settings: Settings) -> None:
    assert not (await Maintenance(tmp_path, plain_settings).drill()).ok
    assert list(tmp_path.iterdir()) == []


async def test_a_drill_whose_server_fails_does_not_suggest_running_it_again(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_off(*_: object, **__: object) -> int:
        raise DatabaseConnectionError("the server closed the connection", hint="look at the network")

    await acode(shop, "db", "backup")
    monkeypatch.setattr(rebuild, "fill", cut_off)
    answer = await drilled(shop, 1)
    ((name, description),) = bad(answer["recovery"])
    assert name == "way back"
    assert "the server closed the connection" in description
    assert "run it again" not in description


async def test_without_a_server_only_the_backup_is_tried(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await acode(shop, "db", "backup")
    monkeypatch.setenv("ACODE_PERSISTENCE__POSTGRES__ENABLED", "false")
    assert (await drilled(shop, 0))["recovery"] is None


async def test_a_row_that_can_never_change_and_did_is_found(shop: Path, team: Database) -> None:
    await acode(shop, "db", "backup")
    await team.execute("UPDATE artifacts SET name = 'other' WHERE id = (SELECT id FROM artifacts ORDER BY id LIMIT 1)")
    answer = await drilled(shop, 1)
    assert [name for name, _ in bad(answer["recovery"])] == ["live file"]
    assert answer["recovery"]["live"]["wrong"] == 1
