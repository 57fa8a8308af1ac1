"""The rows that this process writes below, as the server has them: what the rules of a write look at.

A row that is known need not be read before it is changed. It may be out of date, because other processes write too: so
every write below a session writes the session's row as well, and only over the version that is known here. Where the
server has another one, nothing is written, everything is forgotten, and the write is planned from fresh rows.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from acode_tui.domain import transitions
from acode_tui.domain.entities import Entity, Session, SessionTask, Step, ToolCall
from acode_tui.domain.errors import IntegrityError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType, SessionState
from acode_tui.storage.postgres.batch_lexemes import Lexemes
from acode_tui.storage.postgres.identifiers import Connection, is_uuid
from acode_tui.storage.postgres.rows import entity_from_row, has_known_names, select_list

MOST_ROWS = 20_000
"""How many rows are kept: beyond that everything is forgotten, and what is needed is read again."""

MOST_LEXEMES = 200_000
"""The same of lexemes: about 20 MB."""

HOLDERS = (EntityType.SESSION_TASK, EntityType.STEP, EntityType.TOOL_CALL)
"""The kinds of rows that artifacts hang on."""

CHILD_OF = {
    EntityType.SESSION: EntityType.SESSION_TASK,
    EntityType.SESSION_TASK: EntityType.STEP,
    EntityType.STEP: EntityType.TOOL_CALL,
}


class Need(NamedTuple):
    """A row that a write looks at, of one of these kinds, and whether it looks at the row's children too."""

    kinds: tuple[EntityType, ...]
    id: str
    children: bool


class Children:
    """The states of a row's children by id, and the order of the next one."""

    def __init__(self) -> None:
        self.states: dict[str, Any] = {}
        self.next_order = 0

    def note(self, child: Any) -> None:
        self.states[child.id] = child.state
        self.next_order = max(self.next_order, child.order + 1)


