"""The spans that a workspace received: where they are stored, and how they become runs."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from acode_tui.storage.transcript_ports import SPANS_FILE, SpanLog

if TYPE_CHECKING:
    from acode_tui.ingest import ImportReport
    from acode_tui.workspace.workspace import Workspace


def spans_path(agent_dir: Path) -> Path:
    """The file of received spans."""
    return agent_dir / "otlp" / SPANS_FILE


def open_span_store(agent_dir: Path) -> SpanLog:
    """Open the store of spans, made where there is none. Raises AcodeError."""
    from acode_tui.storage.sqlite.span_store import SpanStore

    return SpanStore(spans_path(agent_dir))


async def import_spans(workspace: "Workspace") -> "ImportReport":
    """Bring the workspace's runs up to date with the received spans. Raises AcodeError."""
    from acode_tui.ingest import discover, import_transcripts
    from acode_tui.ingest.cursor import cursor_key
    from acode_tui.ingest.usage import Claims

    path = spans_path(workspace.agent_dir)
    known = await workspace.transcripts.known([cursor_key(path)])
    return await import_transcripts(
        workspace.transcripts,
        await discover([path]) if path.exists() else [],
        workspace_id=workspace.workspace_id,
        user_id=workspace.user,
        limits=workspace.settings.limits,
        wall=workspace.wall,
        # Looked at again, whatever its times are: two commits may be within one tick of the file system's clock.
        known={key: msgspec.structs.replace(cursor, mtime_ns=0) for key, cursor in known.items()},
        claims=Claims(),
    )
