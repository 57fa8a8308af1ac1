"""What belongs to the user of the dashboard: saved queries, and how often each command of the palette was run.

One file for all workspaces, in the user's state folder. Every change reads the file again, so that a second dashboard
loses none of what the first one saved.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from acode_tui.home import state_folder
from acode_tui.logs import get_logger

MAX_QUERIES = 200
MAX_NAME_CHARS = 60
MAX_COMMANDS = 500
"""Commands whose runs are counted; of more the rarest are forgotten."""

log = get_logger("acode_tui.tui")


class Personal(msgspec.Struct, frozen=True, kw_only=True):
    """``queries`` are texts by name, in the order of the names; ``used`` how often each command was run, by title."""

    queries: Mapping[str, str] = {}
    used: Mapping[str, int] = {}


class PersonalFile:
    """The user's file, read once at the start; without a path it is kept in memory only."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self.value = self._read() or Personal()

    def save_query(self, name: str, query: str) -> bool:
        """Save a query under a name, in place of one that had it. False if there is no room for another one."""
        queries = {**self._latest().queries, name[:MAX_NAME_CHARS]: query}
        if len(queries) > MAX_QUERIES:
            return False
        self._change(lambda now: replace(now, queries=dict(sorted(queries.items()))))
        return True

    def remove_query(self, name: str) -> None:
        """Remove a saved query."""
        self._change(
            lambda now: replace(now, queries={key: query for key, query in now.queries.items() if key != name})
        )

    def count_use(self, command: str) -> None:
        """Count a run of a command."""

        def counted(now: Personal) -> Personal:
            used = {**now.used, command: now.used.get(command, 0) + 1}
            if len(used) > MAX_COMMANDS:
                used = dict(sorted(used.items(), key=lambda each: -each[1])[:MAX_COMMANDS])
            return replace(now, used=used)

        self._change(counted)

    def _change(self, change: Callable[[Personal], Personal]) -> None:
        self.value = change(self._latest())
        if self._path is not None:
            from acode_tui.files import make_private_folder, replacing

            try:
                make_private_folder(self._path.parent)
                with replacing(self._path) as file:
                    file.write(msgspec.json.encode(self.value))
            except OSError as error:
                log.warning("dashboard.personal", path=str(self._path), error=str(error))

    def _latest(self) -> Personal:
        return self._read() or self.value

    def _read(self) -> Personal | None:
        """What the file holds; None if there is none, or if it cannot be read."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Personal) if self._path is not None else None
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("dashboard.personal", path=str(self._path), error=str(error))
            return None


def personal_path() -> Path:
    """The user's file."""
    return state_folder() / "personal.json"
