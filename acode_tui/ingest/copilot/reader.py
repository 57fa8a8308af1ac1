"""Reads one session of Copilot CLI, event by event.

A message of the model may take several events, which have the id of one request. The events of subagents are among the
others; their steps are marked with the agent.
"""

from datetime import datetime
from typing import Any

from acode_tui.domain.states import SessionState
from acode_tui.ingest.copilot.records import Data, Event
from acode_tui.ingest.copilot.results import complete
from acode_tui.ingest.counts import SkippedLines
from acode_tui.ingest.draft import StepDraft
from acode_tui.ingest.finish import LastSeen
from acode_tui.ingest.format import Parsed, ReadContext
from acode_tui.ingest.records import LineDecoder, label, needs_escape, number, parse_stamp, storable, text
from acode_tui.ingest.run_reader import RunReader
from acode_tui.ingest.usage import Tokens

SOURCE = "copilot"

_QUIET = frozenset(
    {
        "assistant.idle",
        "assistant.intent",
        "assistant.reasoning",
        "assistant.turn_end",
        "assistant.turn_start",
        "assistant.usage",
        "hook.end",
        "hook.progress",
        "hook.start",
        "pending_messages.modified",
        "session.autopilot_objective_changed",
        "session.background_tasks_changed",
        "session.compaction_start",
        "session.context_changed",
        "session.custom_agents_updated",
        "session.extensions_loaded",
        "session.idle",
        "session.mcp_server_status_changed",
        "session.mcp_servers_loaded",
        "session.mode_notice_delivered",
        "session.permissions_changed",
        "session.remote_steerable_changed",
        "session.session_limits_changed",
        "session.skills_loaded",
        "session.title_changed",
        "session.todos_changed",
        "session.tools_updated",
        "session.usage_checkpoint",
        "session.usage_info",
        "subagent.configured",
        "system.message",
        "tool.execution_partial_result",
        "tool.execution_progress",
        "tool.user_requested",
    }
)
"""Events that say nothing about the run: about the program, or said again by others (those of the SDK's schema)."""
_QUIET_KINDS = ("command.", "elicitation.", "exit_plan_mode.", "external_tool.", "user_input.")
"""How the types of questions to the user begin: the call that asks is pending until it has its result."""
_NOTES = {
    "session.info": "info",
    "session.warning": "warning",
    "session.truncation": "context truncated",
    "session.plan_changed": "plan changed",
    "session.context_cleared": "context cleared",
    "session.handoff": "handed over",
    "session.snapshot_rewind": "the user went back to an earlier state of the files",
    "session.workspace_file_changed": "file of the session changed",
    "skill.invoked": "skill",
    "subagent.deselected": "agent left",
    "subagent.selected": "agent chosen",
    "model.call_failure": "call of the model failed",
    "system.notification": "notification",
    "subagent.completed": "subagent completed",
    "subagent.failed": "subagent failed",
}
_data = LineDecoder(Data)


