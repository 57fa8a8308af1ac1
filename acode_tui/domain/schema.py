"""The entities' tables and columns, defined once. The codec and the stores of both databases derive from it."""

from typing import Literal, NamedTuple

from acode_tui.domain.entities import Artifact, Entity, Session, SessionEvent, SessionTask, Step, ToolCall
from acode_tui.domain.states import ArtifactType, EntityType, SessionState, ToolCallState, WorkState

ColumnKind = Literal["uuid", "text", "enum", "int", "time", "json", "bytes"]


class Column(NamedTuple):
    """A column: its name in both databases and in Python, its name in JSON, its kind, and its enum if it is one."""

    name: str
    json: str
    kind: ColumnKind
    nullable: bool = False
    enum: type[SessionState] | type[WorkState] | type[ToolCallState] | type[ArtifactType] | None = None


class Table(NamedTuple):
    """An entity's table. Rows of a ``mutable`` table have ``sync_version``.

    ``parents`` are (column, parent's kind), the outermost first: the last one that a row has set is its own parent, and
    the others are above that. Only an artifact has more than one.
    """

    kind: EntityType
    name: str
    entity: type[Entity]
    columns: tuple[Column, ...]
    parents: tuple[tuple[str, EntityType], ...]
    mutable: bool

    @property
    def parent_kinds(self) -> tuple[EntityType, ...]:
        return tuple(kind for _, kind in self.parents)

    @property
    def session_column(self) -> str:
        """The column that holds the session's id: PostgreSQL distributes and indexes rows by it."""
        return "id" if self.kind is EntityType.SESSION else "session_id"

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


_ID = Column("id", "id", "uuid")
_SESSION = Column("session_id", "sessionId", "uuid")
_CREATED = Column("created_at", "createdAt", "time")
_UPDATED = Column("updated_at", "updatedAt", "time")
_DESCRIPTION = Column("description", "description", "text", nullable=True)
_METADATA = Column("metadata", "metadata", "json", nullable=True)
_ORDER = Column("order", "order", "int")
_SYNC = Column("sync_version", "syncVersion", "int")
_WORK_STATE = Column("state", "state", "enum", enum=WorkState)

TABLES: dict[EntityType, Table] = {
    table.kind: table
    for table in (
        Table(
            EntityType.SESSION,
            "sessions",
            Session,
            (
                _ID,
                Column("task_description", "taskDescription", "text"),
                Column("state", "state", "enum", enum=SessionState),
                _CREATED,
                _UPDATED,
                _METADATA,
                Column("user_id", "userId", "text", nullable=True),
                Column("workspace_id", "workspaceId", "uuid"),
                _SYNC,
            ),
            (),
            mutable=True,
        ),
        Table(
            EntityType.SESSION_EVENT,
            "session_events",
            SessionEvent,
            (
                _ID,
                _SESSION,
                Column("from_state", "fromState", "enum", enum=SessionState),
                Column("to_state", "toState", "enum", enum=SessionState),
                Column("reason", "reason", "text"),
                Column("timestamp", "timestamp", "time"),
                _CREATED,
                _UPDATED,
            ),
            (("session_id", EntityType.SESSION),),
            mutable=False,
        ),
        Table(
            EntityType.SESSION_TASK,
            "session_tasks",
            SessionTask,
            (
                _ID,
                _SESSION,
                Column("title", "title", "text"),
                _DESCRIPTION,
                _WORK_STATE,
                _ORDER,
                _CREATED,
                _UPDATED,
                _METADATA,
                _SYNC,
            ),
            (("session_id", EntityType.SESSION),),
            mutable=True,
        ),
        Table(
            EntityType.STEP,
            "steps",
            Step,
            (
                _ID,
                _SESSION,
                Column("task_id", "taskId", "uuid"),
                Column("name", "name", "text"),
                _DESCRIPTION,
                _WORK_STATE,
                _ORDER,
                _CREATED,
                _UPDATED,
                _METADATA,
                _SYNC,
            ),
            (("task_id", EntityType.SESSION_TASK),),
            mutable=True,
        ),
        Table(
            EntityType.TOOL_CALL,
            "tool_calls",
            ToolCall,
            (
                _ID,
                _SESSION,
                Column("step_id", "stepId", "uuid"),
                Column("tool_name", "toolName", "text"),
                Column("parameters", "parameters", "json"),
                Column("state", "state", "enum", enum=ToolCallState),
                _ORDER,
                _CREATED,
                _UPDATED,
                Column("completed_at", "completedAt", "time", nullable=True),
                Column("result", "result", "json", nullable=True),
                Column("error_message", "errorMessage", "text", nullable=True),
                _SYNC,
            ),
            (("step_id", EntityType.STEP),),
            mutable=True,
        ),
        Table(
            EntityType.ARTIFACT,
            "artifacts",
            Artifact,
            (
                _ID,
                _SESSION,
                Column("task_id", "taskId", "uuid"),
                Column("step_id", "stepId", "uuid", nullable=True),
                Column("tool_call_id", "toolCallId", "uuid", nullable=True),
                Column("type", "type", "enum", enum=ArtifactType),
                Column("name", "name", "text"),
                Column("content_hash", "contentHash", "text"),
                Column("content_type", "contentType", "text"),
                Column("size", "size", "int"),
                _CREATED,
                _UPDATED,
                # Last, so that SQLite reads an artifact's metadata without following the content's overflow pages.
                Column("content", "content", "bytes"),
            ),
            (
                ("task_id", EntityType.SESSION_TASK),
                ("step_id", EntityType.STEP),
                ("tool_call_id", EntityType.TOOL_CALL),
            ),
            mutable=False,
        ),
    )
}
"""Every entity's table, parents before children: the order in which rows may be inserted."""


def parent_of(entity: Entity) -> tuple[EntityType, str] | None:
    """The row that an entity hangs on: its kind and id. None for a session."""
    for column, kind in reversed(TABLES[entity.kind].parents):
        if (parent_id := getattr(entity, column)) is not None:
            return kind, parent_id
    return None


def version_key(version: str) -> tuple[int, ...]:
    """A schema version's numbers, so that 1.10.0 comes after 1.9.0 (AC-010)."""
    return tuple(int(part) for part in version.split("."))
