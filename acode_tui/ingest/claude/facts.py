"""What the lines of a session say of the session itself: folder, branch, release, modes, title, todo list."""

import re
from typing import Any

from acode_tui.domain.ids import imported_id
from acode_tui.domain.validation import unescape
from acode_tui.ingest.claude.identity import SOURCE, Identity
from acode_tui.ingest.claude.records import Details, Record
from acode_tui.ingest.records import label

MAX_TODOS = 50
TODO_TOOLS = frozenset({"TaskCreate", "TaskUpdate"})
"""The tools that keep the todo list since 2.1.16, one item a call; before, ``TodoWrite`` gave all of it."""
_CREATED = re.compile(r"Task #(\w{1,40}) created")
_TITLES = ("custom-title", "ai-title")


class SessionFacts:
    """Collects them. ``fields`` are those that the first line with them decides, ``titles`` those of the last one."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self.titles: dict[str, str] = {}
        self.todos: list[dict[str, Any]] = []
        self.reported_cost: float | None = None
        """The cost of the whole session in US dollars, as the program itself counts it."""

    def note_header(self, record: Record) -> None:
        """Note what nearly every line repeats."""
        fields = self.fields
        if "session" not in fields:
            self._note("session", record.session_id)
        if "cwd" not in fields:
            self._note("cwd", record.cwd)
        if "gitBranch" not in fields:
            self._note("gitBranch", record.git_branch)
        if "agentVersion" not in fields:
            self._note("agentVersion", record.version)
        if record.agent_id is not None and "agent" not in fields:
            self._note("agent", record.agent_id)
        if record.entrypoint is not None and "entrypoint" not in fields:
            self._note("entrypoint", record.entrypoint)
        if record.session_kind is not None and "sessionKind" not in fields:
            self._note("sessionKind", record.session_kind)

    def note_mode(self, mode: str) -> None:
        """The permission mode from here on."""
        self._note("permissionMode", mode)

    def note_line(self, kind: str, details: Details) -> None:
        """A line about the session alone: its title, its name, its pull request. The last one of a kind holds."""
        if kind in _TITLES:
            found = label(details.custom_title) or label(details.ai_title)
            if found:
                self.titles[kind] = found
        elif kind == "agent-name":
            self._note("agentName", details.agent_name)
        elif kind == "pr-link":
            self._note("pullRequest", details.pr_url)
        elif kind == "continued-in":
            self._note("continuedIn", details.continued_in_session_id)
        elif kind == "cost-state" and type(details.total_cost_usd) in (int, float):
            self.reported_cost = float(details.total_cost_usd)

    def note_todos(self, todos: Any) -> None:
        """The todo list as a call of TodoWrite leaves it."""
        if type(todos) is not list:
            return
        self.todos = [
            {"content": label(todo.get("content")), "status": label(todo.get("status"))}
            for todo in todos[:MAX_TODOS]
            if type(todo) is dict
        ]

    def note_todo(self, tool: str, given: Any, result: str) -> None:
        """A call of one of ``TODO_TOOLS`` that succeeded. The result of a new item says its id."""
        given = given if type(given) is dict else {}
        subject, status = _plain(given.get("subject")), _plain(given.get("status"))
        if tool == "TaskCreate":
            found = _CREATED.search(result[:200])
            is_new = found is not None and all(todo.get("id") != found.group(1) for todo in self.todos)
            if found is not None and is_new and len(self.todos) < MAX_TODOS:
                self.todos = [*self.todos, {"id": found.group(1), "content": subject, "status": "pending"}]
            return
        named = str(given.get("taskId"))
        changes = {name: value for name, value in (("content", subject), ("status", status)) if value}
        todos = [{**todo, **changes} if todo.get("id") == named else todo for todo in self.todos]
        self.todos = [todo for todo in todos if todo["status"] != "deleted"]

    @property
    def title(self) -> str:
        """The title that the user gave, or that the program made."""
        return next((self.titles[name] for name in _TITLES if name in self.titles), "")

    def metadata(self, identity: Identity, origin: str) -> dict[str, Any]:
        """The facts as session metadata. ``origin`` is the native id of the session that this one was copied from."""
        fields = self.fields
        found: dict[str, Any] = {name: fields.get(name) for name in ("cwd", "gitBranch", "agentVersion")}
        for name in ("entrypoint", "sessionKind", "permissionMode", "agentName", "pullRequest", "continuedIn"):
            if name in fields:
                found[name] = fields[name]
        parent = identity.parent_native_id
        if parent is not None:
            found["agentId"] = identity.agent_id
            found["relation"] = "subagent"
        elif origin and origin != identity.native_id:
            parent = origin
            found["relation"] = "background" if fields.get("sessionKind") == "bg" else "fork"
        if parent is not None:
            found["parentNativeId"] = parent
            found["parentSessionId"] = imported_id(SOURCE, parent)
        if "continuedIn" in fields:
            found["continuedInSessionId"] = imported_id(SOURCE, fields["continuedIn"])
        if identity.workflow is not None:
            found["workflowRunId"] = identity.workflow
        if self.title:
            found["title"] = self.title
        if self.todos:
            found["todos"] = self.todos
        return found

    def _note(self, name: str, value: Any) -> None:
        if type(value) is str and value:
            self.fields[name] = label(value, 1_000)


def _plain(value: Any) -> str:
    return label(unescape(value)) if type(value) is str else ""
