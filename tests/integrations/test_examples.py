"""The examples: short, named in the docs, and the plain one as README shows it. Each framework's test runs its own."""

import importlib.util
import runpy
from pathlib import Path

import pytest

from acode_tui import recorder
from tests.recorder.conftest import Recorded, states

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def test_each_example_is_short_is_documented_and_hides_no_package() -> None:
    pages = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md"))
    for path in EXAMPLES:
        assert f"(../examples/{path.name})" in pages
        assert len(path.read_text("utf-8").splitlines()) <= 30
        # Python puts the folder of a script first on the path: this name would be found instead of the package.
        assert importlib.util.find_spec(path.stem) is None


def test_the_plain_example_is_that_of_the_readme_and_runs(
    folder: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ROOT / "examples" / "plain_agent.py"
    code = path.read_text("utf-8").partition('"""\n\n')[2]
    assert code in (ROOT / "README.md").read_text("utf-8")
    monkeypatch.chdir(folder)
    (folder / "login.ts").write_text("export {}")
    runpy.run_path(str(path))
    recorder.close()
    (run,) = recorded()
    assert states(run)["call read_file"] == "Succeeded"
