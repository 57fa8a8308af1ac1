"""What keys of the session screen do with a node or the run: copy, edit its file, resume, go to its relatives."""

import os
from dataclasses import dataclass

from textual import on, work
from textual.message import Message

from acode_tui.domain.display import clean, session_name
from acode_tui.domain.entities import Artifact, ToolCallGraph
from acode_tui.domain.errors import NotFoundError
from acode_tui.domain.quantities import size
from acode_tui.processes import find_program
from acode_tui.storage.ports import SessionFilter
from acode_tui.tui.live_screen import LiveScreen
from acode_tui.tui.run.block_rows import text_of
from acode_tui.tui.run.detail import kind_of
from acode_tui.tui.run.nodes import Node
from acode_tui.tui.run.outside import ResumeCommand, editor_command, path_of, resume_command, run_outside
from acode_tui.tui.run.run_view import RunView

EXPORT_INSTEAD = "x exports the session"
MAX_COPIED_BYTES = 1_000_000
MAX_CHILDREN = 200


class NodeActions(LiveScreen[str]):
    """The part of the session screen that acts on what is under the cursor."""

    @dataclass
    class TextRead(Message):
        """The text under the cursor was read, to be copied; ``what`` names it."""

        text: str
        what: str

    @dataclass
    class RelativeFound(Message):
        """The parent or a child of the run was looked up; None, and why, where there is none."""

        session_id: str | None
        reason: str

    def __init__(self, session_id: str) -> None:
        super().__init__()
        self.run_view = RunView(session_id)

    @property
    def node(self) -> Node | None:
        """The node under the cursor."""
        raise NotImplementedError

    def open_run(self, session_id: str) -> None:
        """Show another session on this screen."""
        raise NotImplementedError

    def say(self, text: str) -> None:
        """Tell the user why a key does nothing."""
        self.notify(clean(text, max_chars=400), timeout=4, markup=False)

    # Copying

    @work(group="copy", exclusive=True, exit_on_error=False)
    async def copy_node(self, node: Node) -> None:
        """Copy the text of a node, and nothing else."""
        runs, content = self.dashboard.runs, None
        if isinstance(node, Artifact):
            if node.size > MAX_COPIED_BYTES or runs is None:
                self.say(f"{size(node.size)} are too long to copy; enter opens it, s saves it.")
                return
            with self.dashboard.reporting():
                content = await runs.get_artifact_content(node.id)
            if content is None:
                return
        self.post_message(self.TextRead(text_of(node, content), kind_of(node).lower()))

    @on(TextRead)
    def _text_read(self, event: TextRead) -> None:
        self.dashboard.copy(event.text, event.what, otherwise=EXPORT_INSTEAD)

    def action_copy_id(self) -> None:
        self.dashboard.copy(self.node.id if self.node is not None else self.run_view.session_id, "id")

    # Other programs

    @work(group="outside", exclusive=True, exit_on_error=False)
    async def action_edit(self) -> None:
        """Open the file that the node names in the user's editor."""
        graph, node = self.run_view.graph, self.node
        path = path_of(node, graph.metadata) if graph is not None and node is not None else None
        if path is None:
            self.say("There is no file under the cursor: o opens the file of a call, a diff or a file's content.")
        elif not await self.dashboard.in_thread(os.path.isfile, path):
            self.say(f"{path} is not there (any more); enter shows what was recorded of it.")
        elif (command := editor_command(path)) is None:
            self.say(f"The editor {os.environ.get('VISUAL') or os.environ.get('EDITOR') or 'vi'} was not found.")
        elif reason := await run_outside(self.app, command):
            self.say(f"{path} was not opened: {reason}")

    def action_resume(self) -> None:
        """Copy the command that resumes the run in its agent, and ask whether to run it."""
        graph = self.run_view.graph
        command = resume_command(graph.metadata) if graph is not None else None
        if command is None:
            self.say("No agent is known that resumes this run.")
            return
        from acode_tui.tui.dialogs.resume import ResumeDialog

        self.app.copy_to_clipboard(command.text)

        def answered(wanted: bool | None) -> None:
            if wanted:
                self._resume(command)

        self.app.push_screen(ResumeDialog(command.text), answered)

    @work(group="outside", exclusive=True, exit_on_error=False)
    async def _resume(self, command: ResumeCommand) -> None:
        name, *rest = command.arguments
        program = find_program(name)
        reason = f"{name} was not found"
        if program is not None:
            reason = await run_outside(self.app, [program, *rest], command.folder)
        if reason:
            self.say(f"The run was not resumed: {reason}")
        self.refresh_now()

    def action_files(self) -> None:
        """Show the files that the run changed."""
        from acode_tui.tui.run.files_screen import FilesScreen

        if self.run_view.graph is not None:
            self.app.push_screen(FilesScreen(session_name(self.run_view.graph), self.run_view.session_id))

    # Parent and children

    @work(group="relative", exclusive=True, exit_on_error=False)
    async def action_parent(self) -> None:
        """Open the run that started this one."""
        runs, graph = self.dashboard.runs, self.run_view.graph
        parent = (graph.metadata or {}).get("parentSessionId") if graph is not None else None
        if not isinstance(parent, str) or runs is None:
            self.post_message(self.RelativeFound(None, "No other run started this one."))
            return
        try:
            with self.dashboard.reporting():
                session = await runs.get(parent)
                self.post_message(self.RelativeFound(session.id, ""))
        except NotFoundError:
            self.post_message(self.RelativeFound(None, "The run that started this one is not in this workspace."))

    @work(group="relative", exclusive=True, exit_on_error=False)
    async def action_child(self) -> None:
        """Open the run that the call under the cursor started; from elsewhere the first one that this run started."""
        runs, node = self.dashboard.runs, self.node
        if runs is None:
            return
        with self.dashboard.reporting():
            page = await runs.list(SessionFilter(parent=self.run_view.session_id, sort="created"), limit=MAX_CHILDREN)
            children = sorted(page.sessions, key=lambda session: session.created_at)
            after = [each for each in children if node is not None and each.created_at >= node.created_at]
            chosen = (after if isinstance(node, ToolCallGraph) else children) or children[-1:]
            child = chosen[0].id if chosen else None
            self.post_message(self.RelativeFound(child, "This run started no other one."))

    @on(RelativeFound)
    def _relative_found(self, event: RelativeFound) -> None:
        if event.session_id is None:
            self.say(event.reason)
        else:
            self.open_run(event.session_id)
