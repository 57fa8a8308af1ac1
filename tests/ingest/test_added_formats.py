"""A transcript format of another installed package is found by its entry point, and its defects harm nothing else."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from acode_tui.cli.main import cli
from acode_tui.config.keys import find, parse
from acode_tui.domain.errors import ConfigError
from acode_tui.ingest import registry
from acode_tui.ingest.added_formats import added_formats

MODULE = '''
"""A format as another package would have it: one JSON object a line, with a role and a text."""

import msgspec

from acode_tui.ingest.format import TranscriptFormat
from acode_tui.ingest.read_records import read_records
from acode_tui.ingest.records import LineDecoder, text
from acode_tui.ingest.run_reader import RunReader


class Line(msgspec.Struct):
    role: object = None
    text: object = None


class Diary(TranscriptFormat):
    name = "diary"

    def recognises(self, records):
        return any("role" in record and "diary" in record for record in records)

    def hints(self, path):
        return path.name.endswith(".diary.jsonl")

    def roots(self, environ, home):
        return [home / ".diary"]

    def read(self, lines, context):
        reader = RunReader(self.name, context)

        def take(number, raw, line):
            at = reader.at(number, None)
            if line.role == "user":
                reader.begin_task(f"prompt {number}", text(line.text), at, number)
            elif line.role == "boom":
                raise ZeroDivisionError("a defect of the package")
            else:
                reader.say(reader.begin_step(f"answer {number}", at, number), text(line.text), at)

        skipped, last = read_records(lines, LineDecoder(Line), take)
        return reader.finish(context.path.stem, {}, skipped, last)


class Misnamed(Diary):
    name = "other"


class Broken(Diary):
    name = "broken"

    def recognises(self, records):
        raise RuntimeError("no")

    hints = roots = recognises


def unmakable():
    raise RuntimeError("no")
'''
ENTRY_POINTS = """
[acode_tui.formats]
diary = diary_format:Diary
codex = diary_format:Diary
misnamed = diary_format:Misnamed
broken = diary_format:Broken
missing = diary_format:Missing
unmakable = diary_format:unmakable
absent = absent_module:Format
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with these entry points on the module path, as an installer would leave it."""
    site = tmp_path / "site"
    metadata = site / "diary_format-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "diary_format.py").write_text(MODULE)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: diary-format\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("HOME", str(tmp_path))
    added_formats.cache_clear()
    yield site
    added_formats.cache_clear()


def diary(path: Path, *roles: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps({"diary": 1, "role": role, "text": f"{role} says"}) + "\n" for role in roles))
    return path


def test_the_formats_of_packages_follow_the_own_ones(installed: Path) -> None:
    known = registry.formats()
    assert list(known)[-2:] == ["broken", "diary"]
    assert type(known["codex"]).__name__ == "Codex"
    assert registry.format_named("diary").name == "diary"


def test_its_transcripts_are_found_and_imported(installed: Path, tmp_path: Path) -> None:
    diary(tmp_path / ".diary" / "monday.diary.jsonl", "user", "model")
    diary(tmp_path / ".diary" / "tuesday.jsonl", "user", "boom")
    workspace = tmp_path / "work"
    workspace.mkdir()
    done = CliRunner().invoke(cli, ["--workspace", str(workspace), "import", "--everywhere", "--json"])
    report = json.loads(done.stdout)
    assert (report["sessions"], report["tasks"], report["steps"]) == (1, 1, 1)
    assert [Path(error["file"]).name for error in report["errors"]] == ["tuesday.jsonl"]
    listed = CliRunner().invoke(cli, ["--workspace", str(workspace), "session", "list", "--json"])
    assert [run["metadata"]["source"] for run in json.loads(listed.stdout)["sessions"]] == ["diary"]


def test_its_name_is_a_choice_of_the_settings(installed: Path) -> None:
    key = find("ingest.formats")
    assert parse(key, "codex, diary") == ("codex", "diary")
    with pytest.raises(ConfigError, match=r"ingest\.formats"):
        parse(key, "diaries")


def test_a_package_in_the_current_folder_is_not_asked(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(installed)
    assert added_formats() == ()
