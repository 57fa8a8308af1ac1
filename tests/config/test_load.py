"""Settings: the order of the sources, and the errors for invalid values."""

from pathlib import Path

import pytest

from acode_tui.config import Origin, keys, load, load_settings, user_config_path, workspace_config_path
from acode_tui.domain.errors import ConfigError

SENTINEL = "s3nt1nel-pw"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    (root / ".agent").mkdir(parents=True)
    return root


def write_workspace(root: Path, text: str) -> None:
    workspace_config_path(root).write_text(text)


def refused(root: Path, environ: dict[str, str], text: str) -> str:
    write_workspace(root, text)
    with pytest.raises(ConfigError) as caught:
        load_settings(root, environ=environ)
    return str(caught.value)


@pytest.mark.ac("AC-001")
def test_without_files_the_defaults_apply(root: Path, environ: dict[str, str]) -> None:
    settings = load_settings(root, environ=environ)
    assert settings.persistence.sqlite.resolve(root) == root / ".agent" / "workspace.db"
    assert settings.persistence.sqlite.timeout_seconds == 30
    assert settings.persistence.postgres.enabled is False
    assert settings.persistence.postgres.connection_string_env == "ACODE_POSTGRES_URL"
    assert settings.persistence.postgres.pool_size == 10
    assert settings.persistence.sync.interval_seconds == 30
    assert settings.limits.max_artifact_bytes == 10 * 1024 * 1024


@pytest.mark.ac("AC-001")
def test_sqlite_path_may_be_relative_absolute_or_at_home(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    for text, path in (
        ("a/b.db", root / "a/b.db"),
        ("/x/b.db", Path("/x/b.db")),
        ("~/b.db", Path("/home/someone/b.db")),
    ):
        settings = load_settings(root, environ={}, overrides={"persistence.sqlite.path": text})
        assert settings.persistence.sqlite.resolve(root) == path


@pytest.mark.ac("AC-023")
def test_flags_override_environment_workspace_user_and_default(root: Path, environ: dict[str, str]) -> None:
    user = user_config_path(environ)
    user.parent.mkdir(parents=True)
    user.write_text(
        "[tui]\npage_size = 11\nrefresh_seconds = 2\n[backup]\nmax_backups = 2\n[persistence.sync]\njitter = 0.1\n"
    )
    write_workspace(root, "[tui]\npage_size = 12\nrefresh_seconds = 3\n[backup]\nmax_backups = 3\n")
    environ |= {"ACODE_TUI__PAGE_SIZE": "13", "ACODE_TUI__REFRESH_SECONDS": "4"}
    loaded = load(root, environ=environ, overrides={"tui.page_size": 14})
    assert loaded.settings.tui.page_size == 14
    assert loaded.settings.tui.refresh_seconds == 4
    assert loaded.settings.backup.max_backups == 3
    assert loaded.settings.persistence.sync.jitter == 0.1
    origins = loaded.origins
    assert origins["tui.page_size"] is Origin.FLAG
    assert origins["tui.refresh_seconds"] is Origin.ENV
    assert origins["backup.max_backups"] is Origin.WORKSPACE
    assert origins["persistence.sync.jitter"] is Origin.USER
    assert origins["persistence.sync.enabled"] is Origin.DEFAULT


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[persistence.sync]\nintervall_seconds = 3", ["persistence.sync.intervall_seconds", "interval_seconds"]),
        ("[nonsense]\nx = 1", ["nonsense", "no such setting"]),
        ("[tui]\npage_size = true", ["tui.page_size", "true", "a whole number from 5 to 200"]),
        ("[tui]\npage_size = '50'", ["tui.page_size", '"50"', "a whole number"]),
        ("[tui]\nrefresh_seconds = nan", ["tui.refresh_seconds", "a number from 0.1 to 60"]),
        ("[tui]\nrefresh_seconds = inf", ["tui.refresh_seconds"]),
        ("[persistence.postgres]\nsslmode = 'maybe'", ["sslmode", "maybe", "verify-full"]),
        ("[persistence.sync]\njitter = 0.31", ["jitter", "0.31", "from 0 to 0.3"]),
        ("persistence = 3", ["persistence", "table"]),
        ("[export]\npatterns = ['(']", ["export.patterns", "regular expression"]),
        ("[health]\nqueue_degraded = 20000", ["health.queue_degraded", "20000", "health.queue_unhealthy", "10000"]),
        ("[tui\n", ["not valid TOML", "line 1"]),
    ],
)
def test_the_error_names_key_value_and_what_is_allowed(
    root: Path, environ: dict[str, str], text: str, words: list[str]
) -> None:
    message = refused(root, environ, text)
    for word in words:
        assert word in message
    assert message.startswith("ACODE-CONFIG-001: ")
    assert "\n" not in message


@pytest.mark.parametrize("text", ["caf\udce9", "a\x00b"])
def test_text_that_no_file_can_contain_is_refused_with_a_printable_message(text: str) -> None:
    for name, value in (("identity.user", text), ("backup.directory", text), ("tui.keymap", f"{{ x = {text!r} }}")):
        with pytest.raises(ConfigError, match=name) as caught:
            keys.parse(keys.find(name), value)
        str(caught.value).encode("utf-8")


