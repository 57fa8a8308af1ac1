"""Builds small sessions of Copilot CLI."""

from typing import Any

from tests.ingest.builders import SESSION, Transcript


class Copilot(Transcript):
    """A session of events."""

    format = "copilot"

    def __init__(self, session: str = SESSION) -> None:
        super().__init__()
        context = {"cwd": "/src/shop", "gitRoot": "/src/shop", "branch": "main"}
        self.event("session.start", sessionId=session, copilotVersion="1.0.102", context=context)

    def event(self, type_: str, *, agent: str | None = None, **data: Any) -> None:
        more = {} if agent is None else {"agentId": agent}
        self.add({"type": type_, "data": data, "id": f"e{len(self.lines)}", "timestamp": self.now, **more})

    def prompt(self, text: str, **data: Any) -> None:
        self.event("user.message", content=text, transformedContent=f"<now>\n{text}", interactionId="i1", **data)

    def says(self, text: str, *, request: str = "", agent: str | None = None, **data: Any) -> None:
        request = request or f"r{len(self.lines)}"
        fields = {"messageId": f"m{len(self.lines)}", "apiCallId": request, "content": text, "model": "model-a"}
        self.event("assistant.message", agent=agent, **{**fields, "outputTokens": 5, **data})

    def calls(self, key: str, name: str = "bash", agent: str | None = None, **arguments: Any) -> None:
        self.says("", agent=agent, toolRequests=[{"toolCallId": key, "name": name, "arguments": arguments}])
        self.event("tool.execution_start", agent=agent, toolCallId=key, toolName=name, arguments=arguments)

    def result(self, key: str, content: str = "ok", **data: Any) -> None:
        fields = {"toolCallId": key, "success": True, "result": {"content": content}}
        self.event("tool.execution_complete", **{**fields, **data})


def copilot_story() -> Copilot:
    found = Copilot()
    found.event("hook.start", hookType="x")
    found.prompt("Read it " * 200)
    found.calls("c1", "view", path="a.py")
    found.result("c1", "code")
    found.event("permission.requested", requestId="q", toolCallId="c2")
    found.calls("c2")
    found.event("permission.completed", requestId="q", result={"kind": "approved"})
    found.result("c2", "bad\n<shellId: 0 completed with exit code 2>")
    found.result("gone", "of a call that is missing")
    found.event("abort", reason="user")
    found.event("session.resume", sessionId=SESSION)
    found.prompt("Again")
    found.says("Done")
    return found
