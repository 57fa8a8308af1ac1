"""Builds small sessions of pi."""

from typing import Any

from tests.ingest.builders import SESSION, Transcript


class Pi(Transcript):
    """A session of pi, version 3; each entry follows from the one before unless it names another parent."""

    format = "pi"

    def __init__(self, session: str = SESSION, **header: Any) -> None:
        super().__init__()
        self.leaf: str | None = None
        self.add({"type": "session", "version": 3, "id": session, "timestamp": self.now, "cwd": "/src/shop", **header})

    def entry(self, type_: str, *, parent: str | None = "", key: str = "", **fields: Any) -> str:
        key = key or f"e{len(self.lines):07d}"
        parent = self.leaf if parent == "" else parent
        self.add({"type": type_, "id": key, "parentId": parent, "timestamp": self.now, **fields})
        self.leaf = key
        return key

    def prompt(self, text: str, **fields: Any) -> str:
        return self.entry("message", message={"role": "user", "content": [{"type": "text", "text": text}]}, **fields)

    def says(self, text: str, *blocks: dict[str, Any], **fields: Any) -> str:
        content = [{"type": "text", "text": text}, *blocks] if text else list(blocks)
        usage = {"input": 10, "output": 2, "cacheRead": 30, "cacheWrite": 0, "cost": {"total": 0.01}}
        message = {"role": "assistant", "content": content, "model": "model-a", "usage": usage, **fields}
        return self.entry("message", message=message)

    def calls(self, key: str, name: str = "bash", **arguments: Any) -> str:
        return self.says("", {"type": "toolCall", "id": key, "name": name, "arguments": arguments})

    def result(self, key: str, text: str = "ok", **fields: Any) -> str:
        content = [{"type": "text", "text": text}]
        message = {"role": "toolResult", "toolCallId": key, "toolName": "x", "content": content, **fields}
        return self.entry("message", message=message)


def pi_story() -> Pi:
    """A session with results, a failure, an interruption, a summary and a branch."""
    found = Pi()
    found.entry("model_change", modelId="model-a")
    first = found.prompt("Read it " * 200)
    found.calls("c1", "read", path="a.py")
    found.result("c1", "code")
    found.calls("c2")
    found.result("c2", "no\n\nCommand exited with code 2", isError=True)
    found.entry("compaction", summary="So far " * 100)
    found.says("Half", stopReason="aborted")
    found.prompt("Another way", parent=first)
    found.result("gone", "of a call that is missing")
    found.calls("c3")
    found.says("Done")
    return found
