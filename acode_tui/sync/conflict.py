"""Which of two versions of a row stays. Pure, and the same answer on every machine.

The later ``updated_at`` wins; between equal stamps, the larger digest of the content. That is a total order over
contents, so the order in which machines sync does not matter, nor how many there are. Digests are taken of values in
a form that both databases preserve (``domain.codec``).
"""

from typing import Any, Literal

from acode_tui.domain import codec
from acode_tui.domain.entities import Entity
from acode_tui.domain.redaction import Redact, unchanged

Winner = Literal["local", "remote"]


class ConflictResolver:
    """The ``ConflictRules`` that every delivery follows. They speak of rows as the team gets them.

    Two resolvers agree on every pair of rows; ``redact`` is this program's own way from a row to that form.
    """

    def __init__(self, redact: Redact[Any] = unchanged) -> None:
        self._redact = redact

    def content_digest(self, entity: Entity) -> bytes:
        """SHA-256 of what a row says, but for its stamp, its version and its workspace."""
        return codec.content_digest(entity)

    def same_content(self, local: Entity, remote: Entity) -> bool:
        """Whether two versions say the same, whenever each was written: convergence, not a conflict."""
        return codec.same_content(local, remote)

    def is_redacted_form(self, local: Entity, remote: Entity) -> bool:
        """Whether the local version is the remote one with more hidden: no other edit, and safer to keep."""
        hidden = self._redact(remote)
        return hidden is not remote and codec.same_content(local, hidden)

    def resolve(self, local: Entity, remote: Entity) -> Winner:
        """Which version stays. Of two versions that are equal in every respect the remote one stays."""
        if local.updated_at != remote.updated_at:
            return "local" if local.updated_at > remote.updated_at else "remote"
        return "local" if self.content_digest(local) > self.content_digest(remote) else "remote"
