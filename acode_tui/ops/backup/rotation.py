"""Which backups are old enough to go. Pure."""

from collections import Counter
from collections.abc import Sequence

from acode_tui.storage.ports import Backup


def surplus(backups: Sequence[Backup], *, keep: int, spare: frozenset[str] = frozenset()) -> tuple[Backup, ...]:
    """Of backups in order, newest first, those beyond the newest ``keep`` of each workspace; none named in ``spare``.

    A folder may serve several workspaces: each keeps its own ``keep``.
    """
    kept = Counter(each.workspace_id for each in backups if each.name in spare)
    gone = []
    for each in backups:
        if each.name in spare:
            continue
        if kept[each.workspace_id] < keep:
            kept[each.workspace_id] += 1
        else:
            gone.append(each)
    return tuple(gone)
