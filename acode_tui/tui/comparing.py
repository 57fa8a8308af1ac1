"""Two versions of one row side by side: field by field, what differs set off. Pure."""

from dataclasses import dataclass
from typing import Any

import msgspec
from textual.content import Content

from acode_tui.domain.display import fit
from acode_tui.tui.text import pretty_json

_UNTOLD = ("id", "sessionId", "workspaceId")
_NAME = 16


@dataclass(frozen=True, slots=True)
class Field:
    """One field of both versions, as text; None where a version does not have it."""

    name: str
    local: str | None
    remote: str | None

    @property
    def same(self) -> bool:
        return self.local == self.remote


def compare(local: msgspec.Raw, remote: msgspec.Raw) -> list[Field]:
    """The fields of two payloads, those that differ first, ids left out where they are the same."""
    here, there = _fields(local), _fields(remote)
    names = list(dict.fromkeys([*here, *there]))
    fields = [Field(name, here.get(name), there.get(name)) for name in names]
    told = [field for field in fields if not (field.same and field.name in _UNTOLD)]
    return sorted(told, key=lambda field: field.same)


def side_by_side(fields: list[Field], width: int) -> Content:
    """Both versions beside each other for so many columns: where they differ the local one red, the other green."""
    room = max((width - _NAME - 5) // 2, 10)
    rows = []
    for field in fields:
        left, right = _wrapped(field.local, room), _wrapped(field.remote, room)
        for index in range(max(len(left), len(right))):
            name = field.name if index == 0 else ""
            one = left[index] if index < len(left) else ""
            two = right[index] if index < len(right) else ""
            mark = " " if field.same else "│"
            rows.append(
                Content.assemble(
                    (f"{fit(name, _NAME - 1):<{_NAME}}", "$foreground-muted"),
                    (_pad(one, room), "$foreground-muted" if field.same else "$text-error on $removed-ground"),
                    (f" {mark} ", "$foreground-muted"),
                    (_pad(two, room), "$foreground-muted" if field.same else "$text-success on $added-ground"),
                )
            )
    return Content("\n").join(rows)


def _fields(payload: msgspec.Raw) -> dict[str, str]:
    decoded: Any = msgspec.json.decode(payload)
    if not isinstance(decoded, dict):
        return {"value": pretty_json(decoded)}
    return {str(name): pretty_json(value) for name, value in decoded.items()}


def _wrapped(text: str | None, room: int) -> list[str]:
    if text is None:
        return ["(absent)"]
    rows: list[str] = []
    for line in text.split("\n")[:60]:
        rows += [str(part) for part in Content(line).fold(room)] if line else [""]
    return rows[:60]


def _pad(text: str, room: int) -> str:
    return str(Content(text).truncate(room, pad=True))
