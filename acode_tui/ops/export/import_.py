"""Importing an export into a workspace: idempotent, converging, whole runs only.

The whole file is checked first; one with an error anywhere changes nothing. Then each run is saved in one transaction:
ids stay, rows that are new are added, and of two versions of a row the later ``updated_at`` stays, between equal stamps
the larger digest, the rule that the sync follows too. A redacted row never replaces another unless forced.
"""

import asyncio
import io
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import Literal, Protocol

import msgspec

from acode_tui.domain.entities import Entity, SessionGraph
from acode_tui.domain.errors import AcodeError, ExportError
from acode_tui.domain.progress import progress_after
from acode_tui.domain.quantities import number
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.domain.validation import Limits
from acode_tui.ops.export.export import ExportProgress, ReportExport
from acode_tui.ops.export.former_format import FORMER_VERSION
from acode_tui.ops.export.json import FORMAT, FORMAT_VERSION, JsonRuns
from acode_tui.ops.export.merge_rules import Overwrites, newest_of, unless_it_overwrites
from acode_tui.ops.export.parse_json import Head, Issue, JsonExport, RawRun, ReadRun, read_run
from acode_tui.storage.ports import RunFileReader, RunFiles, SaveResult

MOST_ISSUES = 100
"""Issues reported of one file."""
_AT_ONCE = 16
_BYTES_AT_ONCE = 8 * 2**20

_MOST_TEXT_BYTES = 64 * 1024 * 1024
"""The largest text of a database file that is read. Contents may be larger, if ``limits.max_artifact_bytes`` is."""


class RunImport(Protocol):
    """Where runs from an export are saved."""

    async def import_run(
        self,
        graph: SessionGraph,
        choose: Callable[[SessionGraph, SessionGraph], SessionGraph],
        *,
        dry_run: bool = False,
    ) -> SaveResult: ...


