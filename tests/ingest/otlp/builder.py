"""Builds requests of OTLP in its JSON form."""

import json
from typing import Any

from tests.ingest.builders import Transcript

TRACE = "0af7651916cd43dd8448eb211c80319c"
SECOND = 1_000_000_000
BASE = 1_767_614_400 * SECOND


def any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": key_values(value)}}
    return {"stringValue": str(value)}


def key_values(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": any_value(value)} for name, value in attributes.items()]


def span(
    number: int,
    start: float,
    seconds: float = 1,
    *,
    parent: int = 0,
    trace: str = TRACE,
    name: str = "",
    error: str = "",
    events: list[dict[str, Any]] | None = None,
    ended: bool = True,
    more: dict[str, Any] | None = None,
    **attributes: Any,
) -> dict[str, Any]:
    """A span that begins ``start`` seconds after the base. Two underscores in a name stand for a point."""
    given = {key.replace("__", "."): value for key, value in attributes.items()} | (more or {})
    return {
        "traceId": trace,
        "spanId": f"{number:016x}",
        **({"parentSpanId": f"{parent:016x}"} if parent else {}),
        "name": name or f"span {number}",
        "startTimeUnixNano": str(BASE + int(start * SECOND)),
        "endTimeUnixNano": str(BASE + int((start + seconds) * SECOND)) if ended else "0",
        "attributes": key_values(given),
        "events": events or [],
        "status": {"code": 2, "message": error} if error else {},
    }


def event(name: str, at: float = 0, **attributes: Any) -> dict[str, Any]:
    given = {key.replace("__", "."): value for key, value in attributes.items()}
    return {"name": name, "timeUnixNano": str(BASE + int(at * SECOND)), "attributes": key_values(given)}


def agent(number: int, start: float = 0, seconds: float = 10, **rest: Any) -> dict[str, Any]:
    return span(
        number, start, seconds, **{"gen_ai__operation__name": "invoke_agent", "gen_ai__agent__name": "bot", **rest}
    )


def chat(number: int, start: float, *, given: Any = None, said: Any = None, **rest: Any) -> dict[str, Any]:
    """A call of a model. ``given`` and ``said`` are lists of messages, or the text of one."""
    fields: dict[str, Any] = {"gen_ai__operation__name": "chat", "gen_ai__request__model": "model-a"}
    if given is not None:
        fields["gen_ai__input__messages"] = json.dumps([user(given)] if isinstance(given, str) else given)
    if said is not None:
        fields["gen_ai__output__messages"] = json.dumps([assistant(said)] if isinstance(said, str) else said)
    return span(number, start, **{**fields, **rest})


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "parts": [{"type": "text", "content": text}]}


def assistant(text: str = "", *calls: tuple[str, str, Any]) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"type": "text", "content": text}] if text else []
    parts += [{"type": "tool_call", "id": key, "name": name, "arguments": given} for key, name, given in calls]
    return {"role": "assistant", "parts": parts}


def returned(key: str, result: Any) -> dict[str, Any]:
    return {"role": "tool", "parts": [{"type": "tool_call_response", "id": key, "response": result}]}


def tool(
    number: int, start: float, key: str = "", name: str = "shell", result: str = "ok", **rest: Any
) -> dict[str, Any]:
    fields: dict[str, Any] = {"gen_ai__operation__name": "execute_tool", "gen_ai__tool__name": name}
    if key:
        fields["gen_ai__tool__call__id"] = key
    fields |= {"gen_ai__tool__call__arguments": '{"command": "ls"}', "gen_ai__tool__call__result": result}
    return span(number, start, **{**fields, **rest})


def request(*spans: dict[str, Any], **resource: Any) -> dict[str, Any]:
    given = {"service.name": "shop", **{key.replace("__", "."): value for key, value in resource.items()}}
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": key_values(given)},
                "scopeSpans": [{"scope": {"name": "test"}, "spans": [*spans]}],
            }
        ]
    }


def log(at: float, name: str, *, service: str = "claude-code", **attributes: Any) -> dict[str, Any]:
    given = {key.replace("__", "."): value for key, value in attributes.items()}
    return {
        "timeUnixNano": str(BASE + int(at * SECOND)),
        "body": {"stringValue": name},
        "attributes": key_values(given),
        "service": service,
    }


def log_request(*records: dict[str, Any]) -> dict[str, Any]:
    found = [{name: value for name, value in record.items() if name != "service"} for record in records]
    resource = {"attributes": key_values({"service.name": records[0]["service"]})}
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": found}]}]}


def run() -> list[dict[str, Any]]:
    """A run of two turns and one call, in the order in which its spans end."""
    asked = [user("What is here?")]
    calls = assistant("I look.", ("c1", "shell", {"command": "ls"}))
    usage = {"gen_ai__usage__input_tokens": 100, "gen_ai__usage__output_tokens": 7}
    return [
        chat(2, 1, given=asked, said=[calls], parent=1, gen_ai__usage__cache_read__input_tokens=60, **usage),
        tool(3, 3, "c1", result="a.py", parent=1),
        chat(4, 5, given=[*asked, calls, returned("c1", "a.py")], said="One file.", parent=1, **usage),
        agent(1, gen_ai__conversation__id="talk-1"),
    ]


class Requests(Transcript):
    """A file to which an exporter appends its requests."""

    format = "otlp"

    def spans(self, *found: dict[str, Any]) -> None:
        self.add(request(*found))


def otlp_story() -> Requests:
    """Two traces of a conversation, and a run in log records, as exporters send them: what ends first comes first."""
    found = Requests()
    for each in run():
        found.spans(each)
    named = {"gen_ai__conversation__id": "talk-1"}
    trace = "b" * 32
    asks = assistant("", ("c1", "shell", {}), ("c2", "count", {}))
    found.spans(chat(2, 21, given="And now?", said=[asks], parent=1, trace=trace, **named))
    found.spans(chat(6, 24, given="Count", said="7", parent=5, trace=trace, gen_ai__agent__name="counter"))
    found.spans(agent(5, 23.5, 2, parent=4, trace=trace))
    found.spans(
        tool(4, 23, "c2", "count", seconds=3, parent=1, trace=trace),
        tool(3, 22.5, "c1", seconds=9, parent=1, trace=trace),
    )
    found.spans(tool(7, 33, name="lookup", parent=1, trace=trace, error="no such key"))
    found.spans(chat(8, 35, given=[user("And now?"), asks, returned("c1", "ok")], said="Seven.", parent=1, trace=trace))
    found.spans(agent(1, 20, 30, trace=trace, error="the budget is spent", **named))
    for at in (60, 70):
        found.add(log_request(log(at, "claude_code.user_prompt", session__id="s-1", prompt=f"Fix {at} " * 90)))
        usage: dict[str, Any] = {"input_tokens": 3, "output_tokens": 1, "cost_usd": 0.5}
        found.add(log_request(log(at + 2, "claude_code.api_request", session__id="s-1", model="model-a", **usage)))
        ended: dict[str, Any] = {"tool_name": "Bash", "success": "true", "duration_ms": 900}
        found.add(log_request(log(at + 4, "claude_code.tool_result", session__id="s-1", **ended)))
    return found
