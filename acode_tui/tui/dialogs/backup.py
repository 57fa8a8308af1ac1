"""A backup of the workspace file: where it goes, how far it is, and what was made."""

from typing import TYPE_CHECKING, Any, ClassVar

from textual.content import Content

from acode_tui.config import resolve_path
from acode_tui.domain.quantities import counted, number, size
from acode_tui.tui.dialogs.job import JobDialog
from acode_tui.tui.jobs import JobRun
from acode_tui.tui.style.text import line, styled

if TYPE_CHECKING:
    from acode_tui.storage.sqlite.files.backup_catalog import Backup


class BackupScreen(JobDialog):
    """One key more and the copy is made, while agents go on writing."""

    JOB: ClassVar[str] = "backup"
    TITLE: ClassVar[str] = "Backup"

    async def plan(self) -> None:
        settings, root = self.dashboard.settings, self.dashboard.root
        folder = str(resolve_path(root, settings.backup.directory)).removeprefix(f"{root}/")
        self.say(
            styled("Copies the workspace's database, while agents go on writing.", "bold"),
            Content(""),
            _fact("into", f"{line(folder, 52)}/"),
            _fact("kept", f"{counted(settings.backup.max_backups, 'backup')}; older ones make room"),
            _fact("shell", "acode-tui db backup"),
        )
        self.make_ready()

    def begin(self) -> JobRun | None:
        return self.dashboard.actions.back_up()

    def paced(self, run: JobRun) -> Content:
        return styled("copying, and reading the copy back" if run.progress else "beginning…", "$foreground-muted")

    def copies(self, result: Any) -> tuple[str, str] | None:
        made: Backup = result
        return f"acode-tui db restore {made.name}", "command"

    def told(self, result: Any) -> list[Content]:
        made: Backup = result
        rows = sum(made.counts.values())
        return [
            styled("✓ The backup is made.", "bold $text-success"),
            Content(""),
            _fact("name", made.name),
            _fact("size", f"{size(made.size_bytes)}, {number(rows)} rows, schema {made.schema_version or 'none'}"),
            _fact("sha256", f"{made.sha256[:32]}…"),
            _fact("back", f"acode-tui db restore {made.name}"),
        ]


def _fact(name: str, value: str) -> Content:
    return Content.assemble((f"{name:<8}", "$foreground-muted"), styled(value, "$foreground"))