@pytest.mark.ac("AC-028")
@pytest.mark.parametrize("size", [0, -1])
def test_a_pool_without_connections_is_refused(root: Path, environ: dict[str, str], size: int) -> None:
    message = refused(root, environ, f"[persistence.postgres]\npool_size = {size}")
    assert "persistence.postgres.pool_size" in message
    assert str(size) in message
    assert "from 1" in message


@pytest.mark.ac("AC-059")
@pytest.mark.parametrize(
    "name", ["", "a b", 'a"b', "pg_catalog", "information_schema", "1a", "a;drop", "a" * 64, "a\\n"]
)
def test_a_schema_that_is_not_an_identifier_is_refused(root: Path, environ: dict[str, str], name: str) -> None:
    with pytest.raises(ConfigError, match=r"persistence\.postgres\.schema"):
        load_settings(root, environ=environ, overrides={"persistence.postgres.schema": name.replace("\\n", "\n")})


@pytest.mark.ac("AC-058")
@pytest.mark.ac("AC-024")
@pytest.mark.parametrize(
    "text",
    [
        f"[persistence.postgres]\npassword = '{SENTINEL}'",
        f"[persistence]\npassword = '{SENTINEL}'",
        f"[persistence.postgres]\nconnection_string_env = 'postgresql://u:{SENTINEL}@h/db'",
        f"[persistence.postgres]\nurl = 'postgresql://u:{SENTINEL}@h/db'",
        f"[persistence.postgres]\nhost = 'u:{SENTINEL}@h'",
        f"[persistence.postgres]\npassword_env = '{SENTINEL}!'",
        f"[persistence.postgres]\ndatabase = 'host=h password={SENTINEL}'",
        f"[identity]\nuser = 'postgresql://u:{SENTINEL}@h/db'",
        f"[tui.keymap]\nsync = 'postgres://u:{SENTINEL}@h'",
    ],
)
def test_a_password_in_a_file_is_refused_and_not_repeated(root: Path, environ: dict[str, str], text: str) -> None:
    message = refused(root, environ, text)
    assert SENTINEL not in message
    assert "persistence" in message or "identity" in message or "tui" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[ingest]\nformats = ['nope']", ['ingest.formats: ["nope"]', "each item one of claude-code, codex"]),
        ("[tui]\ntheme = 'nrod'", ['tui.theme: "nrod"', "one of acode-night, ", "did you mean nord"]),
        ("[tui.keymap]\nsnyc = 'f5'", ['tui.keymap: "snyc"', "one of about, ", "did you mean sync"]),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_names(
    root: Path, environ: dict[str, str], text: str, words: list[str]
) -> None:
    message = refused(root, environ, text)
    assert str(workspace_config_path(root)) in message
    assert all(word in message for word in words), message


def test_an_unknown_log_level_is_refused(root: Path, environ: dict[str, str]) -> None:
    for level in ("", "debug", "WARNING"):
        load_settings(root, environ=environ | {"ACODE_LOG_LEVEL": level})
    with pytest.raises(ConfigError, match=r'ACODE_LOG_LEVEL: "bogus".*one of debug, info, warning, error'):
        load_settings(root, environ=environ | {"ACODE_LOG_LEVEL": "bogus"})


def test_unknown_environment_settings_are_refused_others_ignored(root: Path, environ: dict[str, str]) -> None:
    load_settings(root, environ=environ | {"ACODE_WORKSPACE": "/x", "ACODE_LOG_LEVEL": "debug", "ACODE_X__Y": "1"})
    with pytest.raises(ConfigError, match="ACODE_TUI__PAGESIZE"):
        load_settings(root, environ=environ | {"ACODE_TUI__PAGESIZE": "9"})
    with pytest.raises(ConfigError, match=r"ACODE_TUI__PAGE_SIZE.*from 5 to 200"):
        load_settings(root, environ=environ | {"ACODE_TUI__PAGE_SIZE": "many"})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("persistence.postgres.enabled", "on", True),
        ("persistence.postgres.enabled", "False", False),
        ("persistence.sync.jitter", "0", 0.0),
        ("ingest.formats", "codex, claude-code", ("codex", "claude-code")),
        ("ingest.formats", '["codex"]', ("codex",)),
        ("tui.keymap", '{sync = "f5"}', {"sync": "f5"}),
        ("identity.user", "a b", "a b"),
    ],
)
def test_text_is_converted_to_the_settings_type(name: str, text: str, value: object) -> None:
    assert keys.parse(keys.find(name), text) == value


def test_unreadable_files_are_config_errors(root: Path, environ: dict[str, str]) -> None:
    path = workspace_config_path(root)
    path.mkdir()
    with pytest.raises(ConfigError, match="directory"):
        load_settings(root, environ=environ)
    path.rmdir()
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_settings(root, environ=environ)


def test_every_setting_is_documented_and_its_default_is_allowed() -> None:
    for key in keys.table().values():
        assert key.doc.endswith("."), key.name
        assert key.allowed, key.name
        assert keys.check(key, list(key.default) if isinstance(key.default, tuple) else key.default) == key.default
