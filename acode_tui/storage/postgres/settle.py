"""What to do with a record whose row the first write did not touch. Pure: values in, a decision out.

Why it was not touched is one of: delivered before, another version is there, the stamp would go down, or another
workspace owns the row. Only a version that somebody else wrote is a conflict.
"""

from typing import NamedTuple

from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import TABLES
from acode_tui.storage.delivery_protocol import ApplyRow, ConflictRules, Outcome


class RemoteRow(NamedTuple):
    """A row as it stands centrally. ``version`` is 1 for events and artifacts, which never change."""

    entity: Entity
    version: int
    workspace_id: str


class Decision(NamedTuple):
    """The outcome, and whether the record's row is to be written over the one that was read."""

    outcome: Outcome
    write: bool

    @property
    def is_conflict(self) -> bool:
        return self.outcome in ("conflict_local", "conflict_remote")


def settle(row: ApplyRow, remote: RemoteRow | None, *, delivered: bool, rules: ConflictRules) -> Decision:
    """Decide one record. ``delivered`` says that the ledger holds its key with this very payload."""
    if remote is None:
        # In the ledger, yet gone: somebody deleted rows, or a full re-send repairs a damaged copy.
        return Decision("applied", write=True)
    if delivered:
        return Decision("duplicate", write=False)
    local = row.entity
    if rules.same_content(local, remote.entity):
        newer = TABLES[row.kind].mutable and local.updated_at > remote.entity.updated_at
        return Decision("converged", write=newer)
    if not TABLES[row.kind].mutable:
        return Decision("conflict_remote", write=False)
    if local.updated_at >= remote.entity.updated_at and (
        remote.version == row.base or _is_own_past(row, remote.entity, rules)
    ):
        return Decision("applied", write=True)
    if rules.resolve(local, remote.entity) == "local":
        return Decision("conflict_local", write=True)
    return Decision("conflict_remote", write=False)


def _is_own_past(row: ApplyRow, remote: Entity, rules: ConflictRules) -> bool:
    """Whether the central row is what this record's own earlier version left there before a crash."""
    return any(
        ancestor.updated_at == remote.updated_at and rules.same_content(ancestor, remote) for ancestor in row.ancestors
    )
