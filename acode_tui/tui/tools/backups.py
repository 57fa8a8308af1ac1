"""The backups screen: what each backup holds, whether it is sound, and a key to restore it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message

from acode_tui.domain.clock import parse_time
from acode_tui.domain.quantities import ago, counted, number, size
from acode_tui.storage.ports import Backup, Check, IncompleteBackup
from acode_tui.tui.bindings import BACKUPS, RESTORING
from acode_tui.tui.list_screen import ListScreen
from acode_tui.tui.messages import RestoreRequested
from acode_tui.tui.style.text import labelled, line, styled
from acode_tui.tui.style.times import stamp
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.keyed_table import Column, KeyedTable, Row
from acode_tui.tui.widgets.notice import Notice
from acode_tui.tui.widgets.text_panel import TextPanel
from acode_tui.tui.widgets.title_line import TitleLine

if TYPE_CHECKING:
    from datetime import datetime

    from acode_tui.tui.ports import DashboardWorkspace

Found = Backup | IncompleteBackup


class BackupTable(KeyedTable):
    """Backups, the newest first; then what only looks like one."""

    BINDINGS: ClassVar[list[BindingType]] = [*RESTORING]

    def columns_for(self, width: int) -> tuple[Column, ...]:
        more = (Column("schema", "schema", 7), Column("size", "size", 9, right=True)) if width >= 70 else ()
        return (Column("name", "backup"), Column("made", "made", 12), *more, Column("runs", "sessions", 9, right=True))


class BackupsScreen(ListScreen):
    """The backups of this workspace. ``enter`` restores one, after a question."""

    TABLE = BackupTable
    BINDINGS: ClassVar[list[BindingType]] = [*BACKUPS]
    AUTO_FOCUS = ""

    @dataclass
    class BackupsRead(Message):
        """The folder was read."""

        backups: Sequence[Backup]
        incomplete: Sequence[IncompleteBackup]

    @dataclass
    class Verified(Message):
        """A backup was checked."""

        name: str
        findings: Sequence[Check]

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[str, Found] = {}
        self._findings: dict[str, Sequence[Check]] = {}
        self._verifying = ""

    def compose(self) -> ComposeResult:
        yield TitleLine("backups")
        with Vertical(classes="frame", id="list") as frame:
            frame.border_title = "Backups"
            yield BackupTable(id="records")
            yield Notice()
        yield TextPanel("Backup", id="detail")
        yield KeyBar()

    @property
    def is_loaded(self) -> bool:
        return bool(self._found)

    async def read(self, workspace: "DashboardWorkspace") -> None:
        backups, incomplete = await workspace.backups()
        self.post_message(self.BackupsRead(backups, incomplete))

    @on(BackupsRead)
    def _backups_read(self, event: BackupsRead) -> None:
        found: list[Found] = [*event.backups, *event.incomplete]
        self._found = {each.name: each for each in found}
        table, notice, now = self.table, self.query_one(Notice), self.dashboard.now()
        table.display = self.detail_panel.display = bool(self._found)
        notice.display = not self._found
        notice.update("There are no backups yet", "b on the first screen makes one.")
        self.query_one(TitleLine).update(counted(len(event.backups), "backup"))
        self.fit()
        table.show([(name, _row(each, now)) for name, each in self._found.items()])
        if self._found and self.focused is None:
            table.focus()
        self._describe()
        self.refresh_bindings()

    @property
    def _under_cursor(self) -> Found | None:
        return self._found.get(self.table.cursor_key or "")

    @on(KeyedTable.RowHighlighted)
    def _describe(self) -> None:
        found = self._under_cursor
        if found is None:
            return
        if isinstance(found, IncompleteBackup):
            self.detail_panel.update(
                Content("\n").join([styled("✗ Not a complete backup", "bold $text-error"), styled(found.reason)])
            )
            return
        rows = [
            labelled("made", f"{stamp(parse_time(found.created_at), self.dashboard.zone)}, {found.kind}", width=10),
            labelled("size", f"{size(found.size_bytes)}, schema {found.schema_version or 'none'}", width=10),
            *(labelled(line(table, 20), number(count), width=22) for table, count in sorted(found.counts.items())),
            Content(""),
        ]
        self.detail_panel.update(Content("\n").join([*rows, *self._checked(found.name)]))

    def _checked(self, name: str) -> list[Content]:
        if name == self._verifying:
            return [styled("checking…", "$foreground-muted")]
        return [
            styled(
                f"{'✓' if each.ok else '✗'} {each.name}: {each.description}",
                "$text-success" if each.ok else "$text-error",
            )
            for each in self._findings.get(name, ())
        ]

    def action_verify(self) -> None:
        found = self._under_cursor
        if isinstance(found, Backup) and not self._verifying:
            self._verifying = found.name
            self._describe()
            self._verify(found)

    @work(group="verify", exit_on_error=False)
    async def _verify(self, backup: Backup) -> None:
        findings: Sequence[Check] = ()
        workspace = self.workspace
        try:
            if workspace is not None:
                with self.dashboard.reporting():
                    findings = await workspace.verify_backup(backup)
        finally:
            self.post_message(self.Verified(backup.name, findings))

    @on(Verified)
    def _verified(self, event: Verified) -> None:
        self._verifying = ""
        self._findings[event.name] = event.findings
        self._describe()

    @on(KeyedTable.RowSelected)
    def _selected(self) -> None:
        """Ask whether to restore the backup under the cursor."""
        from acode_tui.tui.dialogs.confirm import ConfirmDialog

        found = self._under_cursor
        if not isinstance(found, Backup):
            self.notify("This is no complete backup.", title="restore", severity="warning", markup=False)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.post_message(RestoreRequested(found))

        question = (
            f"{found.name}, {counted(found.counts.get('sessions', 0), 'session')}\n\n"
            "The dashboard closes the workspace, puts the backup in its place and opens again. The present database "
            "becomes a backup. Other programs must not have the workspace open."
        )
        self.app.push_screen(ConfirmDialog("Restore this backup?", question, yes="restore"), answered)

    def action_copy(self) -> None:
        if (found := self._under_cursor) is not None:
            self.dashboard.copy(f"acode-tui db restore {found.name}", "command")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return (bool(self._found) or None) if action in ("verify", "copy") else True


def _row(found: Found, now: "datetime") -> Row:
    if isinstance(found, IncompleteBackup):
        cells: Row = dict.fromkeys(("made", "schema", "size", "runs"), ("", "quiet"))
        return {"name": (f"✗ {line(found.name)}", "bad"), **cells}
    return {
        "name": (line(found.name), "plain"),
        "made": (ago(parse_time(found.created_at), now), "plain"),
        "schema": (found.schema_version or "–", "quiet"),
        "size": (size(found.size_bytes), "quiet"),
        "runs": (number(found.counts.get("sessions", 0)), "plain"),
    }
