"""The last warnings and errors of the log, from its end backwards: bounded, however long the log is."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from acode_tui.logs import LOG_FILE

MOST = 50
TAIL_BYTES = 2 * 1024 * 1024
MOST_CHARS = 4_000
"""Of one field: a traceback's end says more than its beginning."""

_LEVELS = ("warning", "error")


def read_recent_errors(agent_dir: Path, *, most: int = MOST) -> tuple[dict[str, Any], ...]:
    """The newest ``most`` of them, newest first. What is no line of this program's log is left out. Never raises."""
    log = agent_dir / LOG_FILE
    return tuple(islice(_worth_telling(_lines((log, log.with_name(log.name + ".1")))), most))


def _worth_telling(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and found.get("level") in _LEVELS:
            fields = ((name, value) for name, value in found.items() if name.isidentifier() and name != "pid")
            yield {name[:40]: _bounded(value) for name, value in islice(fields, 30)}


def _lines(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - TAIL_BYTES))
                tail = file.read(TAIL_BYTES)
        except OSError:
            continue
        lines = tail.splitlines()
        yield from reversed(lines if size <= TAIL_BYTES else lines[1:])


def _bounded(value: Any) -> Any:
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= MOST_CHARS else "..." + text[-MOST_CHARS:]
