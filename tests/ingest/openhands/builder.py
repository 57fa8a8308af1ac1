"""Builds small conversations of OpenHands, of either generation."""

import json
from pathlib import Path
from typing import Any

from tests.ingest.builders import Transcript


class OpenHands(Transcript):
    """Events by kind: the newer generation."""

    format = "openhands"

    def event(self, kind: str, source: str = "agent", **fields: Any) -> str:
        key = f"{len(self.lines):08x}-0000"
        stamp = self.now.removesuffix("Z")
        self.add({"id": key, "timestamp": stamp, "source": source, "kind": kind, **fields})
        return key

    def prompt(self, text: str) -> None:
        self.event("MessageEvent", "user", llm_message={"role": "user", "content": [{"type": "text", "text": text}]})

    def says(self, text: str, response: str, **message: Any) -> None:
        content = [{"type": "text", "text": text}]
        self.event("MessageEvent", llm_message={"content": content, **message}, llm_response_id=response)

    def calls(self, key: str, response: str, tool: str = "terminal", thought: str = "", **arguments: Any) -> None:
        self.event(
            "ActionEvent",
            tool_name=tool,
            tool_call_id=key,
            tool_call={"id": key, "name": tool, "arguments": json.dumps(arguments)},
            thought=[{"type": "text", "text": thought}] if thought else [],
            llm_response_id=response,
        )

    def result(self, key: str, text: str = "ok", **observation: Any) -> None:
        content = [{"type": "text", "text": text}]
        self.event("ObservationEvent", "environment", tool_call_id=key, observation={"content": content, **observation})

    def write(self, path: Path) -> Path:
        """Write the conversation as a folder."""
        events = path / "events"
        events.mkdir(parents=True, exist_ok=True)
        for number, line in enumerate(self.lines):
            (events / f"event-{number:05d}-{number:08x}-0000.json").write_bytes(line)
        return path


class OldOpenHands(Transcript):
    """Actions and observations: the older generation."""

    format = "openhands"

    def event(self, source: str, **fields: Any) -> int:
        number = len(self.lines)
        self.add({"id": number, "timestamp": self.now.removesuffix("Z"), "source": source, **fields})
        return number

    def prompt(self, text: str) -> None:
        self.event("user", action="message", args={"content": text})

    def calls(self, action: str, response: str, tool: str = "", **args: Any) -> int:
        usage = {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 60}}
        metadata = {"function_name": tool, "model_response": {"id": response, "model": "model-a", "usage": usage}}
        return self.event("agent", action=action, args=args, tool_call_metadata=metadata)

    def result(self, cause: int, observation: str, content: str = "ok", **extras: Any) -> None:
        self.event("agent", observation=observation, content=content, cause=cause, extras=extras)


def openhands_story() -> OpenHands:
    found = OpenHands()
    found.event("SystemPromptEvent")
    found.prompt("Read it " * 200)
    found.calls("c1", "r1", "file_editor", "I look.", command="view", path="a.py")
    found.calls("c2", "r1")
    found.result("c1", "code")
    found.result("c2", "bad", exit_code=2)
    found.event("PauseEvent", "user")
    found.result("gone", "of a call that is missing")
    found.prompt("Again")
    found.says("Done", "r2")
    return found
