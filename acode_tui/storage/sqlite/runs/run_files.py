"""``RunFiles`` over SQLite."""

from pathlib import Path

from acode_tui.storage.sqlite.runs.export_file import RunFile
from acode_tui.storage.sqlite.runs.stream import SIGNATURE, RunSource


class SqliteRunFiles:
    """See ``RunFiles``."""

    def is_run_file(self, path: Path) -> bool:
        with path.open("rb") as file:
            return file.read(len(SIGNATURE)) == SIGNATURE

    def create(self, path: Path, info: dict[str, str]) -> RunFile:
        return RunFile(path, info)

    def open(self, path: Path, *, most_bytes: int) -> RunSource:
        return RunSource(path, most_bytes=most_bytes)
