"""Reads OpenCode's tree of files, as releases before 1.2 kept it: a file per session, message and part."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_FILE_BYTES = 256 * 1024 * 1024


def export(session: Path) -> tuple[dict[str, Any], list[str]]:
    """A session with its messages and their parts, given the session's file in ``storage/session/<project>/``.

    A file that is missing, being written or damaged is left out. Those of the latter two are the second value.
    """
    storage = session.parents[2]
    messages: list[dict[str, Any]] = []
    damaged: list[str] = []
    for info in _objects(storage / "message" / session.stem, damaged):
        parts = sorted(_objects(storage / "part" / _name(info), damaged), key=_name)
        messages.append({"info": info, "parts": parts})
    messages.sort(key=lambda message: (_created(message["info"]), _name(message["info"])))
    own = _object(session)
    if own is None:
        damaged.append(session.name)
    return {"info": own or {"id": session.stem}, "messages": messages}, damaged


def folder(session: Path) -> str:
    """The folder in which a session began; empty where its file does not say so."""
    found = (_object(session) or {}).get("directory")
    return found if isinstance(found, str) else ""


def database_beside(session: Path) -> Path:
    """The database that later releases keep for the same sessions; it need not exist."""
    return session.parents[3] / "opencode.db"


def _objects(folder: Path, damaged: list[str]) -> Iterator[dict[str, Any]]:
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json"))
    except OSError:
        return
    for name in names:
        found = _object(folder / name)
        if found is None:
            damaged.append(name)
        else:
            # Part files of some releases do not repeat their own id.
            yield {"id": name.removesuffix(".json"), **found}


def _object(path: Path) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as source:
            value = json.loads(source.read(MAX_FILE_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _name(record: dict[str, Any]) -> str:
    # The name becomes a folder's: it must be one.
    found = record.get("id")
    return found if isinstance(found, str) and "/" not in found and found not in ("", ".", "..") else "unnamed"


def _created(info: dict[str, Any]) -> float:
    time = info.get("time")
    created = time.get("created") if isinstance(time, dict) else None
    return float(created) if isinstance(created, int | float) else 0.0
