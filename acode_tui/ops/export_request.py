"""What somebody asks of an export, and how a workspace meets it: ids, redaction and the place are settled here."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from acode_tui import __version__
from acode_tui.config import ExportSettings
from acode_tui.domain.errors import ExportError
from acode_tui.domain.states import EntityType
from acode_tui.ops.export.destination import default_path
from acode_tui.ops.export.export import REPORTS, ExportFormat, ExportReport, Origin, Progress, export_runs
from acode_tui.ops.export.redact import RowRedaction
from acode_tui.storage.ports import RunRows, RunStateReader


class ExportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``sessions`` are ids or their beginnings, none for all. Without a ``path`` the export gets a name of its own;
    ``redact`` None is what configuration says."""

    format: ExportFormat = "json"
    path: Path | None = None
    sessions: Sequence[str] = ()
    redact: bool | None = None
    overwrite: bool = False
    dry_run: bool = False


async def meet(
    request: ExportRequest,
    runs: RunRows,
    reader: RunStateReader,
    *,
    agent_dir: Path,
    workspace_id: str,
    schema_version: str | None,
    settings: ExportSettings,
    now: datetime,
    progress: Progress | None = None,
) -> ExportReport:
    """Export what is asked for. Raises ExportError, NotFoundError, AmbiguousIdError, OSError."""
    sessions = [await reader.resolve_id(EntityType.SESSION, each) for each in request.sessions]
    if request.format in REPORTS and len(set(sessions)) != 1:
        raise ExportError(f"a {request.format} report is of one session", hint="name it with --session ID")
    only = sessions[0] if len(set(sessions)) == 1 else None
    redact = settings.redact if request.redact is None else request.redact
    return await export_runs(
        runs,
        request.format,
        request.path or default_path(agent_dir, request.format, now, only),
        origin=Origin(workspace_id=workspace_id, schema_version=schema_version, program_version=__version__),
        sessions=sessions or None,
        redaction=RowRedaction(settings.patterns) if redact else None,
        now=now,
        overwrite=request.overwrite,
        dry_run=request.dry_run,
        progress=progress,
    )
