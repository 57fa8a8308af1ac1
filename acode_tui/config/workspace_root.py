"""``.agent/workspace.id``: which workspace a folder holds, written down for the day the database is unreadable.

One id a line, the latest first: a database that was lost and made anew got another id, and the former one is what a
recovery needs.
"""

from pathlib import Path

from acode_tui.files import replacing

NAME = "workspace.id"
KEPT = 5
_LENGTH = 36


def known_ids(agent_dir: Path) -> tuple[str, ...]:
    """The ids that this folder has held, the latest first; none where nobody wrote them down."""
    try:
        text = (agent_dir / NAME).read_text(encoding="ascii", errors="replace")[:1000]
    except OSError:
        return ()
    return tuple(line for line in text.split() if len(line) == _LENGTH and set(line) <= set("0123456789abcdef-"))


def keep_id(agent_dir: Path, workspace_id: str) -> None:
    """Write it down unless it stands there already. A folder that cannot be written to keeps what it has."""
    known = known_ids(agent_dir)
    if known[:1] == (workspace_id,):
        return
    for left in agent_dir.glob(f".{NAME}.*.part"):
        # Of a process that was killed here. Should it be at work still, it leaves the id to this one.
        left.unlink(missing_ok=True)
    lines = (workspace_id, *(each for each in known if each != workspace_id))[:KEPT]
    try:
        with replacing(agent_dir / NAME) as file:
            file.write("".join(f"{line}\n" for line in lines).encode())
    except OSError:
        return  # a read-only folder: the database knows its id itself
