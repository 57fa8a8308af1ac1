"""Builds small sessions of OpenCode, as an export, a database or a tree of files."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

BASE = 1_767_614_400_000
SCHEMA = """
CREATE TABLE session (id text PRIMARY KEY, parent_id text, directory text, title text, version text, agent text,
  revert text, time_created integer, time_updated integer);
CREATE TABLE message (id text PRIMARY KEY, session_id text, time_created integer, time_updated integer, data text);
CREATE TABLE part (id text PRIMARY KEY, message_id text, session_id text, time_created integer, time_updated integer,
  data text);
"""


class Session:
    """A session; each message is a second later than the one before."""

    def __init__(self, key: str = "ses_1", parent: str | None = None, **info: Any) -> None:
        self.info = {"id": key, "parentID": parent, "directory": "/src/shop", "version": "1.2.3", **info}
        self.info["time"] = {"created": BASE, "updated": BASE}
        self.messages: list[dict[str, Any]] = []

    def message(self, role: str, parts: list[dict[str, Any]], **info: Any) -> str:
        number = len(self.messages)
        key = f"msg_{number}"
        found = [{"id": f"prt_{number}_{index}", **part} for index, part in enumerate(parts)]
        time = {"created": BASE + 1_000 * (number + 1)}
        self.messages.append({"info": {"id": key, "role": role, "time": time, **info}, "parts": found})
        return key

    def prompt(self, *texts: str, **part: Any) -> str:
        return self.message("user", [{"type": "text", "text": text, **part} for text in texts])

    def says(self, text: str, *parts: dict[str, Any], **info: Any) -> str:
        tokens = {"input": 10, "output": 4, "reasoning": 1, "cache": {"read": 30, "write": 2}}
        answer = [{"type": "text", "text": text}] if text else []
        fields = {"modelID": "model-a", "tokens": tokens, "cost": 0.25, **info}
        return self.message("assistant", [{"type": "step-start"}, *answer, *parts], **fields)

    @property
    def export(self) -> bytes:
        return json.dumps({"info": self.info, "messages": self.messages}).encode()

    def into_tree(self, storage: Path) -> Path:
        """Write the session as a tree of files; returns the session's own."""
        own = storage / "session" / "global" / f"{self.info['id']}.json"
        _write(own, self.info)
        for message in self.messages:
            key = message["info"]["id"]
            _write(storage / "message" / self.info["id"] / f"{key}.json", message["info"])
            for part in message["parts"]:
                _write(storage / "part" / key / f"{part['id']}.json", part)
        return own

    def into_database(self, path: Path, updated: int = BASE) -> Path:
        """Write the session into a database, in place of what that holds of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        info = self.info
        with closing(sqlite3.connect(path)) as connection, connection:
            if is_new:
                connection.executescript(SCHEMA)
            row = (info["id"], info["parentID"], info["directory"], info.get("title"), info["version"], None, None)
            connection.execute("REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, BASE, updated))
            for message in self.messages:
                key = f"{info['id']}-{message['info']['id']}"
                data = {name: value for name, value in message["info"].items() if name != "id"}
                created = message["info"]["time"]["created"]
                values = (key, info["id"], created, updated, json.dumps(data))
                connection.execute("REPLACE INTO message VALUES (?, ?, ?, ?, ?)", values)
                for part in message["parts"]:
                    row_of_part = (f"{key}-{part['id']}", key, info["id"], created, updated, json.dumps(part))
                    connection.execute("REPLACE INTO part VALUES (?, ?, ?, ?, ?, ?)", row_of_part)
        return path


def tool(key: str, name: str, output: str = "ok", *, status: str = "completed", **state: Any) -> dict[str, Any]:
    text = {"output": output} if status == "completed" else {"error": output}
    return {"type": "tool", "callID": key, "tool": name, "state": {"status": status, "input": {}, **text, **state}}


def _write(path: Path, record: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))
