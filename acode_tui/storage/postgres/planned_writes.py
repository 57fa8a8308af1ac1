"""The rows that a group of writes makes, planned in memory from the rows that are known. No I/O.

Several writes of a group may change one row, which is sent once, in its newest version and on the version that the
server has. Each session below which something is written is written too: its ``updated_at`` is its last activity, and
its version says that nothing else below it has changed meanwhile.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from acode_tui.domain.clock import stamp_after
from acode_tui.domain.codec import content_digest
from acode_tui.domain.entities import Artifact, Entity, Session, Step, ToolCall
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.ids import idempotency_key, new_id
from acode_tui.domain.redaction import Redact
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType, SessionState
from acode_tui.domain.validation import Limits
from acode_tui.storage.delivery_protocol import ApplyRow
from acode_tui.storage.postgres.known_rows import HOLDERS, KnownRows, Need
from acode_tui.storage.run_writes import E, M, Transition, no_holder, not_found, taken


class PlannedWrites:
    """One group's rows. A write that is refused leaves nothing in it."""

    def __init__(self, known: KnownRows, tick: Callable[[], datetime], *, workspace_id: str, limits: Limits) -> None:
        self.known = known
        self.tick = tick
        self._workspace_id = workspace_id
        self._limits = limits
        self._rows: dict[str, Entity] = {}
        self._bases: dict[str, int] = {}
        self._touched: dict[str, datetime] = {}
        self.stamped: set[str] = set()
        """The ids of sessions of which the stamp alone is new: their texts are the server's own."""

    def add(self, entity: type[E], need: Need | None, fields: dict[str, Any], *, own_id: str | None = None) -> E:
        """A new row below the row of a need, after its siblings. Raises NotFoundError, ValidationError.

        With an id of the caller's the need is the row that may have it already.
        """
        place: dict[str, Any] = {}
        above: Any = None
        if need is not None and own_id is not None:
            if self.known.find(need) is not None:
                raise taken()
        elif need is not None:
            above = self.known.find(need)
            if above is None:
                raise no_holder(need.id) if need.kinds == HOLDERS else not_found(need.kinds[0], need.id)
            self.require_own(self.known.session_of(above))
            place = self._place_below(entity.kind, above)
            if entity.kind in _ORDERED:
                place["order"] = self.known.children(above.id).next_order
        now = self.tick()
        row = entity(id=own_id or new_id(), created_at=now, updated_at=now, **place, **fields)
        self.put(row, base=0)
        self.touch(row)
        return row

    def transition(self, entity: type[M], need: Need, wanted: Transition[M]) -> M:
        """A row's next state. Raises what the rules raise, NotFoundError, ValidationError."""
        row: M | None = self.known.find(need)
        if row is None:
            raise not_found(entity.kind, need.id)
        self.require_own(self.known.session_of(row))
        changed, event, _, _ = wanted.apply(row, self.known, self.tick, self._limits)
        self.put(changed, base=row.sync_version)
        if event is not None:
            self.put(event, base=0)
            if changed.state is SessionState.PAUSED and event.from_state is not SessionState.PAUSED:
                self.known.note_pause(changed.id, event.from_state)
        self.touch(changed)
        return changed

    def put(self, row: Entity, *, base: int) -> None:
        """Write this version of a row; ``base`` is the version that the server has, 0 for none."""
        self._bases.setdefault(row.id, base)
        self._rows[row.id] = row
        self.known.digests.pop(row.id, None)
        self.known.note(row, new=base == 0 and row.id not in self.known.rows)

    @property
    def bytes_to_redact(self) -> int:
        """The size of the contents among the rows."""
        return sum(row.size for row in self._rows.values() if isinstance(row, Artifact))

    def touch(self, row: Entity) -> None:
        """Let the session above a written row follow it. A session's own row and its events touch nothing."""
        if row.kind not in (EntityType.SESSION, EntityType.SESSION_EVENT):
            session_id: str = row.session_id  # type: ignore[attr-defined]
            self._touched[session_id] = max(row.updated_at, self._touched.get(session_id, row.updated_at))

    def finish(self, redact: Redact[Any]) -> list[ApplyRow]:
        """The rows to send, parents before children, as the team gets them."""
        for session_id, latest in self._touched.items():
            session = self.known.rows[session_id]
            assert isinstance(session, Session)
            if session.updated_at < latest or session_id not in self._rows:
                # It may lie in the future, from another machine or an import. It moves on all the same.
                stamp = latest if session.updated_at < latest else stamp_after(session.updated_at, latest)
                stamped = msgspec.structs.replace(session, updated_at=stamp)
                if session_id in self._rows:
                    self.put(stamped, base=session.sync_version)
                    continue
                self.stamped.add(session_id)
                digest = self.known.digests.get(session_id) or content_digest(session)
                self.put(stamped, base=session.sync_version)
                self.known.digests[session_id] = digest
        rows = sorted(self._rows.values(), key=lambda row: _DEPTH[row.kind])
        return [self._record(number, row, redact) for number, row in enumerate(rows)]

    def _record(self, number: int, row: Entity, redact: Redact[Any]) -> ApplyRow:
        sent = row if row.id in self.stamped else redact(row)
        return ApplyRow(
            record_id=number,
            idempotency_key=idempotency_key(row.kind, row.id, row.updated_at),
            session_id=getattr(row, "session_id", row.id),
            entity=sent,
            base=self._bases[row.id],
            digest=self.known.digests.get(row.id),
        )

    def _place_below(self, kind: EntityType, above: Any) -> dict[str, Any]:
        """The columns that place a new row below another one."""
        session_id = getattr(above, "session_id", above.id)
        if kind is not EntityType.ARTIFACT:
            ((column, _),) = TABLES[kind].parents
            return {"session_id": session_id, column: above.id}
        call = above if isinstance(above, ToolCall) else None
        step = above if call is None else self.known.rows[call.step_id]
        step_id, task_id = (step.id, step.task_id) if isinstance(step, Step) else (None, step.id)
        return {
            "session_id": session_id,
            "task_id": task_id,
            "step_id": step_id,
            "tool_call_id": None if call is None else call.id,
        }

    def require_own(self, session: Session) -> None:
        """Raise ValidationError where another workspace has the session."""
        if session.workspace_id != self._workspace_id:
            raise ValidationError(
                "session",
                f"belongs to workspace {session.workspace_id}, which alone writes it",
                hint="open the database with that workspace_id to write its runs",
            )


_DEPTH = {kind: depth for depth, kind in enumerate(TABLES)}
_ORDERED = frozenset(kind for kind, table in TABLES.items() if "order" in table.column_names)
