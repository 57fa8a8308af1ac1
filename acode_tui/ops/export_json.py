"""An export as one JSON document: what it is, then whole runs, nested, one a line, then how many rows there were.

It is written as the rows come; what is open at a moment is a path from a session to an artifact.
"""

import os
from typing import IO, Any

import msgspec

from acode_tui.domain.codec import encode_json
from acode_tui.domain.entities import Entity
from acode_tui.domain.states import EntityType

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
    """What stands at the head of every export."""

    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    created_at: str
    program_version: str
    schema_version: str | None
    workspace_id: str
    redacted: bool


class JsonFile:
    """Writes one JSON document into an open file."""

    def __init__(self, file: IO[bytes], about: About) -> None:
        self._file = file
        self._open: list[list[Any]] = []
        self._sessions = 0
        file.write(encode_json(about)[:-1] + b',"sessions":[')

    def add(self, entity: Entity) -> None:
        """The next row, in the order of ``RunRows.walk``."""
        depth = _DEPTH[entity.kind]
        self._close_to(depth)
        write = self._file.write
        if depth == 0:
            write(b",\n" if self._sessions else b"\n")
            self._sessions += 1
        else:
            parent = self._open[-1]
            if entity.kind is EntityType.SESSION_TASK and not parent[1]:
                write(_TASKS)
                parent[1:] = [True, 0]
            if parent[2]:
                write(b",")
            parent[2] += 1
        text = encode_json(entity)
        children = _LIST.get(entity.kind)
        if children is None:
            write(text)
            return
        write(text[:-1])
        write(children)
        self._open.append([entity.kind, False, 0])

    def close(self, counts: dict[str, int]) -> None:
        """Write the end. Without it the document is recognisably cut off."""
        self._close_to(0)
        self._file.write(b'\n],"counts":' + encode_json(counts) + b"}\n")
        self._file.flush()
        # Here, in the thread that writes: it may take a while.
        os.fsync(self._file.fileno())

    def abandon(self) -> None:
        """Nothing to give back: the file is its maker's."""

    def _close_to(self, depth: int) -> None:
        while len(self._open) > depth:
            kind, has_tasks, _ = self._open.pop()
            if kind is EntityType.SESSION and not has_tasks:
                self._file.write(_TASKS)
            self._file.write(b"]}")