class KnownRows:
    """Rows by id, with the versions that the server has. ``Surroundings`` of every row that ``load`` was asked for."""

    def __init__(self) -> None:
        self.rows: dict[str, Entity] = {}
        self.unreadable: set[str] = set()
        self.digests: dict[str, bytes] = {}
        """Digests of sessions' contents: only the stamps of most of them change."""
        self.lexemes: Lexemes = {}
        """What the search index has of sessions: a transaction that adds to it writes the session's row too."""
        self._children: dict[str, Children] = {}
        self._paused_from: dict[str, SessionState | None] = {}

    def __len__(self) -> int:
        return len(self.rows) + len(self._children)

    def clear(self) -> None:
        """Forget everything."""
        for part in (self.rows, self.unreadable, self.digests, self.lexemes, self._children, self._paused_from):
            part.clear()

    @property
    def is_full(self) -> bool:
        """Whether it is time to forget everything."""
        return len(self.rows) > MOST_ROWS or sum(map(len, self.lexemes.values())) > MOST_LEXEMES

    def find(self, need: Need) -> Any:
        """The row of a need that was loaded; None if there is none. Raises IntegrityError where it cannot be read."""
        if need.id in self.unreadable:
            raise IntegrityError(
                "this row has a state or type that is not known here",
                hint="another program wrote it, perhaps a newer acode-tui; see `acode-tui db check --remote`",
            )
        found = self.rows.get(need.id)
        return found if found is not None and found.kind in need.kinds else None

    def session_of(self, row: Entity) -> Session:
        """The session above a row, or the row itself."""
        session = self.rows[getattr(row, "session_id", row.id)]
        assert isinstance(session, Session)
        return session

    def children(self, parent_id: str) -> Children:
        return self._children[parent_id]

    def task_states(self, session_id: str) -> Sequence[Any]:
        return tuple(self.children(session_id).states.values())

    step_states = call_states = task_states

    def paused_from(self, session_id: str) -> SessionState | None:
        return self._paused_from.get(session_id)

    def note(self, row: Entity, *, new: bool = False) -> None:
        """Keep a row's present version. A ``new`` one has no children that are not known."""
        self.rows[row.id] = row
        if isinstance(row, (SessionTask, Step, ToolCall)):
            parent = getattr(row, TABLES[row.kind].parents[0][0])
            if parent in self._children:
                self._children[parent].note(row)
        if new and row.kind in CHILD_OF:
            self._children[row.id] = Children()

    def note_pause(self, session_id: str, before: SessionState) -> None:
        """A session was paused, in this state."""
        self._paused_from[session_id] = before

    def forget_ended(self, row: Entity) -> None:
        """Let a call go that has ended: nothing changes it, and its result may be large."""
        if isinstance(row, ToolCall) and not transitions.TOOL_CALL_TARGETS[row.state]:
            self.rows.pop(row.id, None)

    def missing(self, needs: Iterable[Need]) -> list[Need]:
        """The needs that are not loaded."""
        return [need for need in needs if not self._has(need)]

    def _has(self, need: Need) -> bool:
        row = self.rows.get(need.id)
        if row is None or (need.children and need.id not in self._children and row.kind in CHILD_OF):
            return False
        # The step above the call says which task an artifact of the call belongs to.
        return need.kinds != HOLDERS or not isinstance(row, ToolCall) or row.step_id in self.rows

    async def load(self, connection: Connection, schema: str, needs: Sequence[Need]) -> None:
        """Read the rows of these needs, their sessions, and their children. ``connection`` reads one snapshot."""
        wanted = [need for need in needs if is_uuid(need.id)]
        found: list[Entity] = []
        for kind in CHILD_OF | dict.fromkeys(HOLDERS):
            ids = list({need.id for need in wanted if kind in need.kinds and need.id not in self.rows})
            if ids:
                found += self._entities(kind, await _select(connection, schema, kind, "id = ANY($1::uuid[])", ids))
        steps = [row.step_id for row in self._held(wanted, found) if row.step_id not in self.rows]
        if steps:
            kind = EntityType.STEP
            found += self._entities(kind, await _select(connection, schema, kind, "id = ANY($1::uuid[])", steps))
        sessions = {getattr(row, "session_id", row.id) for row in found} - {row.id for row in found}
        if missing := [each for each in sessions if each not in self.rows]:
            kind = EntityType.SESSION
            found += self._entities(kind, await _select(connection, schema, kind, "id = ANY($1::uuid[])", missing))
        for row in found:
            self.note(row)
        parents = [self.rows[need.id] for need in wanted if need.children and need.id in self.rows]
        for kind, below in CHILD_OF.items():
            above = [row for row in parents if row.kind is kind and row.id not in self._children]
            if above:
                await self._load_children(connection, schema, below, above)
        for row in found:
            if isinstance(row, Session) and row.state is SessionState.PAUSED:
                await self._load_pause(connection, schema, row.id)

    def _held(self, wanted: Sequence[Need], found: Sequence[Entity]) -> list[ToolCall]:
        """The calls among these rows that artifacts are to hang on."""
        holders = {need.id for need in wanted if need.kinds == HOLDERS}
        rows = (*found, *(self.rows[each] for each in holders if each in self.rows))
        return [row for row in rows if isinstance(row, ToolCall) and row.id in holders]

    def _entities(self, kind: EntityType, found: Sequence[Any]) -> list[Entity]:
        self.unreadable.update(str(row["id"]) for row in found if not has_known_names(kind, row))
        return [entity_from_row(kind, row) for row in found if has_known_names(kind, row)]

    async def _load_children(
        self, connection: Connection, schema: str, kind: EntityType, above: Sequence[Entity]
    ) -> None:
        ((parent, _),) = TABLES[kind].parents
        state = {column.name: column.enum for column in TABLES[kind].columns}["state"]
        assert state is not None
        rows = await connection.fetch(
            f'SELECT {parent} AS parent, id, state, "order" FROM {schema}.{TABLES[kind].name} '  # noqa: S608
            f"WHERE session_id = ANY($1::uuid[]) AND {parent} = ANY($2::uuid[])",
            list({getattr(row, "session_id", row.id) for row in above}),
            [row.id for row in above],
        )
        for each in above:
            self._children[each.id] = Children()
        for row in rows:
            known = self._children[str(row["parent"])]
            # A state that this program does not know is none that is done.
            known.states[str(row["id"])] = state(row["state"]) if row["state"] in tuple(state) else row["state"]
            known.next_order = max(known.next_order, row["order"] + 1)

    async def _load_pause(self, connection: Connection, schema: str, session_id: str) -> None:
        before = await connection.fetchval(
            f"SELECT from_state FROM {schema}.session_events "  # noqa: S608
            "WHERE session_id = $1 AND to_state = 'Paused' AND from_state <> 'Paused' "
            "ORDER BY timestamp DESC, id DESC LIMIT 1",
            session_id,
        )
        self._paused_from[session_id] = SessionState(before) if before in tuple(SessionState) else None


async def _select(connection: Connection, schema: str, kind: EntityType, where: str, ids: list[str]) -> Sequence[Any]:
    table = TABLES[kind]
    rows: Sequence[Any] = await connection.fetch(
        f"SELECT {select_list(table)} FROM {schema}.{table.name} WHERE {where}",  # noqa: S608
        ids,
    )
    return rows
