"""An export as one JSON document: a header, then whole runs, nested, one per line, then the number of rows.

It is written row by row; only the path from a session down to the present row is open.
"""

from typing import IO

import msgspec

from acode_tui.domain.codec import encode_json
from acode_tui.domain.entities import Entity
from acode_tui.domain.states import EntityType
from acode_tui.files import sync_file

FORMAT = "acode-export"
FORMAT_VERSION = 1

_DEPTH = {
    EntityType.SESSION: 0,
    EntityType.SESSION_EVENT: 1,
    EntityType.SESSION_TASK: 1,
    EntityType.STEP: 2,
    EntityType.TOOL_CALL: 3,
    EntityType.ARTIFACT: 4,
}
_LIST = {
    EntityType.SESSION: b',"events":[',
    EntityType.SESSION_TASK: b',"steps":[',
    EntityType.STEP: b',"toolCalls":[',
    EntityType.TOOL_CALL: b',"artifacts":[',
}
_TASKS = b'],"tasks":['


class About(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The header of every export."""

    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    created_at: str
    program_version: str
    schema_version: str | None
    workspace_id: str
    redacted: bool


class JsonRuns:
    """Writes runs, nested, row by row."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._open: list[_Level] = []
        self._runs = 0

    def add(self, entity: Entity) -> None:
        """Write the next row, in the order of ``RunRows.walk``."""
        depth = _DEPTH[entity.kind]
        self._close_to(depth)
        if depth:
            self._continue(self._open[-1], entity.kind)
        elif self._runs:
            self._file.write(b",\n")
        self._runs += not depth
        text = encode_json(entity)
        children = _LIST.get(entity.kind)
        if children is None:
            self._file.write(text)
            return
        self._file.write(text[:-1])
        self._file.write(children)
        self._open.append(_Level(entity.kind))

    def end(self) -> None:
        """End the last run."""
        self._close_to(0)

    def _continue(self, parent: "_Level", kind: EntityType) -> None:
        """Write what separates a row from what its parent's list holds already."""
        if kind is EntityType.SESSION_TASK and not parent.has_tasks:
            self._file.write(_TASKS)
            parent.has_tasks, parent.members = True, 0
        if parent.members:
            self._file.write(b",")
        parent.members += 1

    def _close_to(self, depth: int) -> None:
        while len(self._open) > depth:
            level = self._open.pop()
            if level.kind is EntityType.SESSION and not level.has_tasks:
                self._file.write(_TASKS)
            self._file.write(b"]}")


class _Level(msgspec.Struct):
    """An open object and the number of members in its list so far. A session has two lists: events first."""

    kind: EntityType
    has_tasks: bool = False
    members: int = 0


class JsonFile:
    """Writes one JSON document into an open file."""

    def __init__(self, file: IO[bytes], about: About) -> None:
        self._file = file
        self._runs = JsonRuns(file)
        file.write(encode_json(about)[:-1] + b',"sessions":[\n')

    def add(self, entity: Entity) -> None:
        """Write the next row, in the order of ``RunRows.walk``."""
        self._runs.add(entity)

    def close(self, counts: dict[str, int]) -> None:
        """Write the end. A document without it is recognisably cut off."""
        self._runs.end()
        self._file.write(b'\n],"counts":' + encode_json(counts) + b"}\n")
        # Here, in the thread that writes: syncing may take long.
        sync_file(self._file)

    def abandon(self) -> None:
        """Do nothing: the file is its maker's."""
