"""Which of the server's workspaces a folder held, when its database may no longer say so. Pure."""

from collections.abc import Sequence

from acode_tui.domain.errors import AmbiguousIdError, NotFoundError, RecoveryError
from acode_tui.domain.times import format_time
from acode_tui.storage.ports import TeamWorkspace

_MOST_NAMED = 20


def chosen(
    known: Sequence[TeamWorkspace], *, named: str | None, in_file: str | None, remembered: Sequence[str]
) -> TeamWorkspace:
    """The workspace to recover, of those that the server knows.

    What was ``named`` (an id or a unique beginning), else what the file says, else what the folder remembers, the
    latest first, else the only one that there is. Raises NotFoundError, AmbiguousIdError; RecoveryError where nothing
    decides.
    """
    if not known:
        raise RecoveryError(
            "the team's database knows no workspace: nothing was ever sent to it", hint="restore a backup instead"
        )
    if named is not None:
        return _named(known, named)
    by_id = {each.id: each for each in known}
    if in_file is not None:
        # A file that says whose it is is not replaced by somebody else's.
        if in_file in by_id:
            return by_id[in_file]
        raise NotFoundError(
            f"the team's database does not know this file's workspace {in_file}; it knows {_listed(known, remembered)}",
            hint="name one with --workspace-id, or restore a backup",
        )
    for each in remembered:
        if each in by_id:
            return by_id[each]
    if len(known) == 1:
        return known[0]
    raise RecoveryError(
        f"nothing here says which workspace this was; the team's database knows {_listed(known, remembered)}",
        hint="name one with --workspace-id",
    )


def _named(known: Sequence[TeamWorkspace], named: str) -> TeamWorkspace:
    start = named.strip().lower()
    found = [each for each in known if start and each.id.startswith(start)]
    if not found:
        raise NotFoundError(
            f"the team's database knows no workspace {named[:64]!r}; it knows {_listed(known, ())}",
            hint="name one of them with --workspace-id",
        )
    if len(found) > 1:
        raise AmbiguousIdError(f"{len(found)} workspaces begin with {named[:64]!r}")
    return found[0]


def _listed(known: Sequence[TeamWorkspace], remembered: Sequence[str]) -> str:
    parts = []
    for each in known[:_MOST_NAMED]:
        was_here = ", was here before" if each.id in remembered else ""
        seen = format_time(each.last_seen_at)[:16].replace("T", " ")
        parts.append(f"{each.id} ({each.user} on {each.host}, {each.sessions:,} sessions, seen {seen} UTC{was_here})")
    more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
    return ", ".join(parts) + more
