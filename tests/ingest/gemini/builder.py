"""Builds small sessions of Gemini CLI."""

import json
from typing import Any

from tests.ingest.builders import SESSION, Transcript


class Gemini(Transcript):
    """A session as lines; ``document`` is the same as older versions wrote it."""

    format = "gemini"

    def __init__(self, session: str = SESSION, **header: Any) -> None:
        super().__init__()
        self.header = {"sessionId": session, "projectHash": "ab" * 32, "startTime": self.now, **header}
        self.add(self.header)

    @property
    def document(self) -> bytes:
        return json.dumps({**self.header, "messages": [json.loads(line) for line in self.lines[1:]]}).encode()

    def message(self, type_: str, content: Any, *, key: str = "", **fields: Any) -> str:
        key = key or f"m{len(self.lines)}"
        self.add({"id": key, "timestamp": self.now, "type": type_, "content": content, **fields})
        return key

    def prompt(self, text: str) -> str:
        return self.message("user", [{"text": text}])

    def says(self, text: str, *calls: dict[str, Any], key: str = "", **fields: Any) -> str:
        tokens = {"input": 100, "output": 5, "cached": 60, "thoughts": 2, "tool": 0, "total": 107}
        more = {"toolCalls": list(calls)} if calls else {}
        return self.message("gemini", text, key=key, model="model-a", tokens=tokens, **more, **fields)


def call(key: str, name: str, output: str = "ok", *, status: str = "success", **args: Any) -> dict[str, Any]:
    response = {"functionResponse": {"id": key, "name": name, "response": {"output": output}}}
    return {"id": key, "name": name, "args": args, "result": [response], "status": status}


def gemini_story() -> Gemini:
    found = Gemini()
    found.message("user", [{"text": "<session_context>Today is Monday"}])
    found.prompt("Read it " * 200)
    found.says("", key="a1")
    found.says("", call("c1", "read_file", "code", file_path="a.py"), key="a1")
    found.says("", call("c2", "run_shell_command", "bad\nExit Code: 2", command="ls x"))
    found.message("info", "Request cancelled.")
    found.prompt("Again")
    found.says("Done")
    return found
