"""The screens and dialogs that the first screen's keys open. Each is imported when it is first opened."""

from acode_tui.tui.live_screen import LiveScreen


class Doors(LiveScreen[None]):
    """What needs the workspace does not open before it is there."""

    def action_retries(self) -> None:
        if self.workspace is not None:
            from acode_tui.tui.records.retries import RetriesScreen

            self.app.push_screen(RetriesScreen())

    def action_conflicts(self) -> None:
        if self.workspace is not None:
            from acode_tui.tui.records.conflicts import ConflictsScreen

            self.app.push_screen(ConflictsScreen())

    def action_log(self) -> None:
        from acode_tui.tui.tools.log import LogScreen

        self.app.push_screen(LogScreen(self.dashboard.root / ".agent" / "logs" / "acode-tui.log"))

    def action_health(self) -> None:
        if self.workspace is not None:
            from acode_tui.tui.tools.health import HealthScreen

            self.app.push_screen(HealthScreen())

    def action_settings(self) -> None:
        if self.workspace is not None:
            from acode_tui.tui.tools.settings import SettingsScreen

            self.app.push_screen(SettingsScreen())

    def action_migrate(self) -> None:
        if self.workspace is not None:
            from acode_tui.tui.dialogs.migrate import MigrateScreen

            self.app.push_screen(MigrateScreen())

    def action_backup(self) -> None:
        if self.workspace is not None:
            from acode_tui.tui.dialogs.backup import BackupScreen

            self.app.push_screen(BackupScreen())

    def action_import(self) -> None:
        if self.workspace is not None:
            from acode_tui.tui.dialogs.import_ import ImportScreen

            self.app.push_screen(ImportScreen(), self._imported)

    def _imported(self, wrote: bool | None) -> None:
        if wrote:
            self.refresh_now()
