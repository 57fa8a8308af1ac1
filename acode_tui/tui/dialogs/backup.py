"""The backup dialog: where a backup of the workspace file goes, its progress, and what was written."""

from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import BindingType
from textual.content import Content

from acode_tui.config import resolve_path
from acode_tui.domain.quantities import counted, number, size
from acode_tui.tui.bindings import RESTORE
from acode_tui.tui.dialogs.job import JobDialog
from acode_tui.tui.jobs import JobRun
from acode_tui.tui.messages import BackupsRequested
from acode_tui.tui.style.text import labelled, line, styled

if TYPE_CHECKING:
    from acode_tui.storage.ports import Backup


class BackupDialog(JobDialog):
    """Makes a backup of the workspace file while agents continue to write."""

    JOB: ClassVar[str] = "backup"
    TITLE: ClassVar[str] = "Backup"
    BINDINGS: ClassVar[list[BindingType]] = [*RESTORE]

    async def show_plan(self) -> None:
        settings, root = self.dashboard.settings, self.dashboard.root
        folder = str(resolve_path(root, settings.backup.directory)).removeprefix(f"{root}/")
        self.show_text(
            styled("Copies the workspace's database, while agents go on writing.", "bold"),
            Content(""),
            _fact("into", f"{line(folder, 52)}/"),
            _fact("kept", f"{counted(settings.backup.max_backups, 'backup')}; older ones make room"),
            _fact("shell", "acode-tui db backup"),
        )
        self.set_ready()

    def action_restore(self) -> None:
        """Show the backups in place of this dialog."""
        self.dismiss()
        self.app.post_message(BackupsRequested())

    def start(self) -> JobRun | None:
        return self.dashboard.actions.back_up()

    def progress_text(self, run: JobRun) -> Content:
        return styled("copying, and reading the copy back" if run.progress else "beginning…", "$foreground-muted")

    def copy_text(self, result: Any) -> tuple[str, str] | None:
        backup: Backup = result
        return f"acode-tui db restore {backup.name}", "command"

    def result_lines(self, result: Any) -> list[Content]:
        backup: Backup = result
        rows = sum(backup.counts.values())
        return [
            styled("✓ The backup is made.", "bold $text-success"),
            Content(""),
            _fact("name", backup.name),
            _fact("size", f"{size(backup.size_bytes)}, {number(rows)} rows, schema {backup.schema_version or 'none'}"),
            _fact("sha256", f"{backup.sha256[:32]}…"),
            _fact("back", f"acode-tui db restore {backup.name}"),
        ]


def _fact(name: str, value: str) -> Content:
    return labelled(name, value, width=8)