class CopilotReader:
    """Collects the events of one file; ``finish`` turns them into the session."""

    def __init__(self, context: ReadContext) -> None:
        self._reader = RunReader(SOURCE, context)
        self._facts: dict[str, Any] = {}
        self._native = ""
        self._planning = False
        self._agents: dict[str, str] = {}
        self._outputs: dict[str, int] = {}
        self._requests: dict[str, Tokens] = {}
        self._totals: Tokens | None = None
        self._asked: dict[str, str] = {}

    def take(self, line: int, raw: bytes, event: Event) -> None:
        """Read one event. Nothing in it is trusted; an unknown type is counted."""
        reader = self._reader
        kind = text(event.type)
        at = reader.at(line, parse_stamp(event.timestamp))
        if kind in _QUIET or kind.startswith(_QUIET_KINDS):
            return
        data = _data.decode(bytes(event.data)) or Data()
        agent = label(event.agent_id)
        if kind == "user.message":
            self._take_user(line, data, agent, at)
        elif kind == "assistant.message":
            self._take_answer(line, raw, data, agent, at)
        elif kind == "tool.execution_start":
            self._begin_call(line, raw, data, agent, at)
        elif kind == "tool.execution_complete":
            call = reader.run.result_of(text(data.tool_call_id) or f"result:{line}", at, line)
            complete(call, data, at)
            if reader.last is not LastSeen.INTERRUPTION:
                reader.last = LastSeen.RESULT
        elif kind.startswith("permission."):
            self._take_permission(line, kind, data)
        elif kind.startswith("session."):
            self._take_session(line, kind, data)
        elif kind == "subagent.started":
            self._agents[agent or text(data.tool_call_id)] = label(data.agent_display_name) or label(data.agent_name)
            reader.note(f"subagent started: {label(data.agent_name)}", line)
        elif kind == "abort":
            reader.interrupt(f"interrupted: {label(data.reason) or 'by the user'}", line)
        elif kind in _NOTES:
            self._note(line, kind, data)
        else:
            reader.count_unknown(event.type)

    # -- what the user and the model say

    def _take_user(self, line: int, data: Data, agent: str, at: datetime | None) -> None:
        reader = self._reader
        content = text(data.content)
        if agent or data.source is not None:
            reader.because(f"source={label(data.source)}" if data.source is not None else "agentId: to a subagent")
            if content.strip():
                reader.note(f"message of {label(data.source) or 'the program'}", line, content)
            return
        task = reader.begin_task(f"prompt:{reader.run.task_count}", content, at, line)
        attachments = data.attachments if type(data.attachments) is list else []
        names = [label(item.get("path") or item.get("name")) for item in attachments if type(item) is dict]
        if task is not None and any(names):
            task.metadata["attachments"] = [name for name in names if name]

    def _take_answer(self, line: int, raw: bytes, data: Data, agent: str, at: datetime | None) -> None:
        reader = self._reader
        key = text(data.api_call_id) or text(data.message_id) or f"message:{line}"
        step = reader.begin_step(key, at, line, label(data.model))
        if agent:
            step.metadata["agentId"] = agent
            if self._agents.get(agent):
                step.metadata["agentName"] = self._agents[agent]
        reader.run.reason(step, text(data.reasoning_text), at)
        reader.say(step, text(data.content), at)
        self._outputs[key] = max(self._outputs.get(key, 0), number(data.output_tokens))
        for request in data.tool_requests if type(data.tool_requests) is list else ():
            if type(request) is dict:
                self._add_call(
                    step, text(request.get("toolCallId")), request.get("name"), request.get("arguments"), raw
                )

    def _begin_call(self, line: int, raw: bytes, data: Data, agent: str, at: datetime | None) -> None:
        """The start of a call that a message has asked for; the message may be missing."""
        reader = self._reader
        key = text(data.tool_call_id)
        if key in reader.run.calls:
            reader.because("the message that asked for the call has it too")
            if label(data.mcp_server_name):
                reader.run.calls[key].facts["mcpServer"] = label(data.mcp_server_name)
            return
        steps = reader.run.steps
        step = next(reversed(steps.values())) if steps else reader.begin_step(f"calls:{line}", at, line)
        self._add_call(step, key or f"call:{line}", data.tool_name, data.arguments, raw)

    def _add_call(self, step: StepDraft, key: str, name: Any, arguments: Any, raw: bytes) -> None:
        if not key:
            return
        reader = self._reader
        title = label(name) or "(unnamed tool)"
        reader.run.call(step, key, title, storable(arguments, dirty=needs_escape(raw)), reader.bounds.current)
        step.name = step.name or title
        reader.last = LastSeen.CALL

    # -- what the program says about the session

    def _take_permission(self, line: int, kind: str, data: Data) -> None:
        reader = self._reader
        request = text(data.request_id)
        if kind == "permission.requested":
            self._asked[request] = text(data.tool_call_id)
            reader.timeline.change_state(SessionState.AWAITING_APPROVAL, "a call needs the user's consent", line)
        elif kind == "permission.completed":
            self._asked.pop(request, None)
            answer = data.result.get("kind") if type(data.result) is dict else None
            reader.timeline.change_state(SessionState.EXECUTING, f"answered: {label(answer) or 'unknown'}", line)

    def _take_session(self, line: int, kind: str, data: Data) -> None:
        reader = self._reader
        if kind in ("session.start", "session.resume"):
            self._native = self._native or label(data.session_id)
            reader.sessions.note_session(data.session_id, line)
            reader.sessions.note_version(data.copilot_version, line)
            context = data.context if type(data.context) is dict else {}
            for name, field in (("cwd", "cwd"), ("gitRoot", "gitRoot"), ("gitBranch", "branch"), ("repository",) * 2):
                self._facts.setdefault(name, label(context.get(field), 1_000))
            self._facts.setdefault("agentVersion", label(data.copilot_version))
            reader.models.note(label(data.selected_model), line)
            if kind == "session.resume":
                reader.note("session resumed", line)
        elif kind == "session.model_change":
            reader.models.note(label(data.new_model), line)
        elif kind == "session.mode_changed":
            self._planning = data.new_mode == "plan"
            reader.note(f"mode changed to {label(data.new_mode)}", line)
            if self._planning:
                reader.timeline.change_state(SessionState.PLANNING, "plan mode", line)
        elif kind == "session.usage_record":
            usage = data.usage if type(data.usage) is dict else {}
            self._requests[text(usage.get("apiCallId")) or f"request:{line}"] = _tokens(usage)
        elif kind == "session.shutdown":
            snapshot = data.accounting_snapshot if type(data.accounting_snapshot) is dict else {}
            metrics = snapshot.get("modelMetrics", data.model_metrics)
            # Each shutdown has the totals since the session began.
            self._totals = _sum_of(metrics) or self._totals
        elif kind == "session.compaction_complete":
            reader.note("context compacted", line, text(data.summary_content))
        elif kind == "session.task_complete":
            reader.note("task complete", line, text(data.summary))
            reader.last = LastSeen.ANSWER
        elif kind == "session.error":
            reader.fail(f"error: {text(data.message) or 'unknown'}", line)
        elif kind in _NOTES:
            self._note(line, kind, data)
        else:
            reader.count_unknown(kind)

    def _note(self, line: int, kind: str, data: Data) -> None:
        said = (data.message, data.content, data.error_message, data.summary, data.path, data.name, data.agent_name)
        content = next((found for found in map(text, said) if found), "") or label(data.operation)
        self._reader.note(_NOTES[kind], line, content)

    # -- the end of the file

    def finish(self, skipped: SkippedLines, last_line: int, *, title: str) -> Parsed:
        """The session of the events read. ``title`` is the name that the user gave it."""
        reader = self._reader
        self._note_usage()
        calls = reader.run.calls
        reader.approval_tools = frozenset(calls[key].name for key in self._asked.values() if key in calls)
        path = reader.context.path
        stem = path.parent.name if path.name == "events.jsonl" else path.name.removesuffix(".jsonl")
        native = self._native or label(stem) or "unnamed"
        return reader.finish(native, self._facts, skipped, last_line, title=title, planning=self._planning)

    def _note_usage(self) -> None:
        """Tokens by request where there are records of requests; else outputs by message, and the totals at the end."""
        reader = self._reader
        for key, step in reader.run.steps.items():
            found = self._requests.pop(key, None)
            reader.note_usage(step, found or Tokens(output=self._outputs.get(key, 0)))
            if found is not None:
                self._totals = None
        for key, tokens in self._requests.items():
            reader.usage.note(key, tokens)
        if self._totals is not None and not self._requests:
            rest = self._totals
            reader.usage.note("", Tokens(rest.input, 0, rest.cache_read, rest.cache_write))


def _tokens(usage: dict[str, Any]) -> Tokens:
    """Normalised: the program's input includes what was read from the cache or written to it."""
    read, write = number(usage.get("cacheReadTokens")), number(usage.get("cacheWriteTokens"))
    fresh = max(number(usage.get("inputTokens")) - read - write, 0)
    return Tokens(fresh, number(usage.get("outputTokens")), read, write)


def _sum_of(metrics: Any) -> Tokens | None:
    total = None
    for model in metrics.values() if type(metrics) is dict else ():
        usage = model.get("usage") if type(model) is dict else None
        if type(usage) is dict:
            total = total or Tokens()
            found = _tokens(usage)
            total.add(found.input, found.output, found.cache_read, found.cache_write)
    return total
