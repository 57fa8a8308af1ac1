"""Both versions of a conflict: the fields that differ, and the two versions side by side. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

import msgspec
from textual.content import Content

from acode_tui.domain.display import cell_width
from acode_tui.tui.style.text import line, pretty_json

_OMITTED_IF_EQUAL = ("id", "sessionId", "workspaceId")
_NAME_COLUMNS = 16
MAX_LINES = 60
"""The most lines that are shown of one field."""


@dataclass(frozen=True, slots=True)
class ComparedField:
    """One field of both versions, as text; None in a version that does not have it."""

    name: str
    local: str | None
    remote: str | None

    @property
    def is_equal(self) -> bool:
        return self.local == self.remote


def compare(local: msgspec.Raw, remote: msgspec.Raw) -> list[ComparedField]:
    """The fields of two payloads, those that differ first. Ids that are equal are left out."""
    local_fields, remote_fields = _fields(local), _fields(remote)
    names = list(dict.fromkeys([*local_fields, *remote_fields]))
    fields = [ComparedField(name, local_fields.get(name), remote_fields.get(name)) for name in names]
    shown = [field for field in fields if not (field.is_equal and field.name in _OMITTED_IF_EQUAL)]
    return sorted(shown, key=lambda field: field.is_equal)


def side_by_side(fields: list[ComparedField], width: int) -> Content:
    """Both versions next to each other in ``width`` columns. Where they differ, local is red, remote green."""
    columns = max((width - _NAME_COLUMNS - 5) // 2, 10)
    rows = []
    for field in fields:
        name = line(field.name, _NAME_COLUMNS - 1)
        for local, remote, equal in _paired_rows(_lines(field.local), _lines(field.remote), columns):
            rows.append(
                Content.assemble(
                    (name + " " * (_NAME_COLUMNS - cell_width(name)), "$foreground-muted"),
                    (_pad(local, columns), "$foreground-muted" if equal else "$text-error on $removed-background"),
                    (f" {' ' if equal else '│'} ", "$foreground-muted"),
                    (_pad(remote, columns), "$foreground-muted" if equal else "$text-success on $added-background"),
                )
            )
            name = ""
    return Content("\n").join(rows)


def _paired_rows(local: list[str], remote: list[str], columns: int) -> Iterator[tuple[str, str, bool]]:
    """Rows of both versions, equal lines next to each other, and whether they are equal."""
    matched = SequenceMatcher(None, local, remote, autojunk=False).get_opcodes()
    for tag, local_start, local_end, remote_start, remote_end in matched:
        left = [row for text in local[local_start:local_end] for row in _folded(text, columns)]
        right = [row for text in remote[remote_start:remote_end] for row in _folded(text, columns)]
        yield from ((one, two, tag == "equal") for one, two in zip_longest(left, right, fillvalue=""))


def _fields(payload: msgspec.Raw) -> dict[str, str]:
    decoded: Any = msgspec.json.decode(payload)
    if not isinstance(decoded, dict):
        return {"value": pretty_json(decoded)}
    return {str(name): pretty_json(_sorted_keys(value)) for name, value in decoded.items()}


def _sorted_keys(value: Any) -> Any:
    """The same value with the keys of every object sorted: PostgreSQL's jsonb does not keep their order."""
    return msgspec.json.decode(msgspec.json.encode(value, order="sorted"))


def _lines(text: str | None) -> list[str]:
    return ["(absent)"] if text is None else text.split("\n")[:MAX_LINES]


def _folded(text: str, columns: int) -> list[str]:
    return [str(part) for part in Content(text).fold(columns)][:MAX_LINES] if text else [""]


def _pad(text: str, columns: int) -> str:
    return str(Content(text).truncate(columns, pad=True))
