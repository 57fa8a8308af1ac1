"""Settings of a workspace's file that need approval count only in the content that this user approved."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.config import keys, load, user_config_path, workspace_config_path
from acode_tui.config.ownership import require_own
from acode_tui.config.trust import approve, read_trust, revoke
from acode_tui.config.trust_rules import FREE, asks, needs_trust
from acode_tui.config.trust_store import MOST_WORKSPACES, read_approval, store_path, update_approval
from acode_tui.config.write import remove_setting, write_config_file, write_setting
from acode_tui.domain.errors import ConfigError
from tests.approved import write_approved

HOSTILE = """
[persistence.postgres]
enabled = true
host = "evil.example.org"
port = 6543
database = "loot"
username = "you"
schema = "loot"
sslmode = "disable"
read_url = "postgresql://evil.example.org/loot"
password_env = "AWS_SECRET_ACCESS_KEY"
[persistence.sqlite]
path = "../other/.agent/workspace.db"
[backup]
directory = "/tmp/backups"
[ingest]
roots = ["/home"]
[export]
redact = false
[tui]
page_size = 20
"""
ASKED = {
    *(f"persistence.postgres.{name}" for name in ("enabled", "host", "port", "database", "username", "schema")),
    *("persistence.postgres.read_url", "persistence.postgres.sslmode", "persistence.postgres.password_env"),
    "persistence.sqlite.path",
    *("backup.directory", "ingest.roots", "export.redact"),
}
TEXTS_THAT_ANY_FILE_MAY_SET = {"identity.user", "export.patterns", "tui.keymap"}


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("ACODE_POSTGRES_URL", raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "shop" / ".agent").mkdir(parents=True)
    return tmp_path / "shop"


def write(root: Path, text: str) -> Path:
    path = workspace_config_path(root)
    path.write_text(text)
    return path


def set_in_workspace(root: Path, name: str, value: object) -> None:
    write_setting(root, workspace_config_path(root), keys.find(name), value, os.environ)


# Which settings


def test_a_new_setting_needs_approval_until_it_is_listed_as_free() -> None:
    assert keys.table().keys() >= FREE, "a listed setting does not exist"
    assert needs_trust("persistence.postgres.password_command")
    assert needs_trust("any.new_setting")


def test_only_numbers_switches_and_choices_are_free() -> None:
    for name in FREE - TEXTS_THAT_ANY_FILE_MAY_SET:
        key = keys.table()[name]
        plain = key.allowed.startswith(("a number", "a whole number", "true or false", "one of"))
        assert plain or key.choices, f"{name} takes any text: does it choose a destination, a secret or a path?"


def test_a_value_that_keeps_data_here_needs_no_approval() -> None:
    assert not asks("persistence.postgres.enabled", False)
    assert not asks("export.redact", True)
    assert not asks("persistence.sync.redact", True)
    assert asks("persistence.postgres.enabled", True)
    assert asks("persistence.postgres.enabled", 0)


# What counts


def test_what_needs_approval_is_left_out_and_the_rest_counts(root: Path) -> None:
    write(root, HOSTILE)
    found = load(root)
    assert set(found.withheld) == ASKED == set(found.settings.withheld)
    plain = {name: key.default for name, key in keys.table().items()}
    assert found.values == plain | {"tui.page_size": 20}
    approve(read_trust(root))
    after = load(root)
    assert not after.withheld
    assert not after.settings.withheld
    assert after.settings.persistence.postgres.host == "evil.example.org"


def test_the_users_own_sources_are_never_asked_about(root: Path) -> None:
    path = user_config_path()
    path.parent.mkdir(parents=True)
    path.write_text(HOSTILE)
    found = load(root, environ={**os.environ, "ACODE_BACKUP__DIRECTORY": "/b"}, overrides={"ingest.roots": ["/c"]})
    assert not found.withheld
    assert found.settings.persistence.postgres.host == "evil.example.org"
    assert (found.settings.backup.directory, found.settings.ingest.roots) == ("/b", ("/c",))


@pytest.mark.parametrize("change", ["# a comment", "[health]\nqueue_degraded = 7", " "])
def test_a_changed_file_asks_again(root: Path, change: str) -> None:
    write_approved(root, HOSTILE)
    assert load(root).trusted
    write(root, HOSTILE + change + "\n")
    assert set(load(root).withheld) == ASKED
    write(root, HOSTILE)
    assert load(root).trusted


def test_an_approval_is_of_one_workspace(root: Path, tmp_path: Path) -> None:
    write_approved(root, HOSTILE)
    (tmp_path / "copy" / ".agent").mkdir(parents=True)
    write(tmp_path / "copy", HOSTILE)
    assert not load(tmp_path / "copy").trusted
    (tmp_path / "link").symlink_to(root)
    assert load(tmp_path / "link").trusted


def test_only_what_was_shown_is_approved(root: Path) -> None:
    write(root, HOSTILE)
    shown = read_trust(root)
    write(root, HOSTILE.replace("evil", "worse"))
    approve(shown)
    assert not load(root).trusted


def test_a_revoked_approval_counts_no_more(root: Path) -> None:
    write_approved(root, HOSTILE)
    assert revoke(root)
    assert not load(root).trusted
    assert not revoke(root)


def test_what_is_shown_says_what_it_leads_to_on_this_machine(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    write(root, HOSTILE)
    trust = read_trust(root)
    found = {each.key: each.leads_to for each in trust.settings}
    assert not trust.trusted
    assert found["persistence.postgres.host"] == "evil.example.org:6543/loot"
    assert found["persistence.postgres.password_env"] == "is set"
    assert found["persistence.sqlite.path"] == str(root.parent / "other" / ".agent" / "workspace.db")
    assert "s3cret" not in repr(trust)


# What this user writes


def test_what_this_user_writes_into_a_new_file_is_approved(root: Path) -> None:
    set_in_workspace(root, "backup.directory", "/b")
    set_in_workspace(root, "tui.page_size", 20)
    assert load(root).settings.backup.directory == "/b"
    assert len(read_approval(root).sha256) == 1


def test_what_this_user_writes_into_a_trusted_file_is_approved(root: Path) -> None:
    write(root, "[tui]\npage_size = 30\n")
    set_in_workspace(root, "backup.directory", "/b")
    assert load(root).trusted
    write_approved(root, HOSTILE)
    set_in_workspace(root, "backup.directory", "/b")
    assert load(root).settings.backup.directory == "/b"


def test_an_untrusted_file_stays_untrusted(root: Path) -> None:
    path = write(root, HOSTILE)
    set_in_workspace(root, "tui.page_size", 50)
    set_in_workspace(root, "backup.directory", "/b")
    remove_setting(root, path, keys.find("ingest.roots"), os.environ)
    assert set(load(root).withheld) == ASKED - {"ingest.roots"}
    assert not store_path().exists()


def test_a_replaced_file_has_nothing_of_the_former_one(root: Path) -> None:
    path = write(root, HOSTILE)
    write_config_file(root, path, "[backup]\ndirectory = '/b'\n", os.environ)
    assert load(root).settings.backup.directory == "/b"


def test_a_former_content_is_not_approved_any_more_after_this_user_changed_it(root: Path) -> None:
    write_approved(root, HOSTILE)
    for name in ASKED:
        remove_setting(root, workspace_config_path(root), keys.find(name), os.environ)
    assert read_approval(root).sha256 == ()
    write(root, HOSTILE)
    assert not load(root).trusted


def test_a_write_that_fails_leaves_the_approval_as_it_was(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_approved(root, HOSTILE)
    before = read_approval(root)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("acode_tui.config.write.make_private_folder", fail)
        with pytest.raises(OSError, match="No space"):
            set_in_workspace(root, "backup.directory", "/b")
    assert read_approval(root) == before
    assert load(root).trusted


# The file of approvals


def test_approvals_are_private(root: Path) -> None:
    old = os.umask(0)
    try:
        write_approved(root, HOSTILE)
    finally:
        os.umask(old)
    assert stat.S_IMODE(store_path().stat().st_mode) == 0o600
    assert stat.S_IMODE(store_path().parent.stat().st_mode) == 0o700


def test_programs_that_approve_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    roots = [tmp_path / str(number) for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda root: update_approval(root, sha256=(root.name,)), roots))
    assert [read_approval(root).sha256 for root in roots] == [(root.name,) for root in roots]


@given(st.binary(max_size=200))
def test_a_damaged_file_of_approvals_approves_nothing(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    root = tmp_path_factory.mktemp("shop")
    environ = {"XDG_STATE_HOME": str(root / "state"), "XDG_CONFIG_HOME": str(root / "xdg")}
    store_path(environ).parent.mkdir(parents=True)
    store_path(environ).write_bytes(data)
    (root / ".agent").mkdir()
    write(root, HOSTILE)
    assert not load(root, environ=environ).trusted
    approve(read_trust(root, environ), environ)
    assert load(root, environ=environ).trusted


def test_the_oldest_approvals_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_WORKSPACES >= 100
    monkeypatch.setattr("acode_tui.config.trust_store.MOST_WORKSPACES", 3)
    for name in ("a", "b", "a", "c", "d"):
        update_approval(tmp_path / name, sha256=(name,))
    assert [bool(read_approval(tmp_path / name).sha256) for name in "abcd"] == [True, False, True, True]


# Another user's folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
class TestForeignFolder:
    UID = 54321

    @pytest.fixture(params=[".agent", ".agent/config.toml"])
    def foreign(self, root: Path, request: pytest.FixtureRequest) -> Path:
        write(root, "[tui]\npage_size = 20\n")
        os.chown(root / request.param, self.UID, self.UID)
        return root

    def test_is_not_opened(self, foreign: Path) -> None:
        with pytest.raises(ConfigError, match=r"belongs to another user, uid 54321") as raised:
            load(foreign)
        assert "acode-tui trust" in raised.value.hint

    def test_is_opened_once_its_owner_is_trusted(self, foreign: Path) -> None:
        trust = read_trust(foreign)
        assert (trust.trusted, trust.owner_name) == (False, "uid 54321")
        approve(trust)
        assert load(foreign).settings.tui.page_size == 20
        assert revoke(foreign)
        with pytest.raises(ConfigError):
            load(foreign)

    def test_is_the_callers_own_under_sudo(self, foreign: Path) -> None:
        assert load(foreign, environ={**os.environ, "SUDO_UID": str(self.UID)}).trusted
        with pytest.raises(ConfigError):
            load(foreign, environ={**os.environ, "SUDO_UID": "1"})

    def test_sudo_is_nothing_to_a_process_that_is_not_root(self, foreign: Path) -> None:
        with pytest.raises(ConfigError):
            require_own(foreign, {"SUDO_UID": str(self.UID)}, uid=1)
