"""Histories of replicas, and the invariant that each of them keeps.

After two quiet syncs each, every replica and the server hold the same rows; a row has the text of its edit with the
highest stamp; and an edit that reached the server and that this one is not based on is kept in a conflict record, as
it was or as a later edit that is based on it.
"""

import itertools
from typing import NamedTuple

from hypothesis import strategies as st

from acode_tui.domain.entities import Entity
from acode_tui.domain.states import EntityType

REPLICAS = 3
FIELD = {EntityType.SESSION: "task_description", EntityType.SESSION_TASK: "title"}
"""The rows that are edited, a parent and its child, and the column that each edit changes."""


class Edit(NamedTuple):
    """Give one of the two shared rows another text."""

    replica: int
    kind: EntityType


class Sync(NamedTuple):
    """``crash``: the reply is lost, the batch is not. ``edit``: a row changes between delivery and acknowledgement."""

    replica: int
    crash: bool = False
    edit: EntityType | None = None
    batch_size: int = 500


class Skew(NamedTuple):
    """The machine's wall clock is set, forward or back."""

    replica: int
    seconds: int


Step = Edit | Sync | Skew

_replicas = st.integers(0, REPLICAS - 1)
_kinds = st.sampled_from(sorted(FIELD))
_steps = st.one_of(
    st.builds(Edit, _replicas, _kinds),
    st.builds(Sync, _replicas, st.booleans(), st.none() | _kinds, st.sampled_from([1, 500])),
    st.builds(Skew, _replicas, st.integers(-3, 3).map(lambda hours: hours * 1800)),
)
histories: st.SearchStrategy[list[Step]] = st.lists(_steps, min_size=3, max_size=24)

QUIET: list[Step] = [Sync(replica) for _ in range(2) for replica in range(REPLICAS)]
"""The steps that every history ends with."""


class RecordedEdit(NamedTuple):
    """An edit: the text before it, and its stamp."""

    before: str
    stamp: str


class EditLog:
    """Every edit that was made, and every text that reached the server."""

    def __init__(self) -> None:
        self.edits: dict[str, RecordedEdit] = {}
        self.delivered: set[str] = set()
        self._numbers = itertools.count()

    def text(self, replica: int, kind: EntityType) -> str:
        """The text of the next edit; no two are the same."""
        return f"{kind.value} {next(self._numbers)} on {replica}"

    def note_delivery(self, entity: Entity) -> None:
        if entity.kind in FIELD:
            self.delivered.add(getattr(entity, FIELD[entity.kind]))

    def verify(self, final: dict[EntityType, str], kept: set[str]) -> None:
        """Check the invariant: ``final`` is each row's text everywhere, ``kept`` the texts in the conflict records."""
        explained = set().union(*(self.ancestry(text) for text in kept)) if kept else set()
        for kind, text in final.items():
            edits = {new: edit for new, edit in self.edits.items() if new.startswith(f"{kind.value} ")}
            if not edits:
                continue
            # Of edits with one stamp any may stay, as long as it is the same everywhere.
            assert edits[text].stamp == max(edit.stamp for edit in edits.values())
            lost = {new for new in self.delivered if new in edits} - self.ancestry(text)
            assert lost <= explained, f"{lost - explained} reached the server and is lost"

    def ancestry(self, text: str) -> set[str]:
        """An edit and every edit that it is based on."""
        found = set()
        while text in self.edits:
            found.add(text)
            text = self.edits[text].before
        return found
