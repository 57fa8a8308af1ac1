"""``diagnostics``: contains useful facts and no planted secret, and works on workspaces that cannot be opened."""

import getpass
import json
import socket
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import HOSTILE, Recorded, Run, answer
from tests.cli.test_status import trace
from tests.pg import free_port

SECRETS = {
    "password": "Tr0ub4dor&3-pg",
    "api key": "sk-proj-" + "aB3dE5gH7jK9" * 4,
    "github token": "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE3fG5"[:36],
    "mail": "grace.hopper@navy.example",
    "web address": "intranet.navy.example",
    "server": "pg7.navy.example",
    "database": "flightdeck",
    "role": "hopper_rw",
    "identity": "grace.hopper",
    "variable": "NAVY_PG_URL",
    "pattern": "navy-[0-9]+",
    "address": "203.0.113.77",
    "six": "2001:db8::77",
    "home": "/home/hopper",
    "elsewhere": "/srv/cobol-secret-plans",
}


@pytest.fixture
def planted(run: Run, recorded: Recorded, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put every secret into the settings, the environment and the log."""
    monkeypatch.setenv(
        SECRETS["variable"],
        f"postgresql://{SECRETS['role']}:{SECRETS['password'].replace('&', '%26')}"
        f"@{SECRETS['server']}:{free_port()}/{SECRETS['database']}",
    )
    monkeypatch.setenv("TERM", f"xterm-{SECRETS['identity']}")
    for key, value in {
        "persistence.postgres.enabled": "true",
        "persistence.postgres.connection_string_env": SECRETS["variable"],
        "persistence.postgres.connect_timeout_seconds": "1",
        "identity.user": SECRETS["mail"],
        "backup.directory": f"{SECRETS['elsewhere']}/backups",
        "ingest.roots": SECRETS["home"],
        "export.patterns": f'["{SECRETS["pattern"]}"]',
    }.items():
        assert run("config", "set", key, value).exit_code == 0
    words = " and ".join(each for name, each in SECRETS.items() if name != "web address")
    lines = [
        {"level": "error", "event": "defect", "reason": words, "exception": f'File "{root}/x.py", line 3\n{words}'},
        {"level": "warning", "event": "sync.state", "reason": f"cannot reach {SECRETS['server']}:5432/navydb"},
        {"level": "warning", "event": "x", "reason": f"GET https://{SECRETS['web address']}/a?b=c failed"},
        {"level": "warning", "event": "x", "reason": f"{socket.gethostname()}:4711 of {getpass.getuser()} drains it"},
        {"level": "warning", "event": "x", "nested": {"deep": [words]}},
    ]
    write_log(root, "no json\n" + "".join(json.dumps(line) + "\n" for line in lines))


def write_log(root: Path, text: str) -> None:
    folder = root / ".agent" / "logs"
    folder.mkdir(exist_ok=True)
    (folder / "acode-tui.log").write_text(text)


@pytest.mark.ac("AC-058")
@pytest.mark.parametrize("as_json", [True, False])
def test_no_planted_secret_is_in_the_report(run: Run, planted: None, root: Path, as_json: bool) -> None:
    result = run("diagnostics", *(["--json"] if as_json else []))
    assert result.exit_code == 0, result.stderr
    for what, secret in SECRETS.items():
        assert secret not in result.output, what
        assert secret.lower() not in result.output.lower(), what
    for part in ("hopper", "navydb", str(root), str(root.parent), f"{socket.gethostname()}:4711"):
        assert part not in result.output, part
    assert HOSTILE[5:8] + " input" not in result.output
    assert "sync.state" in result.output
    assert len(result.output) < 1_000_000


def test_the_report_contains_the_useful_facts(run: Run, planted: None) -> None:
    found = answer(run("diagnostics", "--json"))
    assert list(found) == [
        "createdAt",
        "program",
        "file",
        "configuration",
        "health",
        "schema",
        "outbox",
        "recentErrors",
    ]
    assert {"acodeTui", "python", "sqlite", "system", "libraries"} <= set(found["program"])
    assert found["program"]["libraries"]["textual"]
    assert len(found["health"]["checks"]) == 9
    assert found["schema"]["sqlite"]["version"] == "1.5.0"
    assert found["outbox"]["pending"] > 0
    assert [each["event"] for each in found["recentErrors"]][-2:] == ["sync.state", "defect"]
    settings = {each["key"]: each for each in found["configuration"]["settings"]}
    assert settings["persistence.postgres.enabled"] == {
        "key": "persistence.postgres.enabled",
        "value": True,
        "origin": "workspace",
    }
    assert settings["identity.user"]["value"] == "(set)"
    assert settings["export.patterns"]["value"] == "(1 set)"
    assert settings["backup.max_backups"] == {"key": "backup.max_backups", "value": 7, "origin": "default"}


def test_it_changes_nothing(run: Run, recorded: Recorded, root: Path) -> None:
    before = trace(root)
    assert run("diagnostics").exit_code == 0
    assert trace(root) == before


@pytest.mark.parametrize("state", ["absent", "damaged", "refused settings"])
def test_it_works_on_a_workspace_that_cannot_be_opened(run: Run, root: Path, state: str) -> None:
    agent = root / ".agent"
    if state != "absent":
        agent.mkdir()
    if state == "damaged":
        (agent / "workspace.db").write_bytes(b"no database" * 1000)
    if state == "refused settings":
        (agent / "config.toml").write_text("[tui]\npage_size = 'hopper'\n")
    before = trace(root)
    found = answer(run("diagnostics", "--json"))
    assert found["health"]["status"] == "Unhealthy"
    assert "error" in found["outbox"]
    if state == "refused settings":
        assert "tui.page_size" in found["configuration"]["error"]
        assert str(root) not in found["configuration"]["error"]
    assert run("diagnostics").exit_code == 0
    assert trace(root) == before


def test_a_large_log_is_truncated(run: Run, recorded: Recorded, root: Path) -> None:
    line = json.dumps({"level": "error", "event": "defect", "exception": "word " * 20_000})
    write_log(root, f"{line}\n" * 100 + "[" * 100_000 + "\n{}\n7\n")
    result = run("diagnostics", "--json")
    assert len(result.stdout) < 1_000_000
    assert 0 < len(json.loads(result.stdout)["recentErrors"]) <= 50


def test_it_is_written_to_a_new_private_file(run: Run, recorded: Recorded, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    assert run("diagnostics", "--json", "--output", str(path)).exit_code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["program"]
    again = run("diagnostics", "--output", str(path))
    assert again.exit_code == 1
    assert again.stderr.startswith("error: ACODE-IO-001: ")
    assert json.loads(path.read_text())["program"]
