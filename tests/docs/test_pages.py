"""Generated pages are current, links and named files exist, decisions are listed."""

import ast
import importlib.util
import re
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import report
from benchmarks.result import Measure, at_most

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = (".agent/", "src/")
"""Beginnings of paths in a user's files."""


def script(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_configuration_page_is_current() -> None:
    module = script("make_configuration")
    assert module.TARGET.read_text("utf-8") == module.render(), "run: uv run python docs/make_configuration.py"


def test_the_acceptance_page_is_current() -> None:
    module = script("make_acceptance")
    assert module.TARGET.read_text("utf-8") == module.page(), "run: uv run python docs/make_acceptance.py"


def test_every_criterion_of_speed_is_decided_by_measures_that_exist() -> None:
    """A misspelt measure would be "not measured yet" for ever."""
    module = script("make_acceptance")
    speed = set(module.CRITERIA["Performance"])
    assert speed <= set(module.MEASURED)
    for scenario, names in module.MEASURED.values():
        tree = ast.parse((ROOT / "benchmarks" / f"bench_{scenario}.py").read_text("utf-8"))
        literals = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        found = {name for _, name in module.figures(module.FIGURES.read_text("utf-8"))}
        assert [name for name in names if name not in literals | found] == []


def test_figures_are_read_with_their_target_and_a_missed_one_is_marked() -> None:
    module = script("make_acceptance")
    page = (
        "### write\n\n| what | measured | floor | ratio | target | kept | run on |\n|---|---|---:|---:|---:|---|---|\n"
        "| single durable write, 99th percentile | 61.0 ms |  |  | ≤ 25 ms | **no** | 2026-01-05 |\n"
        "### read\n| read by id, median | 0.14 ms | 0.0090 ms | 15.98 | ≤ 1 ms | yes | 2026-01-05 |\n"
        "### sync\n"
        "| sync at 50 ms round trip | 1,988 records/s | 1,500 records/s | 1.33 | ≥ 1 × floor | yes | 2026-01-05 |\n"
    )
    measured = module.figures(page)
    assert measured == {
        ("write", "single durable write, 99th percentile"): "61.0 ms, target ≤ 25 ms, **missed**",
        ("read", "read by id, median"): "0.14 ms, target ≤ 1 ms",
        ("sync", "sync at 50 ms round trip"): "1,988 records/s, target ≥ 1 × 1,500 records/s",
    }
    (line,) = (line for line in module.render({}, measured).splitlines() if line.startswith("| AC-053 "))
    assert "61.0 ms, target ≤ 25 ms, **missed**" in line
    assert "| measured |" in line
    assert "median: not measured yet" in line


def test_a_run_of_some_scenarios_keeps_the_figures_of_the_others_with_their_day(tmp_path: Path) -> None:
    for name in (report.RESULTS, "README.md", "docs/benchmarks.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"above {report.BEGIN}{report.END} below")
    (tmp_path / report.RESULTS).write_text("{}")
    order = ["write", "redact"]
    old = [Measure(name="a value of JSON", value=12, unit="us"), Measure(name="one text", value=41, unit="MB/s")]
    report.update(tmp_path, {"redact": old, "gone": old}, order, date(2026, 1, 5))
    report.update(tmp_path, {"write": [at_most("tool call completed", 0.4, "ms", 25)]}, order, date(2026, 1, 6))
    page = (tmp_path / "docs" / "benchmarks.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and " 2026-" in line]
    assert rows == [
        "| tool call completed | 0.40 ms |  |  | ≤ 25 ms | yes | 2026-01-06 |",
        "| a value of JSON | 12.0 us |  |  |  |  | 2026-01-05 |",
        "| one text | 41.0 MB/s |  |  |  |  | 2026-01-05 |",
    ]
    assert (tmp_path / "README.md").read_text().count(" 2026-01-0") == 2
    assert page.startswith("above")
    assert page.endswith("below")


def test_markers_name_only_criteria_that_exist() -> None:
    module = script("make_acceptance")
    known = {criterion for group in module.CRITERIA.values() for criterion in group}
    assert len(known) == 59
    assert set(module.marked_tests()) <= known


def test_markers_are_found_on_functions_classes_and_modules(tmp_path: Path) -> None:
    module = script("make_acceptance")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_x.py").write_text(
        'import pytest\npytestmark = [pytest.mark.ac("AC-001")]\n'
        '@pytest.mark.ac("AC-002")\nclass TestA:\n    @pytest.mark.ac("AC-003")\n    async def test_b(self): ...\n'
        "def test_c(): ...\ndef helper(): ...\n"
    )
    found = module.marked_tests(tmp_path)
    assert found == {
        "AC-001": ["tests/test_x.py::TestA::test_b", "tests/test_x.py::test_c"],
        "AC-002": ["tests/test_x.py::TestA::test_b"],
        "AC-003": ["tests/test_x.py::TestA::test_b"],
    }
    assert "| AC-004 |" in module.render(found, {})


def test_the_gallery_shows_every_scene_and_nothing_else() -> None:
    module = script("make_gallery")
    assert module.PAGE.read_text("utf-8") == module.page(), "run: uv run python docs/make_gallery.py"
    shown = {file.name for file in module.FOLDER.iterdir()}
    assert shown == {line.partition("(gallery/")[2][:-1] for line in module.page().splitlines() if "(gallery/" in line}


async def test_a_picture_is_taken_and_a_scene_whose_text_does_not_appear_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    from tests.tui import gallery

    scene = next(scene for scene in gallery.SCENES if scene.name == "dashboard-small")
    lost = replace(scene, name="lost", expected="nowhere to be seen", seconds=0.1)
    monkeypatch.setattr(gallery, "SCENES", (lost, scene))
    assert await script("make_gallery").make([], tmp_path) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["dashboard-small.svg"]
    assert "Outbox" in (tmp_path / "dashboard-small.svg").read_text("utf-8")
    assert "lost: " in capsys.readouterr().err


PAGES = sorted(page.relative_to(ROOT).as_posix() for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
_PATH = re.compile(r"`((?:[a-z_0-9.]+/)+[A-Za-z_0-9.]+\.(?:py|sql|md|yml|toml|tcss))`")


@pytest.mark.parametrize("name", PAGES)
def test_links_between_pages_lead_somewhere(name: str) -> None:
    page = ROOT / name
    missing = [target for target in _LINK.findall(page.read_text("utf-8")) if not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("name", [name for name in PAGES if name != "docs/acceptance.md"])
def test_files_that_a_page_names_exist(name: str) -> None:
    """Paths are given from the repository's root or from the package."""
    paths = _PATH.findall((ROOT / name).read_text("utf-8"))
    known = [path for path in paths if not path.startswith(NOT_OURS)]
    assert [path for path in known if not any((ROOT / base / path).exists() for base in ("", "acode_tui"))] == []


def test_every_decision_is_listed_with_its_number_and_title() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text("utf-8")
    decisions = sorted(folder.glob("[0-9]*.md"))
    for number, page in enumerate(decisions, 1):
        title = page.read_text("utf-8").partition("\n")[0].removeprefix(f"# {number}. ")
        assert page.name.startswith(f"{number:04}-")
        assert f"{number}. [{title}]({page.name})\n" in listed
