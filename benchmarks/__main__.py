"""``python -m benchmarks [--quick] [NAME...]``: run the scenarios and report whether each number kept its target."""

import compileall
import importlib
import json
import pkgutil
import runpy
import sys
import sysconfig
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import click
import msgspec

import benchmarks
from benchmarks import report
from benchmarks.result import Measure, Scenario
from benchmarks.scale import set_quick

ROOT = Path(__file__).parent.parent
_PREFIX = "bench_"
_ORDER = (
    "write",
    "read",
    "hierarchy",
    "pages",
    "search",
    "search_imported",
    "stats",
    "migration",
    "import",
    "formats",
    "size",
    "apply",
    "sync",
    "team_search",
    "prune",
    "laptops",
    "recover",
    "export",
)
"""Order of the table; other scenarios follow."""


def known() -> list[str]:
    """The scenarios' names: a module ``bench_<name>`` each."""
    found = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    names = [name.removeprefix(_PREFIX) for name in found if name.startswith(_PREFIX)]
    return sorted(names, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))


@click.command()
@click.argument("names", nargs=-1)
@click.option("--quick", is_flag=True, help="Small sizes: for development, not for publishing.")
@click.option("--json", "as_json", is_flag=True, help="Print the measures as JSON.")
@click.option("--update-readme", is_flag=True, help="Write the rows of these scenarios into README.md and docs/.")
def main(names: tuple[str, ...], quick: bool, as_json: bool, update_readme: bool) -> None:
    """Run all scenarios, or the NAMEd ones. Exits 1 if a target was missed."""
    chosen = list(names) or known()
    unknown = sorted(set(chosen) - set(known()))
    if unknown:
        raise click.UsageError(f"no scenario {', '.join(unknown)}; there are {', '.join(known())}")
    if update_readme and quick:
        raise click.UsageError("--update-readme needs whole sizes: no --quick")
    set_quick(quick)
    _compile()
    results: dict[str, list[Measure]] = {}
    for number, name in enumerate(chosen, 1):
        _progress(f"[{number}/{len(chosen)}] {name} ...")
        started = perf_counter()
        results[name] = _run(name)
        _progress(f" {perf_counter() - started:.1f} s\n")
        if not as_json:
            for measure in results[name]:
                click.echo(report.line(measure))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(results), indent=2))
    if update_readme:
        report.update(ROOT, results, known(), datetime.now(UTC).date())
        # docs/acceptance.md names the figures that decide a criterion.
        runpy.run_path(str(ROOT / "docs" / "make_acceptance.py"), run_name="__main__")
    if not all(measure.ok for measures in results.values() for measure in measures):
        sys.exit(1)


def _compile() -> None:
    """Write the bytecode that a first start would write; with PYTHONDONTWRITEBYTECODE each start would compile."""
    for folder in (ROOT / "acode_tui", sysconfig.get_path("purelib")):
        compileall.compile_dir(folder, quiet=2)


def _run(name: str) -> list[Measure]:
    scenario: Scenario = importlib.import_module(f"benchmarks.{_PREFIX}{name}").run
    return msgspec.convert([msgspec.to_builtins(measure) for measure in scenario()], list[Measure])


def _progress(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    main()
