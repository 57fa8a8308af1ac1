"""Writes docs/acceptance.md: each acceptance criterion with the tests and benchmarks that decide it.

`uv run python docs/make_acceptance.py`. Tests are found by reading their source, not by running them: a criterion is
`tested` when a test carries its marker, and it holds as long as those tests pass. A test has no stopwatch, so a
criterion of speed is `measured` as well: its benchmarks are named in MEASURED, with the figures of docs/benchmarks.md.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "acceptance.md"
FIGURES = ROOT / "docs" / "benchmarks.md"

CRITERIA: dict[str, dict[str, str]] = {
    "SQLite": {
        "AC-001": "The database is `.agent/workspace.db` unless configured; WAL and SHM lie beside it",
        "AC-002": "After the first open, any connection finds journal mode WAL",
        "AC-003": "All tables are STRICT and refuse wrong types; SQLite older than 3.37 is refused clearly",
        "AC-004": "Opening an empty folder creates everything at the newest schema",
        "AC-005": "Entity, event and outbox rows commit together or not at all, at any fault",
        "AC-006": "The time limit bounds lock waits and transactions; running out rolls back with ACODE-DB-002",
        "AC-007": "Readers see the last commit, unhindered, while a write is open",
        "AC-008": "A second writer waits its turn; concurrent processes lose no update",
    },
    "Schema": {
        "AC-009": "Every applied migration has its history row, on both tiers",
        "AC-010": "Migrations have unique versions and descriptions, and numeric order",
        "AC-011": "An older database is brought up to date before anything else is asked of it",
        "AC-012": "Migrating again changes nothing; an interrupted run can be repeated",
        "AC-013": "A failed migration is undone whole, says ACODE-DB-003 and stops the program; earlier ones stay",
        "AC-014": "The schema version shows in the API, in `db status` and in the dashboard",
    },
    "Tables": {
        "AC-015": "`sessions`: columns, keys, nullability, default version 0",
        "AC-016": "`session_events`: columns and key; updates and deletes are refused",
        "AC-017": "`session_tasks`: columns, key, order",
        "AC-018": "`steps`: columns, key, order",
        "AC-019": "`tool_calls`: columns, key, what may be null",
        "AC-020": "`artifacts`: columns and key, since migration 1.1.0",
        "AC-021": "`outbox`: columns; no orphan row anywhere",
        "AC-022": "All seven carry creation and update times in UTC, fixed width, to the microsecond",
    },
    "PostgreSQL": {
        "AC-023": "Settings switch the tier on and off, also while the program runs",
        "AC-024": "The URL comes from the named variable, a component form's password only from its own",
        "AC-025": "A missing, malformed, unreachable or refusing server hinders nothing local, and status says why",
        "AC-026": "Both tiers have the same tables, columns and nullability, types by a fixed map",
        "AC-027": "The look-ups that matter use indexes on both tiers, at most five a table",
        "AC-028": "`pool_size` is the pool's maximum; nothing or less is refused",
    },
    "Outbox": {
        "AC-029": "Every record has a unique idempotency key",
        "AC-030": "Every record names one of the six entity types",
        "AC-031": "The entity's id is the written row's id",
        "AC-032": "The payload is JSON that refers to the row, from which the entity is rebuilt",
        "AC-033": "The record's creation time is that of its write's transaction",
        "AC-034": "Processed is set once, after the central commit",
        "AC-035": "Attempts count refusals of the record, never an unreachable server; the last error is redacted",
    },
    "Sync": {
        "AC-036": "A background task works at intervals and on commits, starts, stops, and says whether it runs",
        "AC-037": "A hanging server slows neither local writes nor the screen",
        "AC-038": "Records go oldest first, in batches of limited size",
        "AC-039": "A failed record stays unprocessed, counts the attempt, keeps the error and is tried again",
        "AC-040": "Waits double from five seconds to an hour, persisted, with optional jitter",
        "AC-041": "The tenth refusal makes a dead letter that stays, counted, listed, requeueable",
        "AC-042": "Killed in the middle of a batch, everything arrives in the end, once in effect",
    },
    "Idempotency": {
        "AC-043": "Ten thousand enqueues give as many distinct keys",
        "AC-044": "A key is entity type, id and update time, joined by colons",
        "AC-045": "PostgreSQL keeps keys unique; a replay changes no row",
        "AC-046": "A key that was applied before ends the local record without a failure",
        "AC-047": "A log line records the key and that it was a duplicate",
    },
    "Conflicts": {
        "AC-048": "A base version that differs from the target row's is a conflict",
        "AC-049": "The later edit is the final row on every machine, whichever syncs first; ties fall alike everywhere",
        "AC-050": "A conflict is logged as a warning with ACODE-DB-006, times, entity and winner",
        "AC-051": "The number of conflicts survives a restart and is shown",
        "AC-052": "Both versions, their times, the winner and the moment stay retrievable",
    },
    "Performance": {
        "AC-053": "A durable write with its outbox record takes less than 50 ms",
        "AC-054": "A read by id takes less than 10 ms",
        "AC-055": "At least 100 records a second are synced end to end",
        "AC-056": "Any page of a million sessions takes less than 100 ms, the last like the first",
    },
    "Security": {
        "AC-057": "Files are 0600 and folders 0700, looser ones are tightened",
        "AC-058": "A password appears nowhere: not in logs, errors, JSON, screens or tracebacks",
        "AC-059": "Hostile text comes back as it was and harms nothing; no value is ever spliced into SQL",
    },
}


MEASURED: dict[str, tuple[str, tuple[str, ...]]] = {
    "AC-037": (
        "sync",
        ("local write while the target hangs, 99th percentile", "local write while a sync runs, median"),
    ),
    "AC-053": (
        "write",
        ("single durable write, 99th percentile", "tool call completed, median"),
    ),
    "AC-054": ("read", ("read by id, median",)),
    "AC-055": (
        "sync",
        ("sync of mixed records end to end, beside a bare unnest upsert", "sync at 50 ms round trip"),
    ),
    "AC-056": (
        "pages",
        ("any page, no filter, 99th percentile", "any page, by creation, user, 99th percentile"),
    ),
}
"""The scenario and the measures that decide a criterion of speed: `uv run python -m benchmarks SCENARIO` exits with 1
if one of its measures misses its target, and each of these targets is stricter than the criterion."""

NOT_MEASURED = "not measured yet"


def figures(page: str) -> dict[tuple[str, str], str]:
    """What docs/benchmarks.md says of each scenario and measure: the figure, and the target it was compared with."""
    found: dict[tuple[str, str], str] = {}
    scenario = ""
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("### "):
            scenario = line.removeprefix("### ").strip()
        elif line.startswith("|") and len(cells) == 7 and cells[5] in ("yes", "**no**"):
            name, value, floor, _, target, kept, _ = cells
            target = target.replace("floor", floor)
            found[scenario, name] = f"{value}, target {target}{'' if kept == 'yes' else ', **missed**'}"
    return found


def marked_tests(root: Path = ROOT) -> dict[str, list[str]]:
    """Test ids by criterion, in the order of files and lines."""
    found: dict[str, list[str]] = {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text("utf-8"), str(path))
        for scope, test, criteria in _tests(tree):
            identity = "::".join([path.relative_to(root).as_posix(), *scope, test])
            for criterion in criteria:
                found.setdefault(criterion, []).append(identity)
    return found


def render(found: Mapping[str, list[str]], measured: Mapping[tuple[str, str], str]) -> str:
    """The whole page: tests by criterion, and figures by scenario and measure."""
    tested = sum(criterion in found for group in CRITERIA.values() for criterion in group)
    total = sum(map(len, CRITERIA.values()))
    lines = [
        "# Acceptance criteria",
        "",
        "Made by `docs/make_acceptance.py` from the `ac` markers in the tests and the figures in",
        "[benchmarks.md](benchmarks.md); not edited by hand.",
        f"{tested} of {total} criteria have a test. The {len(MEASURED)} criteria of speed are decided by benchmarks:",
        "their tests count statements, commits and round trips, for a test reads no clock.",
        "",
        "| Criterion | What holds | Status | Tests and benchmarks |",
        "|---|---|---|---|",
    ]
    for group, criteria in CRITERIA.items():
        lines.append(f"| **{group}** | | | |")
        for criterion, text in criteria.items():
            tests = found.get(criterion, [])
            shown = "<br>".join(
                [f"`{test.removeprefix('tests/')}`" for test in tests] + list(_benchmarks(criterion, measured))
            )
            status = " and ".join(
                word for word, holds in (("tested", tests), ("measured", criterion in MEASURED)) if holds
            )
            lines.append(f"| {criterion} | {text} | {status or 'open'} | {shown} |")
    return "\n".join(lines) + "\n"


def _benchmarks(criterion: str, measured: Mapping[tuple[str, str], str]) -> Iterable[str]:
    scenario, names = MEASURED.get(criterion, ("", ()))
    return (f"benchmark `{scenario}`: {name}: {measured.get((scenario, name), NOT_MEASURED)}" for name in names)


def page() -> str:
    """The page as it should be now."""
    return render(marked_tests(), figures(FIGURES.read_text(encoding="utf-8")))


def _tests(tree: ast.Module) -> Iterator[tuple[list[str], str, list[str]]]:
    everywhere = [
        criterion
        for node in tree.body
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets)
        for criterion in _criteria(node.value)
    ]
    yield from _tests_in(tree.body, [], everywhere)


def _tests_in(
    body: list[ast.stmt], scope: list[str], inherited: list[str]
) -> Iterator[tuple[list[str], str, list[str]]]:
    for node in body:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        own = [criterion for decorator in node.decorator_list for criterion in _criteria(decorator)]
        criteria = list(dict.fromkeys([*inherited, *own]))
        if isinstance(node, ast.ClassDef):
            yield from _tests_in(node.body, [*scope, node.name], criteria)
        elif node.name.startswith("test"):
            yield scope, node.name, criteria


def _criteria(expression: ast.expr) -> Iterator[str]:
    for node in ast.walk(expression):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "ac":
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
