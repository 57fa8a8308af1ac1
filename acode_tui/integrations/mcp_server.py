"""A server of the Model Context Protocol over one workspace: an agent asks what was tried before. It changes nothing.

Every answer is text, of at most ``MAX_ANSWER_CHARS`` characters, with secrets of known shapes hidden as in exports.
Needs the extra ``mcp``.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import wraps
from itertools import groupby
from typing import ParamSpec

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

from acode_tui.domain.display import clean
from acode_tui.domain.entities import Artifact
from acode_tui.domain.errors import AcodeError, ValidationError
from acode_tui.domain.secrets.patterns import custom_patterns
from acode_tui.domain.secrets.redactor import Redactor
from acode_tui.domain.states import EntityType, ToolCallState
from acode_tui.integrations.run_text import MAX_SPOKEN_CHARS, SPOKEN, call_line, heading, run_lines
from acode_tui.storage.ports import SessionFilter
from acode_tui.version import VERSION
from acode_tui.workspace import Workspace

MAX_ANSWER_CHARS = 20_000
_MARGIN_CHARS = 4_000
"""What is redacted beyond a page: a secret that its end cuts is hidden as well."""

_MAX_HITS = 50
_MAX_RUNS = 20
_MAX_FAILURES = 50

P = ParamSpec("P")

_INSTRUCTIONS = """\
Past runs of coding agents in this workspace: what was asked, thought, run, read, written, and what failed.
Search before repeating an experiment. search_runs finds places in runs; get_run reads a run like a conversation;
get_artifact reads a file, a diff or an output whole; recent_failures lists what went wrong last.
Ids may be shortened to a unique beginning.
"""


def server(workspace: Workspace) -> MCPServer:
    """The server over an open workspace. Run it with ``run_stdio_async``, or give it to a client in a test."""
    tools = _Tools(workspace)
    made: MCPServer = MCPServer("acode-tui", version=VERSION, instructions=_INSTRUCTIONS, log_level="WARNING")
    for tool in (tools.search_runs, tools.get_run, tools.get_artifact, tools.recent_failures):
        # Text alone: what is read is written for a model already.
        made.tool(annotations=ToolAnnotations(read_only_hint=True), structured_output=False)(_answered(tool))
    return made


def _answered(tool: Callable[P, Awaitable[str]]) -> Callable[P, Awaitable[str]]:
    """The tool with its errors as answers that the model can act on."""

    @wraps(tool)
    async def answered(*args: P.args, **kwargs: P.kwargs) -> str:
        try:
            return await tool(*args, **kwargs)
        except AcodeError as error:
            raise ToolError(f"{error.code}: {error.message}" + (f"; {error.hint}" if error.hint else "")) from error

    return answered


class _Tools:
    """The tools; their docstrings are what the model reads."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        patterns = custom_patterns(tuple(workspace.settings.export.patterns))
        self._redactor = Redactor(homes=(os.path.expanduser("~"),), patterns=patterns)

    async def search_runs(self, query: str, limit: int = 10) -> str:
        """Find places in past runs by words that were said, run, read or printed.

        Words, "a phrase", pre* and -excluded; fields agent: project: model: branch: state: tool: file: failed:WORD
        is:failed since:7d before:2026-03-01. Answers with runs and, below each, the lines that match.
        """
        page = await self._workspace.search(query, limit=max(1, min(limit, _MAX_HITS)))
        lines: list[str] = []
        for _, hits in groupby(page.hits, key=lambda hit: hit.session_id):
            of_run = list(hits)
            session = of_run[0].session
            facts = " | ".join(value for value in (session.agent, session.project) if value)
            lines.append(f"run {session.id} | {facts} | {clean(session.task_description, max_chars=200)}")
            for hit in of_run:
                place = f" [artifact {hit.artifact_id}]" if hit.artifact_id else ""
                lines.append(f"  {hit.kind} {hit.at:%Y-%m-%d %H:%M} {clean(hit.snippet, max_chars=400)}{place}")
        if not lines:
            return "no run matches; use fewer or other words"
        if page.next_cursor is not None:
            lines.append("(there are more places: narrow the query, or raise limit)")
        return await self._page("\n".join(lines), 0, "")

    async def get_run(self, run_id: str, offset: int = 0) -> str:
        """Read a run like a conversation: prompts, reasoning, answers, and each tool call with its outcome.

        A long run is cut; the answer then names the offset to go on with.
        """
        store = self._workspace.store
        graph = await store.get_with_hierarchy(await store.resolve_id(EntityType.SESSION, run_id))
        wanted = _offset(offset) + MAX_ANSWER_CHARS + _MARGIN_CHARS
        contents: dict[str, str] = {}
        # The lines ask for contents in order: each is loaded when the text has come as far, and no further.
        while True:
            missing: list[Artifact] = []

            def content(artifact: Artifact, missing: list[Artifact] = missing) -> str:
                if artifact.id not in contents:
                    missing.append(artifact)
                    return ""
                return contents[artifact.id]

            text = ""
            for line in run_lines(graph, content):
                text += line + "\n"
                if len(text) >= wanted or len(missing) >= _MAX_LOADED:
                    break
            if not missing:
                return await self._page(text, offset, f"get_run {graph.id}")
            for artifact in missing:
                # Redacted before it is cut: the cut could go through a secret.
                whole = await asyncio.to_thread(self._redactor.text, await self._text(artifact))
                contents[artifact.id] = whole[: MAX_SPOKEN_CHARS + 1]

    async def get_artifact(self, artifact_id: str, offset: int = 0) -> str:
        """Read the content of an artifact: a file, a diff, a command's output, a prompt, an answer.

        A long content is cut; the answer then names the offset to go on with.
        """
        store = self._workspace.store
        artifact = await store.get_artifact(await store.resolve_id(EntityType.ARTIFACT, artifact_id))
        text = await self._text(artifact)
        if not text and artifact.size:
            return f"{clean(artifact.name, max_chars=200)}: {artifact.content_type}, {artifact.size:,} bytes, no text"
        return await self._page(text, offset, f"get_artifact {artifact.id}")

    async def recent_failures(self, query: str = "", limit: int = 10) -> str:
        """List the calls that failed in the newest runs, with their errors.

        query narrows the runs, in the language of search_runs.
        """
        store = self._workspace.store
        chosen = SessionFilter(text=f"is:failed {query}".strip())
        page = await store.list(chosen, limit=_MAX_RUNS)
        lines: list[str] = []
        left = max(1, min(limit, _MAX_FAILURES))
        for session in page:
            if left <= 0:
                break
            graph = await store.get_with_hierarchy(session.id)
            calls = [call for task in graph.tasks for step in task.steps for call in step.tool_calls]
            failed = [call for call in calls if call.state is ToolCallState.FAILED][-left:]
            left -= len(failed)
            lines += [heading(graph), f"  {clean(graph.task_description, max_chars=200)}"]
            lines += [f"  {call_line(call)}" for call in failed]
        return await self._page("\n".join(lines), 0, "") if lines else "no run with a failed call matches"

    async def _text(self, artifact: Artifact) -> str:
        """An artifact's content as text; empty for an image and other bytes."""
        data = await self._workspace.store.get_artifact_content(artifact.id)
        if artifact.type not in SPOKEN and b"\0" in data[:8192]:
            return ""
        return data.decode("utf-8", "replace")

    async def _page(self, text: str, offset: int, again: str) -> str:
        """The page of a text from an offset in characters, redacted; the last line says how to go on."""
        start = _offset(offset)
        redacted = await asyncio.to_thread(self._redactor.text, text)
        cleaned = clean(redacted, keep_newlines=True)
        page = cleaned[start : start + MAX_ANSWER_CHARS]
        if len(cleaned) > start + MAX_ANSWER_CHARS:
            page += f"\n(cut; go on with {again} offset={start + MAX_ANSWER_CHARS})" if again else "\n(cut)"
        return page or "(nothing after this offset)"


_MAX_LOADED = 50
"""How many contents are loaded before the text is looked at again."""


def _offset(offset: int) -> int:
    if offset < 0:
        raise ValidationError("offset", "must be 0 or more")
    return offset
