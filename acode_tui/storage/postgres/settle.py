"""Decides about a record whose row the first write did not touch. Pure.

The reason is one of: the record was delivered before, the row has another version, its stamp would decrease, or another
workspace owns it. It is a conflict only if another replica wrote the version that is there.
"""

from typing import NamedTuple

from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import TABLES
from acode_tui.storage.delivery_protocol import ApplyRow, ConflictRules, Outcome, RejectedRow


class RemoteRow(NamedTuple):
    """A row as the server has it. ``version`` is 1 for events and artifacts, which never change.

    One that is not valid is ``rejected`` and has no ``entity``.
    """

    entity: Entity | None
    version: int
    workspace_id: str
    rejected: RejectedRow | None = None


class Decision(NamedTuple):
    """The outcome, and whether to overwrite the server's row with the record's."""

    outcome: Outcome
    write: bool

    @property
    def is_conflict(self) -> bool:
        return self.outcome in ("conflict_local", "conflict_remote")


def settle(row: ApplyRow, remote: RemoteRow | None, *, delivered: bool, rules: ConflictRules) -> Decision:
    """Decide about one record. ``delivered``: the ledger contains its key with the same payload."""
    if remote is None:
        # Perhaps in the ledger, but the row does not exist: it was deleted, or a full re-send repairs a damaged copy.
        return Decision("applied", write=True)
    if delivered:
        return Decision("duplicate", write=False)
    if remote.entity is None:
        # What is not valid says nothing, so there is no conflict: the record is written over it, if rows of its kind
        # ever change. Other replicas keep the server's row aside as well.
        return Decision("applied", write=True) if TABLES[row.kind].mutable else Decision("conflict_remote", write=False)
    local = row.entity
    if rules.same_content(local, remote.entity):
        newer = TABLES[row.kind].mutable and local.updated_at > remote.entity.updated_at
        return Decision("converged", write=newer)
    in_clear = row.original is not None and rules.same_content(row.original, remote.entity)
    if in_clear or rules.is_redacted_form(local, remote.entity):
        # It was sent before this program hid as much: no conflict, and cleaned where rows of its kind can change.
        clean = TABLES[row.kind].mutable and local.updated_at >= remote.entity.updated_at
        return Decision("applied" if clean else "converged", write=clean)
    if not TABLES[row.kind].mutable:
        return Decision("conflict_remote", write=False)
    if local.updated_at >= remote.entity.updated_at and (
        remote.version == row.base or _is_own_earlier_version(row, remote.entity, rules)
    ):
        return Decision("applied", write=True)
    if row.is_copy:
        # Not an edit, so it conflicts with none: it restores what was lost, or gives way to what came later.
        is_later = rules.resolve(local, remote.entity) == "local"
        return Decision("applied" if is_later else "converged", write=is_later)
    if rules.resolve(local, remote.entity) == "local":
        return Decision("conflict_local", write=True)
    return Decision("conflict_remote", write=False)


def _is_own_earlier_version(row: ApplyRow, remote: Entity, rules: ConflictRules) -> bool:
    """Whether the server's row is an earlier version of this record that was sent before, by this replica."""
    return remote.updated_at in row.former or any(
        ancestor.updated_at == remote.updated_at and rules.same_content(ancestor, remote) for ancestor in row.ancestors
    )
