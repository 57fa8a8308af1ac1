"""Which of two versions of a row stays. Pure, and the same answer on every machine.

The later ``updated_at`` wins; between equal stamps the larger digest of the content. That is a total order over
contents, so it does not matter in which order machines meet, nor how many there are. Digests are taken of values in
a form that survives both databases (``domain.canonical``).
"""

from typing import Literal

from acode_tui.domain.canonical import canonical_digest
from acode_tui.domain.entities import Entity

Winner = Literal["local", "remote"]

_NOT_CONTENT = ("updatedAt", "syncVersion", "workspaceId")
"""When, how often and by which workspace a row was sent does not make it another row."""


def content_digest(entity: Entity) -> bytes:
    """SHA-256 over everything a row says but for its ``updated_at``, ``sync_version`` and workspace.

    An artifact's content is in it by its hash.
    """
    return canonical_digest(entity, without=_NOT_CONTENT)


def same_content(local: Entity, remote: Entity) -> bool:
    """Whether two versions say the same, whenever each was written: convergence, not a conflict."""
    return content_digest(local) == content_digest(remote)


def resolve(local: Entity, remote: Entity) -> Winner:
    """Which version stays. Versions that stand equal in every respect stay as they are remotely."""
    if local.updated_at != remote.updated_at:
        return "local" if local.updated_at > remote.updated_at else "remote"
    return "local" if content_digest(local) > content_digest(remote) else "remote"