class ImportedRuns(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The result of an import. ``counts`` are the rows in the file (a former format has some that are not written, see
    ``former_format``), ``inserted`` and ``updated`` those written, all
    by table; ``errors`` are issues of the file, ``refused`` the runs that a redacted export would have overwritten.
    """

    path: str
    format: Literal["json", "sqlite"]
    redacted: bool
    dry_run: bool
    counts: dict[str, int]
    inserted: dict[str, int]
    updated: dict[str, int]
    unchanged: int
    errors: tuple[Issue, ...] = ()
    refused: tuple[str, ...] = ()
    duration_seconds: float

    @property
    def written(self) -> int:
        return sum(self.inserted.values()) + sum(self.updated.values())

    @property
    def ok(self) -> bool:
        return not self.errors and not self.refused


async def import_export(
    path: Path,
    target: RunImport,
    run_files: RunFiles,
    *,
    limits: Limits,
    syncs: bool,
    force: bool = False,
    dry_run: bool = False,
    progress: ReportExport | None = None,
) -> ImportedRuns:
    """Import the runs of an export. ``syncs`` says whether the workspace has a team's database.

    Raises ExportError where the file is no export or was cut off, OSError where it cannot be read; nothing is written
    then, nor where the answer has ``errors``.
    """
    started = monotonic()
    with _naming(path), ExitStack() as stack:
        source = await asyncio.to_thread(_open, run_files, path, stack, limits)
        work = _Import(source, target, limits, force=force, dry_run=dry_run, progress=progress)
        await work.check()
        head = source.head
        if head.redacted and syncs and not force:
            raise ExportError(
                "the export is redacted and this workspace syncs: the team's database may hold the originals",
                hint="import it into a workspace of its own, or use --force",
            )
        if not work.errors:
            await work.write(head)
    return ImportedRuns(
        path=str(path),
        format=source.format,
        redacted=head.redacted,
        dry_run=dry_run,
        counts=_by_table(work.counts),
        inserted=_by_table(work.inserted),
        updated=_by_table(work.updated),
        unchanged=work.unchanged,
        errors=tuple(work.errors),
        refused=tuple(work.refused),
        duration_seconds=round(monotonic() - started, 3),
    )


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Add the file's path to every ExportError."""
    try:
        yield
    except ExportError as error:
        raise ExportError(f"{path}: {error.message}", hint=error.hint) from error


class _Source(Protocol):
    format: Literal["json", "sqlite"]

    @property
    def head(self) -> Head: ...

    def runs(self) -> Iterator[RawRun | Issue]: ...


class _JsonSource:
    format: Literal["json", "sqlite"] = "json"

    def __init__(self, path: Path) -> None:
        self._export = JsonExport(path)

    @property
    def head(self) -> Head:
        return self._export.head

    def runs(self) -> Iterator[RawRun | Issue]:
        yield from self._export.runs()


class _SqliteSource:
    """Rows are converted to the JSON of an export, so that one parser validates both formats."""

    format: Literal["json", "sqlite"] = "sqlite"

    def __init__(self, source: RunFileReader) -> None:
        self._source = source
        info = source.info()
        stated = info.get("formatVersion", "")
        if stated.isdecimal() and int(stated) > FORMAT_VERSION:
            raise ExportError(f"the export has format version {stated}", hint="upgrade acode-tui")
        self.head = Head(
            format=FORMAT,
            format_version=FORMER_VERSION if source.is_former else FORMAT_VERSION,
            redacted=info.get("redacted", "False").lower() == "true",
        )

    def runs(self) -> Iterator[RawRun | Issue]:
        for run_number, (session_id, found) in enumerate(self._source.runs(_as_json), 1):
            if isinstance(found, bytes):
                yield RawRun(run_number, found, self.head.format_version)
            else:
                yield Issue(line=run_number, session_id=session_id[:64], field=None, message=found)


def _as_json(rows: Iterator[Entity]) -> bytes:
    buffer = io.BytesIO()
    writer = JsonRuns(buffer)
    for row in rows:
        writer.add(row)
    writer.end()
    return buffer.getvalue()


def _open(run_files: RunFiles, path: Path, stack: ExitStack, limits: Limits) -> _Source:
    if path.is_dir():
        raise ExportError("is a folder; CSV cannot be read back", hint="export as json or sqlite")
    if not run_files.is_run_file(path):
        return _JsonSource(path)
    source = run_files.open(path, most_bytes=max(limits.max_artifact_bytes, _MOST_TEXT_BYTES))
    stack.callback(source.close)
    return _SqliteSource(source)


class _Import:
    """One import: everything is checked, then written."""

    def __init__(
        self,
        source: _Source,
        target: RunImport,
        limits: Limits,
        *,
        force: bool,
        dry_run: bool,
        progress: ReportExport | None,
    ) -> None:
        self._source = source
        self._target = target
        self._limits = limits
        self._force = force
        self._dry_run = dry_run
        self._progress = progress
        self._total = self._done = self._rows = 0
        self._started = monotonic()
        self.errors: list[Issue] = []
        self.refused: list[str] = []
        self.counts: Counter[EntityType] = Counter()
        self.inserted: Counter[EntityType] = Counter()
        self.updated: Counter[EntityType] = Counter()
        self.unchanged = 0

    async def check(self) -> None:
        """Read everything once, to count what the file holds and to find its issues."""
        runs = self._source.runs()
        while (found := await asyncio.to_thread(self._next, runs)) is not None:
            if isinstance(found, Issue):
                self.errors = [*self.errors, found][:MOST_ISSUES]
            else:
                self.counts.update(found.rows)
                self._total += 1
        stated_counts = {} if self.errors else self._source.head.counts
        for kind, table in TABLES.items():
            if stated_counts.get(table.name, self.counts[kind]) != self.counts[kind]:
                stated, held = number(stated_counts[table.name]), number(self.counts[kind])
                raise ExportError(
                    f"the export says that it holds {stated} {table.name}; it holds {held}",
                    hint="export it again, or copy the file again",
                )

    async def write(self, head: Head) -> None:
        """Read everything again and save it, several runs per commit."""
        runs = self._source.runs()
        choose = self._chooser(head)
        waiting: list[SessionGraph] = []
        size = 0
        while (found := await asyncio.to_thread(self._next, runs)) is not None:
            if isinstance(found, Issue):
                self.errors.append(found)
                continue
            waiting.append(found.graph)
            size += sum(len(getattr(entity, "content", None) or b"") for entity in found.graph.entities())
            if len(waiting) >= _AT_ONCE or size >= _BYTES_AT_ONCE:
                await self._save(waiting, choose)
                waiting, size = [], 0
        await self._save(waiting, choose)

    def _next(self, runs: Iterator[RawRun | Issue]) -> ReadRun | Issue | None:
        raw = next(runs, None)
        return read_run(raw, self._limits) if isinstance(raw, RawRun) else raw

    async def _save(
        self, graphs: list[SessionGraph], choose: Callable[[SessionGraph, SessionGraph], SessionGraph]
    ) -> None:
        saves = (self._target.import_run(graph, choose, dry_run=self._dry_run) for graph in graphs)
        for graph, outcome in zip(graphs, await asyncio.gather(*saves, return_exceptions=True), strict=True):
            if isinstance(outcome, Overwrites):
                self.refused.append(graph.id)
            elif isinstance(outcome, AcodeError):
                self.errors.append(Issue(line=0, session_id=graph.id, field=None, message=outcome.message))
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                self.inserted.update(outcome.inserted)
                self.updated.update(outcome.updated)
                self.unchanged += outcome.unchanged
            self._done += 1
            self._rows += sum(1 for _ in graph.entities())
        if self._progress is not None:
            seconds = monotonic() - self._started
            self._progress(
                ExportProgress(
                    sessions=progress_after(seconds, self._done, self._total, "sessions"),
                    rows=progress_after(seconds, self._rows, None, "rows"),
                )
            )

    def _chooser(self, head: Head) -> Callable[[SessionGraph, SessionGraph], SessionGraph]:
        if self._force:
            return lambda given, stored: given
        return unless_it_overwrites if head.redacted else newest_of


def _by_table(counts: Counter[EntityType]) -> dict[str, int]:
    return {table.name: counts[kind] for kind, table in TABLES.items()}
