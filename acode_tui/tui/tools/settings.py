"""The settings screen: every setting with its value and origin, an input to change it, and a search.

A typed text is checked at every key, and a refusal is shown below the input.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from acode_tui.config import Origin
from acode_tui.config.keys import Key
from acode_tui.domain.errors import ConfigError
from acode_tui.tui.bindings import SETTINGS
from acode_tui.tui.dialogs.confirm import ConfirmDialog
from acode_tui.tui.jobs import JobRun
from acode_tui.tui.list_screen import ListScreen
from acode_tui.tui.messages import InputClosed, SearchChanged
from acode_tui.tui.style.palette import Role
from acode_tui.tui.style.text import labelled, line, styled
from acode_tui.tui.tools.preferences import (
    ORIGIN_LABELS,
    Preference,
    Scope,
    parse_value,
    read_preferences,
    remove_preference,
    scope_path,
    write_preference,
)
from acode_tui.tui.widgets.input_lines import SearchLine
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.keyed_table import Column, KeyedTable, Row
from acode_tui.tui.widgets.notice import Notice
from acode_tui.tui.widgets.notice import keys as keys_line
from acode_tui.tui.widgets.text_panel import TextPanel
from acode_tui.tui.widgets.title_line import TitleLine

if TYPE_CHECKING:
    from acode_tui.tui.ports import DashboardWorkspace


class SettingTable(KeyedTable):
    """The settings, with a heading above each section."""

    def columns_for(self, width: int) -> tuple[Column, ...]:
        name = Column("name", "setting", 26 if width < 100 else 32)
        return (name, Column("value", "value"), Column("from", "from", 14))


class SettingsScreen(ListScreen):
    """The list of settings, the detail of one, and the inputs for a search and for a new value."""

    TABLE = SettingTable
    BINDINGS: ClassVar[list[BindingType]] = [*SETTINGS]
    AUTO_FOCUS = "SettingTable"

    @dataclass
    class SettingsRead(Message):
        """The files and the environment were read."""

        preferences: list[Preference]

    @dataclass
    class Refused(Message):
        """A typed value is not allowed together with the other settings."""

        error: ConfigError
        text: str

    def __init__(self) -> None:
        super().__init__()
        self._preferences: dict[str, Preference] = {}
        self._scope: Scope = "workspace"
        self._search_text = ""

    def compose(self) -> ComposeResult:
        yield TitleLine("settings")
        with Vertical(classes="frame", id="list"):
            yield SettingTable(id="records")
            yield Notice()
        yield TextPanel("Setting", id="detail")
        yield SearchLine("words in keys, values, descriptions")
        with Vertical(id="editing"):
            yield Input(id="value", placeholder="a new value")
            yield Static("", id="verdict", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one("#editing").display = False
        self.query_one(SearchLine).display = False
        self.query_one(Notice).display = False
        self._retitle()

    def _retitle(self) -> None:
        path = str(scope_path(self.dashboard.root, self._scope))
        shown = path.removeprefix(f"{self.dashboard.root}/")
        workspaces = "this workspace" if self._scope == "workspace" else "all your workspaces"
        self.query_one(TitleLine).update(f"changes are for {workspaces}", styled(line(shown, 60), "$foreground-muted"))

    @property
    def is_loaded(self) -> bool:
        return bool(self._preferences)

    async def read(self, workspace: "DashboardWorkspace") -> None:
        preferences = await self.dashboard.in_thread(read_preferences, self.dashboard.root)
        self.post_message(self.SettingsRead(preferences))

    @on(SettingsRead)
    def _settings_read(self, event: SettingsRead) -> None:
        self._preferences = {preference.key.name: preference for preference in event.preferences}
        self.fit()
        self._retitle()
        self._show()

    def _show(self) -> None:
        """Show the settings that match the search, with the headings of their sections."""
        matching = {name: each for name, each in self._preferences.items() if each.matches(self._search_text)}
        headings: dict[str, str] = {}
        for name, preference in matching.items():
            if preference.key.section not in headings.values():
                headings[name] = preference.key.section
        table, notice = self.table, self.query_one(Notice)
        cursor_stays = table.cursor_key in matching
        table.display, notice.display = bool(matching), bool(self._preferences) and not matching
        table.show([(name, _row(preference)) for name, preference in matching.items()], headings=headings)
        if not cursor_stays:
            table.move_cursor(row=0)
        if notice.display:
            text = line(self._search_text.strip(), 40)
            why = f"None of the {len(self._preferences)} has “{text}” in its key, value or purpose."
            notice.update("No setting fits", why, keys_line(("esc", "shows all of them again")))
        count = f"{len(matching)} of {len(self._preferences)} settings" if self._search_text.strip() else ""
        self.query_one("#list").border_subtitle = count
        self._describe()
        self.refresh_bindings()

    # Search

    def action_search(self) -> None:
        search = self.query_one(SearchLine)
        search.display = True
        # Not focus(), which takes effect later: the next letters may already be typed.
        self.set_focus(search)

    @on(SearchChanged)
    def _searched(self, event: SearchChanged) -> None:
        if event.text != self._search_text:
            self._search_text = event.text
            self._show()

    @on(InputClosed)
    def _focus_list(self) -> None:
        table = self.table
        if table.row_count:
            self.query_one(SearchLine).display = bool(self._search_text)
            table.focus()

    def _show_all(self) -> None:
        search = self.query_one(SearchLine)
        search.value = self._search_text = ""
        search.display = False
        self._show()
        self.table.focus()

    # The setting under the cursor

    @property
    def _under_cursor(self) -> Preference | None:
        return self._preferences.get(self.table.cursor_key or "")

    @on(KeyedTable.RowHighlighted)
    def _describe(self) -> None:
        preference, panel = self._under_cursor, self.detail_panel
        if preference is not None:
            panel.border_title = preference.key.name
            panel.update(_detail(preference))
        elif self._preferences:
            panel.border_title = "Setting"
            panel.update(Content(""))

    # Editing

    @property
    def editing(self) -> bool:
        return bool(self.query_one("#editing").display)

    @on(KeyedTable.RowSelected)
    def action_edit(self) -> None:
        preference = self._under_cursor
        if preference is None:
            return
        if preference.override:
            text = f"{preference.override} holds this value; a file cannot change it"
            self.notify(text, title=preference.key.name, severity="warning", markup=False)
            return
        self.query_one("#editing").display = True
        value_input = self.query_one("#value", Input)
        value_input.value = preference.edit_text
        value_input.focus()
        self._check(preference.edit_text)
        self.refresh_bindings()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if self.editing:
            self._check(event.value)

    def _check(self, text: str) -> Any:
        """Show whether a text is allowed as the new value. Returns the value, None if it is not allowed."""
        preference = self._under_cursor
        if preference is None:
            return None
        try:
            value = parse_value(preference.key, text)
        except ConfigError as error:
            self._show_verdict(f"✗ {error.message}" + (f"; {error.hint}" if error.hint else ""), "$text-error")
            return None
        self._show_verdict(f"✓ enter writes it; allowed: {preference.key.allowed}", "$text-success")
        return value

    def _show_verdict(self, text: str, style: str) -> None:
        self.query_one("#verdict", Static).update(styled(text, style))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        preference, scope = self._under_cursor, self._scope
        text = event.value
        value = self._check(text)
        if preference is None or value is None:
            return
        root = self.dashboard.root

        async def write(workspace: "DashboardWorkspace", run: JobRun) -> None:
            try:
                counts = await self.dashboard.in_thread(write_preference, root, preference.key, value, scope)
                if not counts:
                    note = "written, but this file is not trusted: A on the main screen shows what it asks for"
                    self.dashboard.notify(note, title=preference.key.name, severity="warning", markup=False)
            except ConfigError as error:
                # A value may be allowed alone, but not together with another one. That is shown below the input.
                self.post_message(self.Refused(error, text))

        self.dashboard.actions.start("settings", write)
        self.action_leave()

    @on(Refused)
    def _refused(self, event: Refused) -> None:
        value_input = self.query_one("#value", Input)
        with value_input.prevent(Input.Changed):
            self.action_edit()
            value_input.value = event.text
        self._show_verdict(f"✗ {event.error.message}", "$text-error")

    def action_leave(self) -> None:
        if self.editing:
            self.query_one("#editing").display = False
            self.table.focus()
            self.refresh_bindings()
        elif self.query_one(SearchLine).display:
            self._show_all()
        else:
            self.dismiss()

    def action_unset(self) -> None:
        preference, scope = self._under_cursor, self._scope
        if preference is None:
            return
        key = preference.key

        def answered(yes: bool | None) -> None:
            if yes:
                self._remove(key, scope)

        if preference.may_be_set_in(scope):
            file = "this workspace's file" if scope == "workspace" else "your file for all workspaces"
            question = (
                f"{key.name} = {preference.shown}\n\n"
                f"The setting is removed from {file}; the next weaker file, or the default, applies."
            )
            self.app.push_screen(ConfirmDialog("Remove this setting?", question, yes="remove"), answered)
        else:
            self._remove(key, scope)

    def _remove(self, key: Key, scope: Scope) -> None:
        root = self.dashboard.root

        async def remove(workspace: "DashboardWorkspace", run: JobRun) -> None:
            removed = await self.dashboard.in_thread(remove_preference, root, key, scope)
            file = "this workspace's file" if scope == "workspace" else "your file"
            self.dashboard.notify(
                f"removed from {file}" if removed else f"is not set in {file}", title=key.name, markup=False
            )

        self.dashboard.actions.start("settings", remove)

    def action_scope(self) -> None:
        self._scope = "user" if self._scope == "workspace" else "workspace"
        self._retitle()

    def action_copy(self) -> None:
        preference = self._under_cursor
        if preference is not None:
            self.dashboard.copy(f"{preference.key.name} = {preference.shown}", "setting")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("edit", "unset", "copy") and self.is_mounted:
            return None if self._under_cursor is None else True
        return True


def _row(preference: Preference) -> Row:
    role: Role = "quiet" if preference.origin is Origin.DEFAULT else "busy"
    return {
        "name": (preference.key.leaf, "plain"),
        "value": (preference.shown, role),
        "from": (preference.source, role if preference.withheld is None else "bad"),
    }


def _detail(preference: Preference) -> Content:
    key = preference.key
    facts = [("value", preference.shown), ("from", ORIGIN_LABELS[preference.origin])]
    if preference.withheld is not None:
        facts.append(("left out", f"{preference.withheld_shown}, in this workspace's file, which is not trusted"))
    if preference.override:
        facts.append(("held by", f"{preference.override}; a file cannot change it"))
    facts += [
        ("default", key.default_text.replace("`", "")),
        ("allowed", key.allowed),
        ("shell", f"acode-tui config set {key.name} VALUE"),
        ("or", key.variable),
    ]
    lines = [labelled(name, value, width=9) for name, value in facts]
    return Content("\n").join([styled(key.doc.replace("`", ""), "bold"), Content(""), *lines])
