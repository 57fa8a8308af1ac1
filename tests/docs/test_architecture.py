"""Every file, class, function and test that docs/architecture.md names exists, and no specified name is missing."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
_REFERENCE = re.compile(r"`((?:[\w.-]+/)*[\w.-]+\.(?:py|sql))(?:::([\w.]+))?`")
_MEMBER = re.compile(r"`([A-Z]\w+\.\w+)`")

SPECIFIED = [
    "RunStateStore",
    "Outbox",
    "SyncService",
    "SqliteRunStateStore",
    "SqliteOutbox",
    "PostgresRunStateStore",
    "PostgresSyncTarget",
    "Migration",
    "MigrationRunner",
    "V1_0_0",
    "V1_1_0",
    "OutboxProcessor",
    "ConflictResolver",
    "SqliteConnectionFactory",
    "PostgresConnectionFactory",
]


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def find(path: str) -> Path | None:
    return next((each for base in ("acode_tui", "") if (each := ROOT / base / path).is_file()), None)


@cache
def defined(path: Path) -> frozenset[str]:
    """The classes, functions and methods of a module; a method with its class, as in ``Writer.run``."""
    names: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{each.name}"
                for each in node.body
                if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))
            }
    return frozenset(names)


def test_every_file_and_name_of_the_page_exists() -> None:
    missing = []
    for path, name in _REFERENCE.findall(PAGE):
        found = find(path)
        if found is None or (name and name not in defined(found)):
            missing.append(f"{path}::{name}" if name else path)
    assert not missing, "docs/architecture.md names what is not there:\n" + "\n".join(missing)


def test_a_method_named_without_its_file_is_defined_in_a_file_of_its_walk() -> None:
    walks = section("Four walks through the code")
    files = {found for path, _ in _REFERENCE.findall(walks) if (found := find(path)) is not None}
    known = {name for each in files if each.suffix == ".py" for name in defined(each)}
    assert [name for name in _MEMBER.findall(walks) if name not in known] == []


def test_every_name_of_the_specification_has_its_line() -> None:
    table = section("The specification's names")
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == SPECIFIED
    for line in table.splitlines():
        if line.startswith("| `"):
            assert _REFERENCE.search(line), line


@pytest.mark.parametrize(
    ("group", "count"),
    [
        ("connection", 3),
        ("migration runner", 3),
        ("session repository", 4),
        ("outbox", 3),
        ("sync service", 3),
        ("SQLite integration", 3),
        ("PostgreSQL integration", 3),
        ("migration integration", 2),
        ("offline operation", 3),
    ],
)
def test_every_test_of_the_specification_has_its_line(group: str, count: int) -> None:
    table = section("The specification's tests").partition("| Benchmark |")[0]
    rows = re.findall(r"^\| ([\w ]*) ?\| ([^|]+) \| `(tests/[^`]+)` \|$", table, re.MULTILINE)
    groups: list[str] = []
    for name, _, _ in rows:
        groups.append(name.strip() or groups[-1])
    assert groups.count(group) == count


def test_every_benchmark_of_the_specification_has_its_line() -> None:
    table = section("The specification's tests").partition("| Benchmark |")[2]
    assert len(re.findall(r"^\| [^|]+ \| `benchmarks/bench_\w+\.py` \|$", table, re.MULTILINE)) == 5
