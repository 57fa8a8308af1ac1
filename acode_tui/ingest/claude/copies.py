"""Records that a session copied from another one when it was branched off.

A session that goes on in the background (``sessionKind: bg``, 2.1.150 on) and a fork made by the SDK (``forkedFrom``)
begin with the records of their origin, under the same ids. They are the origin's: where its transcript is in the same
folder, they are left out here.
"""

import os
import re
from pathlib import Path

from acode_tui.ingest.claude.records import Record
from acode_tui.ingest.records import label

MAX_HEAD_BYTES = 256 * 1024
MAX_ORIGIN_BYTES = 256 * 1024 * 1024
MAX_SIBLINGS = 2_000
_ID = re.compile(rb'[{,]\s*"uuid"\s*:\s*"([^"\\]{1,100})"')
_BACKGROUND = re.compile(rb'"sessionKind"\s*:\s*"bg"')


class Copies:
    """Tells the copied records of a file from its own. ``origin`` is the native id of the session that they are of."""

    def __init__(self, path: Path, origin: str = "", *, is_settled: bool = False) -> None:
        self._path = path
        self._ids: frozenset[str] = frozenset()
        self._exists: dict[str, bool] = {}
        self.origin = origin
        self.is_settled = is_settled
        """Whether a record of the session's own was read: no copies follow."""
        self.count = 0

    def is_copy(self, record: Record) -> bool:
        """Whether a record is a copy. It is called for each record until ``is_settled``."""
        fork = record.forked_from
        if type(fork) is dict and label(fork.get("sessionId")):
            self.origin = label(fork.get("sessionId"))
            if not self._has_transcript(self.origin):
                return False
            self.count += 1
            return True
        if type(record.uuid) is not str:
            # Titles and modes have no id. Before the first record with one, they are the session's own.
            return self.count > 0
        if not self.count and record.session_kind == "bg" and record.parent_uuid is None:
            self.origin, self._ids = _find_origin(self._path, record.uuid)
        if record.uuid in self._ids:
            self.count += 1
            return True
        self.is_settled = True
        self._ids = frozenset()
        return False

    def _has_transcript(self, session: str) -> bool:
        if session not in self._exists:
            self._exists[session] = os.path.basename(session) == session and self._beside(session).is_file()
        return self._exists[session]

    def _beside(self, session: str) -> Path:
        return self._path.with_name(f"{session}.jsonl")


def _find_origin(path: Path, first: str) -> tuple[str, frozenset[str]]:
    """The session in the same folder that begins with the same record and is not in the background, and its ids."""
    try:
        names = sorted(name for name in os.listdir(path.parent) if name.endswith(".jsonl") and name != path.name)
    except OSError:
        return "", frozenset()
    wanted = first.encode("utf-8", "surrogatepass")
    best: tuple[str, frozenset[str]] = ("", frozenset())
    for name in names[:MAX_SIBLINGS]:
        try:
            with open(path.with_name(name), "rb") as source:
                head = source.read(MAX_HEAD_BYTES)
                found = _ID.search(head)
                if found is None or found.group(1) != wanted or _BACKGROUND.search(_line_at(head, found.start())):
                    continue
                data = head + source.read(MAX_ORIGIN_BYTES)
        except OSError:
            continue
        ids = frozenset(each.decode("utf-8", "replace") for each in _ID.findall(data))
        if len(ids) > len(best[1]):
            best = (label(name.removesuffix(".jsonl")), ids)
    return best


def _line_at(data: bytes, at: int) -> bytes:
    end = data.find(b"\n", at)
    return data[data.rfind(b"\n", 0, at) + 1 : end if end >= 0 else len(data)]
