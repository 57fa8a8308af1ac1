"""What the boundary lets in. Errors name the field and what is allowed; they never quote the value."""

import math
import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec

from acode_tui.domain.errors import ValidationError
from acode_tui.domain.plain import plain_scalar
from acode_tui.domain.text import require_storable
from acode_tui.domain.times import require_utc

MAX_DESCRIPTION_CHARS = 1_000
MAX_METADATA_BYTES = 64 * 1024
MAX_METADATA_DEPTH = 10
MAX_ARTIFACT_BYTES = 10 * 1024 * 1024
MAX_JSON_DEPTH = 100
"""Depth allowed in tool parameters and results; PostgreSQL's own jsonb limit is far beyond it."""

LAST_DAY = datetime(9999, 12, 31, tzinfo=UTC)
"""No stamp lies in it: a row with the last moment there is could never be changed again."""

MAX_INTEGER_BITS = 8_192
"""Some 2,500 digits. What has more than 4,300 can be written, yet no decoder reads it back."""

_encode = msgspec.json.Encoder(enc_hook=plain_scalar).encode


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes that configuration may change (``limits.*``), in bytes."""

    max_artifact_bytes: int = MAX_ARTIFACT_BYTES
    max_metadata_bytes: int = MAX_METADATA_BYTES


def require_text(value: str, field: str, *, max_chars: int | None = None) -> str:
    """A required string: not blank, storable, not too long."""
    if not isinstance(value, str):
        raise ValidationError(field, f"must be a string, not {type(value).__name__}")
    if not value.strip():
        raise ValidationError(field, "must not be blank")
    if max_chars is not None and len(value) > max_chars:
        raise ValidationError(field, f"has {len(value):,} characters; at most {max_chars:,} are allowed")
    require_storable(value, field)
    return value


def optional_text(value: str | None, field: str) -> str | None:
    """An optional string; storable when given."""
    if value is not None:
        if not isinstance(value, str):
            raise ValidationError(field, f"must be a string or None, not {type(value).__name__}")
        require_storable(value, field)
    return value


def require_reason(value: str) -> str:
    """A reason may be empty; whether it has to say something is the transition's own rule."""
    if not isinstance(value, str):
        raise ValidationError("reason", f"must be a string, not {type(value).__name__}")
    require_storable(value, "reason")
    return value


def require_json(value: Any, field: str, *, max_depth: int = MAX_JSON_DEPTH) -> Any:
    """A JSON value that both tiers can hold: plain types, no NaN or infinity, storable strings, not too deep.

    Depth counts containers: ``{}`` is 1, ``{"a": []}`` is 2.
    """
    _walk_json(value, field, max_depth, max_depth)
    return value


def require_metadata(value: Any, field: str, limits: Limits) -> Any:
    """Metadata: None or a JSON object, at most 64 KiB (``limits.max_metadata_bytes``) and 10 levels."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValidationError(field, "must be a JSON object")
    require_json(value, field, max_depth=MAX_METADATA_DEPTH)
    size = len(_encode(value))
    if size > limits.max_metadata_bytes:
        raise ValidationError(field, f"is {size:,} bytes of JSON; at most {limits.max_metadata_bytes:,} are allowed")
    return value


def require_content(content: bytes, field: str, limits: Limits) -> bytes:
    """Artifact content: bytes, at most ``limits.max_artifact_bytes``."""
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise ValidationError(field, f"must be bytes, not {type(content).__name__}", hint="encode text first")
    data = bytes(content)
    if len(data) > limits.max_artifact_bytes:
        raise ValidationError(field, f"is {len(data):,} bytes; at most {limits.max_artifact_bytes:,} are allowed")
    return data


def require_id(value: str) -> str:
    """An id to look up: any string, since one that names nothing is merely not found."""
    if not isinstance(value, str):
        raise ValidationError("id", f"must be a string, not {type(value).__name__}")
    return value


def require_uuid(value: str, field: str) -> str:
    """A UUID in its canonical lower-case form."""
    try:
        canonical = str(uuid.UUID(value))
    except (ValueError, AttributeError, TypeError):
        raise ValidationError(field, "must be a UUID") from None
    return canonical


def require_order(value: int, field: str) -> int:
    """A position among siblings, or a size: from 0, within what both databases hold."""
    if not isinstance(value, int):
        raise ValidationError(field, f"must be an integer, not {type(value).__name__}")
    if value >= 2**63:
        raise ValidationError(field, "is beyond what a database integer holds")
    if value < 0:
        raise ValidationError(field, f"is {value}; it counts from 0")
    return value


def require_moment(value: datetime, field: str) -> datetime:
    """An aware moment, in UTC, that another can follow: stamps only ever rise."""
    if not isinstance(value, datetime):
        raise ValidationError(field, f"must be a datetime, not {type(value).__name__}")
    moment = require_utc(value, field)
    if moment >= LAST_DAY:
        raise ValidationError(field, f"lies on the last day there is, {LAST_DAY:%Y-%m-%d}")
    return moment


def require_not_before(later: datetime, earlier: datetime, field: str, than: str) -> None:
    """Both aware, and the one not before the other."""
    if require_moment(later, field) < require_moment(earlier, than):
        raise ValidationError(field, f"is before {than}")


def _walk_json(value: Any, field: str, left: int, max_depth: int) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int):
        if value.bit_length() > MAX_INTEGER_BITS:
            raise ValidationError(field, f"contains an integer of more than {MAX_INTEGER_BITS:,} bits")
        return
    if isinstance(value, str):
        require_storable(value, field)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValidationError(field, "contains NaN or infinity, which JSON cannot hold")
    elif isinstance(value, (dict, list, tuple)):
        if left == 0:
            raise ValidationError(field, f"is nested deeper than {max_depth} levels")
        if isinstance(value, dict):
            for key, item in value.items():
                if not isinstance(key, str):
                    raise ValidationError(field, "has a key that is not a string")
                require_storable(key, field)
                _walk_json(item, field, left - 1, max_depth)
        else:
            for item in value:
                _walk_json(item, field, left - 1, max_depth)
    else:
        raise ValidationError(field, f"contains a {type(value).__name__}, which JSON cannot hold")
