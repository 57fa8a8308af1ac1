"""The generated pages say what the code says now."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


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
    assert module.TARGET.read_text("utf-8") == module.render(module.marked_tests()), (
        "run: uv run python docs/make_acceptance.py"
    )


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
    assert "| AC-004 |" in module.render(found)


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_links_between_pages_lead_somewhere(name: str) -> None:
    import re

    page = ROOT / name
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), f"{name}: {target}"
