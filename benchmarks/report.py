"""Measures as text: a line on the terminal, a table in Markdown, and the places in documents that hold the table.

The last run of each scenario is kept in ``results.json``, so that scenarios can be run again one by one.
"""

import os
import platform
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import msgspec

from benchmarks.result import Measure

RESULTS = "benchmarks/results.json"
BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
_HEADLINES = (
    "single durable write, median",
    "64 concurrent writers",
    "read by id, median",
    "full hierarchy of 1,000 tool calls, median",
    "any page, no filter, 99th percentile",
    "any page, user and state, 99th percentile",
    "search, rare words, 95th percentile",
    "search, very common words, 95th percentile",
    "search, any page",
    "stats, all runs, 95th percentile",
    "migration from empty, all versions, median",
)
"""The measures of the long scenarios that the README shows; of the other scenarios it shows all."""
_LONG = ("write", "read", "hierarchy", "pages", "search", "stats", "migration")


class Run(msgspec.Struct, frozen=True, rename="camel"):
    """The last run of a scenario: its day, its machine, and what it measured."""

    day: date
    machine: str
    measures: list[Measure]


def line(measure: Measure) -> str:
    """One measure on one line."""
    mark = "ok  " if measure.ok else "MISS"
    return f"  {mark} {measure.name}: {_value(measure)}{_floor(measure)}  ({measure.target or 'for information'})"


def table(runs: Sequence[tuple[date, Measure]]) -> str:
    """A Markdown table of measures with the days of their runs."""
    rows = [
        f"| {m.name} | {_value(m)} | {_number(m.floor, m.unit)} | {'' if m.ratio is None else f'{m.ratio:.2f}'} "
        f"| {m.target.replace('<=', '≤').replace('>=', '≥').replace(' x ', ' × ')} | {_kept(m)} | {day} |"
        for day, m in runs
    ]
    head = ["| what | measured | floor | ratio | target | kept | run on |", "|---|---:|---:|---:|---|---|---|"]
    return "\n".join([*head, *rows])


def update(root: Path, results: Mapping[str, list[Measure]], order: Sequence[str], day: date) -> None:
    """Keep these results beside the last ones of the other scenarios, and write all of them into the documents.

    The short table goes into README.md and everything into docs/benchmarks.md, between their markers. A scenario that
    is not in ``order`` is dropped.
    """
    path = root / RESULTS
    runs = msgspec.json.decode(path.read_bytes(), type=dict[str, Run])
    runs |= {name: Run(day, _machine(), measures) for name, measures in results.items()}
    runs = {name: runs[name] for name in order if name in runs}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(runs), indent=1) + b"\n")
    short = [
        (run.day, m) for name, run in runs.items() for m in run.measures if name not in _LONG or m.name in _HEADLINES
    ]
    machines = "\n".join(dict.fromkeys(run.machine for run in runs.values()))
    _replace(root / "README.md", f"{table(short)}\n\n{machines}")
    parts = [f"### {name}\n\n{table([(run.day, m) for m in run.measures])}" for name, run in runs.items()]
    _replace(root / "docs" / "benchmarks.md", "\n\n".join([machines, *parts]))


def _replace(path: Path, text: str) -> None:
    """Put ``text`` between the markers. Raises ValueError where a document has none."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path.name} has no {BEGIN} ... {END}")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def _machine() -> str:
    return (
        f"Measured on {os.cpu_count()} cores ({platform.machine()}, {platform.system()}), Python "
        f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}. Ratios travel between machines; times do not."
    )


def _value(measure: Measure) -> str:
    return _number(measure.value, measure.unit)


def _kept(measure: Measure) -> str:
    if not measure.target:
        return ""
    return "yes" if measure.ok else "**no**"


def _floor(measure: Measure) -> str:
    if measure.floor is None or measure.ratio is None:
        return ""
    return f", floor {_number(measure.floor, measure.unit)}, ratio {measure.ratio:.2f}"


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 4
    return f"{value:,.{digits}f} {unit}"
