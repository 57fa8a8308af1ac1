"""What to call a session in a line."""

from acode_tui.domain.entities import Session


def session_name(session: Session) -> str:
    """Its description; of an imported one what was asked for, where that begins with an editor's own words."""
    metadata = session.metadata or {}
    request = metadata.get("request") if metadata.get("source") == "codex" else None
    return request if isinstance(request, str) and request.strip() else session.task_description
