"""Which of two versions of a row stays. Pure, and the same answer on every machine.

The later ``updated_at`` wins; between equal stamps the larger digest of the content. That is a total order over
contents, so it does not matter in which order machines meet, nor how many there are. Digests are taken of values in
a form that survives both databases (``domain.canonical``).
"""

from typing import Literal

from acode_tui.domain.codec import content_digest as content_digest
from acode_tui.domain.entities import Entity

Winner = Literal["local", "remote"]


def same_content(local: Entity, remote: Entity) -> bool:
    """Whether two versions say the same, whenever each was written: convergence, not a conflict."""
    return content_digest(local) == content_digest(remote)


def resolve(local: Entity, remote: Entity) -> Winner:
    """Which version stays. Versions that stand equal in every respect stay as they are remotely."""
    if local.updated_at != remote.updated_at:
        return "local" if local.updated_at > remote.updated_at else "remote"
    return "local" if content_digest(local) > content_digest(remote) else "remote"
