"""Runs as files: JSON, CSV, SQLite, or one run as a page to read. Whole or not at all, redacted by default.

Each run is one snapshot, and is written while it is read, in the reader's thread; memory does not grow with the size of
the export. A run that changes meanwhile is exported as it was at one moment.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from threading import Event
from time import monotonic
from typing import IO, Any, Literal, NamedTuple

import msgspec

from acode_tui.config import ExportSettings
from acode_tui.domain.clock import format_time
from acode_tui.domain.entities import Entity
from acode_tui.domain.errors import ExportError
from acode_tui.domain.progress import Progress, progress_after
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.ops.export.atif import AtifFile
from acode_tui.ops.export.csv import MEMBERS, CsvFolder
from acode_tui.ops.export.destination import (
    CSV_LOG,
    default_path,
    log_path,
    new_file,
    new_folder,
    require_free,
    size_of,
    write_log,
)
from acode_tui.ops.export.html import render_html
from acode_tui.ops.export.json import FORMAT_VERSION, About, JsonFile
from acode_tui.ops.export.markdown import render_markdown
from acode_tui.ops.export.otlp import OtlpFile
from acode_tui.ops.export.redact import RowRedaction
from acode_tui.ops.export.report import ReportFile
from acode_tui.storage.ports import RowSink, RunFiles, RunRows, RunStateReader
from acode_tui.version import VERSION

ExportFormat = Literal["json", "csv", "sqlite", "markdown", "html", "atif", "otlp"]
FORMATS: tuple[ExportFormat, ...] = ("json", "csv", "sqlite", "markdown", "html", "atif", "otlp")
SINGLE: frozenset[str] = frozenset({"markdown", "html", "atif"})
"""Formats that hold one run: a page to be read by a person, or a trajectory for another tool."""

_PAGE = 500
_ROWS_A_REPORT = 200
_SECONDS_A_REPORT = 0.1
"""Progress is reported after so many rows, or after so long: a few rows may hold a lot."""


class ExportReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was exported, and where to. ``counts`` are rows by table, ``redactions`` findings by kind.

    ``size_bytes`` is None where nothing was written.
    """

    path: str
    format: ExportFormat
    redacted: bool
    counts: dict[str, int]
    redactions: dict[str, int]
    redaction_log: str | None
    size_bytes: int | None
    dry_run: bool
    duration_seconds: float


class ExportProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far an export or an import of one is. The total of the rows is known where sessions were named."""

    sessions: Progress
    rows: Progress


ReportExport = Callable[[ExportProgress], None]


class _NullSink:
    """The sink of a dry run."""

    def add(self, entity: Entity) -> None:
        pass

    def close(self, counts: dict[str, int]) -> None:
        pass

    def abandon(self) -> None:
        pass


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """The workspace and program that an export comes from."""

    workspace_id: str
    schema_version: str | None
    program_version: str


async def export_runs(
    runs: RunRows,
    run_files: RunFiles,
    format: ExportFormat,
    path: Path,
    *,
    origin: Origin,
    sessions: Sequence[str] | None = None,
    redaction: RowRedaction | None,
    now: datetime,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: ReportExport | None = None,
) -> ExportReport:
    """Write these sessions, by whole id, or all there are. ``progress`` is called in the loop's own thread.

    Raises ExportError where ``path`` is taken, OSError where it cannot be written; nothing is left behind then, nor
    where it is cancelled.
    """
    started = monotonic()
    require_free(path, folder=format == "csv", overwrite=overwrite)
    about = About(
        created_at=format_time(now),
        program_version=origin.program_version,
        schema_version=origin.schema_version,
        workspace_id=origin.workspace_id,
        redacted=redaction is not None,
    )
    transfer = _Transfer(runs, redaction, progress)
    log = None
    if dry_run:
        await transfer.copy_into(_NullSink(), sessions)
    else:
        with _written(run_files, path, format, about, overwrite=overwrite) as written:
            await transfer.copy_into(written.sink, sessions)
            if redaction is not None:
                write_log(written.log, _log(about, path, redaction))
                log = written.log if format != "csv" else path / CSV_LOG
    return ExportReport(
        path=str(path),
        format=format,
        redacted=redaction is not None,
        counts=transfer.counts,
        redactions=redaction.kinds if redaction is not None else {},
        redaction_log=None if log is None else str(log),
        size_bytes=None if dry_run else size_of(path),
        dry_run=dry_run,
        duration_seconds=round(monotonic() - started, 3),
    )


class _Written(NamedTuple):
    """An export that is being written: the sink of its rows, and the path of its redaction log."""

    sink: RowSink
    log: Path


@contextmanager
def _written(
    run_files: RunFiles, path: Path, format: ExportFormat, about: About, *, overwrite: bool
) -> Iterator[_Written]:
    if format == "csv":
        making = new_folder(path, overwrite=overwrite, members=MEMBERS)
        with making as folder, _sink(CsvFolder(folder, about)) as sink:
            yield _Written(sink, folder / CSV_LOG)
        return
    log = log_path(path)
    had_log = log.exists()
    try:
        with new_file(path, overwrite=overwrite) as file, _sink(_in_file(run_files, file, format, about)) as sink:
            yield _Written(sink, log)
    except BaseException:
        if not had_log:
            log.unlink(missing_ok=True)
        raise


@contextmanager
def _sink(sink: RowSink) -> Iterator[RowSink]:
    try:
        yield sink
    except BaseException:
        sink.abandon()
        raise


def _in_file(run_files: RunFiles, file: IO[bytes], format: ExportFormat, about: About) -> RowSink:
    if format == "sqlite":
        info = {name: str(value) for name, value in msgspec.to_builtins(about).items() if value is not None}
        return run_files.create(Path(file.name), info)
    if format == "markdown":
        return ReportFile(file, about, render_markdown)
    if format == "html":
        return ReportFile(file, about, render_html)
    if format == "atif":
        return AtifFile(file, about)
    if format == "otlp":
        return OtlpFile(file, about)
    return JsonFile(file, about)


def _log(about: About, path: Path, redaction: RowRedaction) -> dict[str, object]:
    """How many secrets of each kind were removed from each column; never the secrets."""
    kinds = redaction.kinds
    return {
        "formatVersion": FORMAT_VERSION,
        "createdAt": about.created_at,
        "export": path.name,
        "total": sum(kinds.values()),
        "kinds": kinds,
        "places": redaction.places,
    }


class _Stopped(Exception):
    """The export was cancelled while rows were written."""


class _Transfer:
    """Copies the rows of runs from the store into a sink."""

    def __init__(self, runs: RunRows, redaction: RowRedaction | None, progress: ReportExport | None) -> None:
        self._runs = runs
        self._redaction = redaction
        self._progress = progress
        self._stop = Event()
        self._loop = asyncio.get_running_loop()
        self._done = self._total = self._rows = 0
        self._rows_total: int | None = None
        self._started = self._reported = monotonic()
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> dict[str, int]:
        """Rows a table, every table named."""
        return {table.name: self._counts[table.name] for table in TABLES.values()}

    async def copy_into(self, sink: RowSink, sessions: Sequence[str] | None) -> None:
        """Copy the rows of these sessions, or of all, and close the sink."""
        if sessions is not None:
            chosen = tuple(dict.fromkeys(sessions))
            self._total = len(chosen)
            self._rows_total = sum([await self._runs.rows(each) for each in chosen])
            await self._copy(chosen, sink)
        else:
            self._total = await self._runs.count()
            after = ""
            while ids := await self._runs.session_ids(after=after, limit=_PAGE):
                await self._copy(ids, sink)
                after = ids[-1]
        await self._in_thread(asyncio.to_thread(sink.close, self.counts))

    async def _copy(self, ids: Sequence[str], sink: RowSink) -> None:
        for each in ids:
            await self._in_thread(self._runs.walk(each, lambda rows: self._consume(rows, sink)))
            self._done += 1
            self._report(self._rows)

    async def _in_thread(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for work in another thread. When cancelled, stop it and wait for its end: the sink is still in use."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            self._stop.set()
            while not task.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
            if not task.cancelled():
                task.exception()
            raise

    def _consume(self, rows: Iterator[Entity], sink: RowSink) -> None:
        redact = self._redaction.row if self._redaction is not None else None
        for entity in rows:
            if self._stop.is_set():
                raise _Stopped
            sink.add(entity if redact is None else redact(entity))
            self._counts[TABLES[entity.kind].name] += 1
            self._rows += 1
            if self._rows % _ROWS_A_REPORT == 0 or monotonic() - self._reported >= _SECONDS_A_REPORT:
                self._reported = monotonic()
                # The count is passed along: when the loop runs this, the thread may be hundreds of rows further.
                self._loop.call_soon_threadsafe(self._report, self._rows)

    def _report(self, rows: int) -> None:
        if self._progress is not None:
            seconds = monotonic() - self._started
            self._progress(
                ExportProgress(
                    sessions=progress_after(seconds, self._done, self._total, "sessions"),
                    # The run may have grown since its rows were counted.
                    rows=progress_after(seconds, rows, self._rows_total, "rows"),
                )
            )


class ExportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to export. ``sessions`` are ids or their beginnings, none for all.

    Without a ``path`` the export gets a name of its own; without ``redact`` the configuration decides.
    """

    format: ExportFormat = "json"
    path: Path | None = None
    sessions: Sequence[str] = ()
    redact: bool | None = None
    overwrite: bool = False
    dry_run: bool = False


async def run_export(
    request: ExportRequest,
    runs: RunRows,
    reader: RunStateReader,
    run_files: RunFiles,
    *,
    agent_dir: Path,
    workspace_id: str,
    schema_version: str | None,
    settings: ExportSettings,
    now: datetime,
    progress: ReportExport | None = None,
) -> ExportReport:
    """Export what is requested. Raises ExportError, NotFoundError, AmbiguousIdError, OSError."""
    sessions = [await reader.resolve_id(EntityType.SESSION, each) for each in request.sessions]
    if request.format in SINGLE and len(set(sessions)) != 1:
        raise ExportError(f"a {request.format} report is of one session", hint="name it with --session ID")
    only = sessions[0] if len(set(sessions)) == 1 else None
    redact = settings.redact if request.redact is None else request.redact
    return await export_runs(
        runs,
        run_files,
        request.format,
        request.path or default_path(agent_dir, request.format, now, only),
        origin=Origin(workspace_id=workspace_id, schema_version=schema_version, program_version=VERSION),
        sessions=sessions or None,
        redaction=RowRedaction(settings.patterns) if redact else None,
        now=now,
        overwrite=request.overwrite,
        dry_run=request.dry_run,
        progress=progress,
    )
