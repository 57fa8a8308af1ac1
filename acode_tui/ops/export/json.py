"""An export as one JSON document: a header, then whole runs, nested, one per line, then the number of rows.

It is written row by row; only the path from a session down to the present row is open. A row's own artifacts are
written before the rows below it.
"""

from typing import IO

import msgspec

from acode_tui.domain.codec import encode_json
from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import parent_of
from acode_tui.domain.states import EntityType
from acode_tui.files import sync_file

FORMAT = "acode-export"
FORMAT_VERSION = 2
"""2: artifacts hang on tasks, steps or tool calls. For version 1, see ``former_format``."""

_LISTS: dict[EntityType, dict[EntityType, bytes]] = {
    EntityType.SESSION: {EntityType.SESSION_EVENT: b'"events":[', EntityType.SESSION_TASK: b'"tasks":['},
    EntityType.SESSION_TASK: {EntityType.ARTIFACT: b'"artifacts":[', EntityType.STEP: b'"steps":['},
    EntityType.STEP: {EntityType.ARTIFACT: b'"artifacts":[', EntityType.TOOL_CALL: b'"toolCalls":['},
    EntityType.TOOL_CALL: {EntityType.ARTIFACT: b'"artifacts":['},
}
"""The lists of each kind of row, in the order in which they are written, each with its beginning."""

_DEPTH = {kind: depth for depth, kind in enumerate(_LISTS)}
"""How many rows are above one of this kind."""


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
        parent = parent_of(entity)
        if parent is None:
            self._close_to(0)
            if self._runs:
                self._file.write(b",\n")
            self._runs += 1
        else:
            self._close_to(_DEPTH[parent[0]] + 1)
            self._continue(self._open[-1], entity.kind)
        text = encode_json(entity)
        lists = _LISTS.get(entity.kind)
        if lists is None:
            self._file.write(text)
            return
        self._file.write(text[:-1])
        self._open.append(_Level(list(lists.items())))

    def end(self) -> None:
        """End the last run."""
        self._close_to(0)

    def _continue(self, parent: "_Level", kind: EntityType) -> None:
        """Write what separates a row from what its parent has already: its list begins where it has not yet."""
        while parent.current is not kind:
            self._begin_list(parent)
        if parent.members:
            self._file.write(b",")
        parent.members += 1

    def _begin_list(self, level: "_Level") -> None:
        """Write the beginning of an object's next list, and the end of the one before."""
        self._file.write(b"," if level.current is None else b"],")
        level.current, beginning = level.left.pop(0)
        self._file.write(beginning)
        level.members = 0

    def _close_to(self, depth: int) -> None:
        while len(self._open) > depth:
            level = self._open.pop()
            while level.left:
                self._begin_list(level)
            self._file.write(b"]}")


class _Level(msgspec.Struct):
    """An open object: its lists that are not begun yet, and the number of members in the current one."""

    left: list[tuple[EntityType, bytes]]
    current: EntityType | None = None
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
