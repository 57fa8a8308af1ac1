"""What an export of this program adds to its spans: artifacts that the conventions have no attribute for."""

import base64
import binascii
from datetime import datetime
from typing import Any

from acode_tui.domain.states import ArtifactType
from acode_tui.ingest.draft import ArtifactDraft, to_bytes
from acode_tui.ingest.otlp.names import OWN_ARTIFACTS
from acode_tui.ingest.otlp.records import Span
from acode_tui.ingest.records import label, parse_text, text

_TYPES = {type.value: type for type in ArtifactType}


def own_artifacts(span: Span, at: datetime | None) -> list[ArtifactDraft]:
    """The artifacts in the attribute of an export; none where there is none, or it is misshapen."""
    given = span.attributes.get(OWN_ARTIFACTS)
    found = parse_text(given) if isinstance(given, str) else None
    return [
        ArtifactDraft(
            f"own {number}",
            _TYPES.get(text(each.get("type")), ArtifactType.COMMAND_OUTPUT),
            label(each.get("name"), 1_000) or "artifact",
            _content(each),
            label(each.get("contentType"), 255) or "text/plain",
            at,
        )
        for number, each in enumerate(found if isinstance(found, list) else ())
        if isinstance(each, dict)
    ]


def _content(artifact: dict[str, Any]) -> bytes:
    if isinstance(artifact.get("base64"), str):
        try:
            return base64.b64decode(artifact["base64"], validate=True)
        except (binascii.Error, ValueError):
            return b""
    return to_bytes(text(artifact.get("text")))
