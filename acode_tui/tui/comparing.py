"""Two versions of one row side by side: field by field, what differs set off. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

import msgspec
from textual.content import Content

from acode_tui.domain.display import cell_width
from acode_tui.tui.style.text import line, pretty_json

_UNTOLD = ("id", "sessionId", "workspaceId")
_NAME = 16
MAX_LINES = 60
"""Lines that are shown of one field."""


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
        name = line(field.name, _NAME - 1)
        for one, two, same in _beside(_lines(field.local), _lines(field.remote), room):
            rows.append(
                Content.assemble(
                    (name + " " * (_NAME - cell_width(name)), "$foreground-muted"),
                    (_pad(one, room), "$foreground-muted" if same else "$text-error on $removed-ground"),
                    (f" {' ' if same else '│'} ", "$foreground-muted"),
                    (_pad(two, room), "$foreground-muted" if same else "$text-success on $added-ground"),
                )
            )
            name = ""
    return Content("\n").join(rows)


def _beside(local: list[str], remote: list[str], room: int) -> Iterator[tuple[str, str, bool]]:
    """Rows of both sides in so many columns, equal lines next to each other, and whether they are equal."""
    matched = SequenceMatcher(None, local, remote, autojunk=False).get_opcodes()
    for tag, first, last, other_first, other_last in matched:
        left = [row for text in local[first:last] for row in _folded(text, room)]
        right = [row for text in remote[other_first:other_last] for row in _folded(text, room)]
        yield from ((one, two, tag == "equal") for one, two in zip_longest(left, right, fillvalue=""))


def _fields(payload: msgspec.Raw) -> dict[str, str]:
    decoded: Any = msgspec.json.decode(payload)
    if not isinstance(decoded, dict):
        return {"value": pretty_json(decoded)}
    return {str(name): pretty_json(_in_order(value)) for name, value in decoded.items()}


def _in_order(value: Any) -> Any:
    """The same with the keys of every object in order: the team's database keeps them in another one."""
    return msgspec.json.decode(msgspec.json.encode(value, order="sorted"))


def _lines(text: str | None) -> list[str]:
    return ["(absent)"] if text is None else text.split("\n")[:MAX_LINES]


def _folded(text: str, room: int) -> list[str]:
    return [str(part) for part in Content(text).fold(room)][:MAX_LINES] if text else [""]


def _pad(text: str, room: int) -> str:
    return str(Content(text).truncate(room, pad=True))
