"""The settings: what each is for, its value, its origin, and changing it. A refusal stands where one types; a search
narrows them to those whose key, value or purpose holds every word.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from os import environ as process_environment
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from acode_tui.config import LoadedSettings, Origin, keys, load, user_config_path, workspace_config_path
from acode_tui.config.edit import set_value, unset_value
from acode_tui.config.keys import Key
from acode_tui.config.load import check_file_value, read_text
from acode_tui.domain.errors import AcodeError, ConfigError
from acode_tui.domain.secrets.known import redact
from acode_tui.files import make_private_folder, replacing
from acode_tui.tui.bindings import SETTINGS
from acode_tui.tui.dialogs.confirm import Confirm
from acode_tui.tui.jobs import JobRun
from acode_tui.tui.live_screen import LiveScreen
from acode_tui.tui.messages import LineClosed, Searched
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.style.text import error_lines, line, styled
from acode_tui.tui.widgets.input_lines import SearchLine
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.keyed_table import Column, KeyedTable, Row
from acode_tui.tui.widgets.notice import Notice
from acode_tui.tui.widgets.notice import keys as keys_line
from acode_tui.tui.widgets.text_panel import TextPanel
from acode_tui.tui.widgets.title_line import TitleLine

if TYPE_CHECKING:
    from acode_tui.tui.ports import DashboardWorkspace


Place = Literal["workspace", "user"]
ORIGINS: dict[Origin, str] = {
    Origin.DEFAULT: "default",
    Origin.USER: "your file",
    Origin.WORKSPACE: "this workspace",
    Origin.ENV: "environment",
    Origin.FLAG: "option",
}


@dataclass(frozen=True, slots=True)
class Preference:
    """One setting. ``shown`` is its value as TOML with secrets hidden; ``text`` is what an edit begins with."""

    key: keys.Key
    value: Any
    origin: Origin

    @property
    def shown(self) -> str:
        return redact(keys.format_value(self.value)) or "-"

    @property
    def text(self) -> str:
        """The other value of a switch; of anything else the present one."""
        if isinstance(self.value, bool):
            return keys.format_value(not self.value)
        return self.value if isinstance(self.value, str) else keys.format_value(self.value)

    def may_be_set_in(self, place: Place) -> bool:
        """Whether a file may set it: a stronger place says nothing of a weaker one."""
        return self.origin is not Origin.DEFAULT and (place == "user" or self.origin is not Origin.USER)

    def holds(self, text: str) -> bool:
        """Whether every word of ``text`` is in the key, in what is shown of the value, or in what it is for."""
        told = f"{self.key.name}\n{self.shown}\n{self.key.doc}".casefold()
        return all(word in told for word in text.casefold().split())

    @property
    def overridden(self) -> str:
        """What holds this value whatever a file says; empty if a file may change it."""
        if self.origin is Origin.ENV:
            return self.key.variable
        return "an option of this command" if self.origin is Origin.FLAG else ""


def read(root: Path, environ: Mapping[str, str] = process_environment) -> list[Preference]:
    """Every setting in the order of the documentation. Raises ConfigError."""
    loaded: LoadedSettings = load(root, environ=environ)
    return [Preference(key, loaded.values[name], loaded.origins[name]) for name, key in keys.table().items()]


def check(key: keys.Key, text: str) -> Any:
    """The value that was typed. Raises ConfigError, which names what is allowed."""
    return check_file_value(key, keys.parse(key, text))


def place_path(root: Path, place: Place, environ: Mapping[str, str] = process_environment) -> Path:
    """The file that a place stands for."""
    return workspace_config_path(root) if place == "workspace" else user_config_path(environ)


def put(
    root: Path, key: keys.Key, value: object, place: Place, environ: Mapping[str, str] = process_environment
) -> Path:
    """Write one value that was checked, if all settings together are allowed then. Answers the file.

    Raises ConfigError and OSError; the file is as it was then.
    """
    path = place_path(root, place, environ)
    return _write(root, path, set_value(read_text(path), key, value), environ)


def drop(root: Path, key: keys.Key, place: Place, environ: Mapping[str, str] = process_environment) -> bool:
    """Take one value out of a file, so that the next weaker place counts; False where the file does not set it.

    Raises ConfigError and OSError; the file is as it was then.
    """
    path = place_path(root, place, environ)
    before = read_text(path)
    after = unset_value(before, key)
    if after == before:
        return False
    _write(root, path, after, environ)
    return True


def _write(root: Path, path: Path, text: str, environ: Mapping[str, str]) -> Path:
    load(root, environ=environ, drafts={path: text})
    make_private_folder(path.parent)
    with replacing(path.resolve()) as file:
        file.write(text.encode())
    return path


class SettingTable(KeyedTable):
    """Settings below the headings of their sections."""

    def columns_for(self, width: int) -> tuple[Column, ...]:
        name = Column("name", "setting", 26 if width < 100 else 32)
        return (name, Column("value", "value"), Column("from", "from", 14))


class SettingsScreen(LiveScreen[None]):
    """A list, what is allowed, and a line to type in."""

    CSS_PATH = style_path("screens.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*SETTINGS]
    AUTO_FOCUS = "SettingTable"

    @dataclass
    class SettingsRead(Message):
        """What the files and the environment say now."""

        settings: list[Preference]

    def __init__(self) -> None:
        super().__init__()
        self._settings: dict[str, Preference] = {}
        self._place: Place = "workspace"
        self._text = ""

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
        path = str(place_path(self.dashboard.root, self._place))
        shown = path.removeprefix(f"{self.dashboard.root}/")
        whose = "this workspace" if self._place == "workspace" else "all your workspaces"
        self.query_one(TitleLine).say(f"changes are for {whose}", styled(line(shown, 60), "$foreground-muted"))

    def troubled(self, error: AcodeError) -> None:
        if not self._settings:
            self.query_one(TitleLine).say("could not be read", styled("tried again by itself", "$text-warning"))
            self.query_one("#detail", TextPanel).say(Content("\n").join(error_lines(error)))

    async def read(self, workspace: "DashboardWorkspace") -> None:
        root = self.dashboard.root
        self.post_message(self.SettingsRead(await self.dashboard.in_thread(read, root)))

    @on(SettingsRead)
    def _read(self, event: SettingsRead) -> None:
        self._settings = {setting.key.name: setting for setting in event.settings}
        self._fit()
        self._retitle()
        self._show()

    def _show(self) -> None:
        """The settings that fit the search, below the headings of their sections."""
        fitting = {name: setting for name, setting in self._settings.items() if setting.holds(self._text)}
        headings: dict[str, str] = {}
        for name, setting in fitting.items():
            if setting.key.section not in headings.values():
                headings[name] = setting.key.section
        table, notice = self.query_one(SettingTable), self.query_one(Notice)
        kept = table.cursor_key in fitting
        table.display, notice.display = bool(fitting), bool(self._settings) and not fitting
        table.show([(name, _row(setting)) for name, setting in fitting.items()], headings=headings)
        if not kept:
            table.move_cursor(row=0)
        if notice.display:
            told = (
                f"None of the {len(self._settings)} has “{line(self._text.strip(), 40)}” in its key, value or purpose."
            )
            notice.say("No setting fits", told, keys_line(("esc", "shows all of them again")))
        many = f"{len(fitting)} of {len(self._settings)} settings" if self._text.strip() else ""
        self.query_one("#list").border_subtitle = many
        self._describe()
        self.refresh_bindings()

    # Search

    def action_search(self) -> None:
        search = self.query_one(SearchLine)
        search.display = True
        # Now, not when the app comes to it: the next letters may be on their way already.
        self.set_focus(search)

    @on(Searched)
    def _searched(self, event: Searched) -> None:
        if event.text != self._text:
            self._text = event.text
            self._show()

    @on(LineClosed)
    def _to_the_list(self) -> None:
        table = self.query_one(SettingTable)
        if table.row_count:
            self.query_one(SearchLine).display = bool(self._text)
            table.focus()

    def _show_all(self) -> None:
        search = self.query_one(SearchLine)
        search.value = self._text = ""
        search.display = False
        self._show()
        self.query_one(SettingTable).focus()

    def on_resize(self) -> None:
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        self.query_one(SettingTable).lay_out(max(self.query_one("#list").content_size.width, 40))

    @property
    def _setting(self) -> Preference | None:
        return self._settings.get(self.query_one(SettingTable).cursor_key or "")

    @on(KeyedTable.RowHighlighted)
    def _describe(self) -> None:
        setting, panel = self._setting, self.query_one("#detail", TextPanel)
        if setting is not None:
            panel.border_title = setting.key.name
            panel.say(_detail(setting))
        elif self._settings:
            panel.border_title = "Setting"
            panel.say(Content(""))

    # Editing

    @property
    def editing(self) -> bool:
        return bool(self.query_one("#editing").display)

    @on(KeyedTable.RowSelected)
    def action_edit(self) -> None:
        setting = self._setting
        if setting is None:
            return
        if setting.overridden:
            said = f"{setting.overridden} holds this value; a file cannot change it"
            self.notify(said, title=setting.key.name, severity="warning", markup=False)
            return
        self.query_one("#editing").display = True
        typing = self.query_one("#value", Input)
        typing.value = setting.text
        typing.focus()
        self._judge(setting.text)
        self.refresh_bindings()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if self.editing:
            self._judge(event.value)

    def _judge(self, text: str) -> Any:
        """Say whether a text is allowed; answers its value, None if it is not."""
        setting = self._setting
        if setting is None:
            return None
        try:
            value = check(setting.key, text)
        except ConfigError as error:
            self._say(f"✗ {error.message}" + (f"; {error.hint}" if error.hint else ""), "$text-error")
            return None
        self._say(f"✓ enter writes it; allowed: {setting.key.allowed}", "$text-success")
        return value

    def _say(self, text: str, style: str) -> None:
        self.query_one("#verdict", Static).update(styled(text, style))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        setting, place = self._setting, self._place
        typed = event.value
        value = self._judge(typed)
        if setting is None or value is None:
            return
        root = self.dashboard.root

        async def write(workspace: "DashboardWorkspace", run: JobRun) -> object:
            try:
                return await self.dashboard.in_thread(put, root, setting.key, value, place)
            except ConfigError as error:
                # A value may be fine alone and not beside another; that is said where it was typed.
                self.post_message(self.Refused(error, typed))
                return None

        self.dashboard.actions.begin("settings", write)
        self.action_leave()

    @dataclass
    class Refused(Message):
        """The value is not allowed beside the others."""

        error: ConfigError
        text: str

    @on(Refused)
    def _refused(self, event: Refused) -> None:
        typing = self.query_one("#value", Input)
        with typing.prevent(Input.Changed):
            self.action_edit()
            typing.value = event.text
        self._say(f"✗ {event.error.message}", "$text-error")

    def action_leave(self) -> None:
        if self.editing:
            self.query_one("#editing").display = False
            self.query_one(SettingTable).focus()
            self.refresh_bindings()
        elif self.query_one(SearchLine).display:
            self._show_all()
        else:
            self.dismiss()

    def action_unset(self) -> None:
        setting, place = self._setting, self._place
        if setting is None:
            return
        key = setting.key

        def answered(yes: bool | None) -> None:
            if yes:
                self._take_out(key, place)

        if setting.may_be_set_in(place):
            whose = "this workspace's file" if place == "workspace" else "your file for all workspaces"
            question = (
                f"{key.name} = {setting.shown}\n\nWhat {whose} says of it is taken out; the next weaker place counts."
            )
            self.app.push_screen(Confirm("Take this setting out?", question, yes="take out"), answered)
        else:
            self._take_out(key, place)

    def _take_out(self, key: Key, place: Place) -> None:
        root = self.dashboard.root

        async def unset(workspace: "DashboardWorkspace", run: JobRun) -> object:
            gone = await self.dashboard.in_thread(drop, root, key, place)
            said = "taken out of" if gone else "is not set in"
            whose = "this workspace's file" if place == "workspace" else "your file"
            self.dashboard.notify(f"{said} {whose}", title=key.name, markup=False)
            return None

        self.dashboard.actions.begin("settings", unset)

    def action_place(self) -> None:
        self._place = "user" if self._place == "workspace" else "workspace"
        self._retitle()

    def action_copy(self) -> None:
        setting = self._setting
        if setting is not None:
            self.dashboard.copy(f"{setting.key.name} = {setting.shown}", "setting")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("edit", "unset", "copy") and self.is_mounted:
            return None if self._setting is None else True
        return True


def _row(setting: Preference) -> Row:
    own = setting.origin is not Origin.DEFAULT
    return {
        "name": (setting.key.leaf, "plain"),
        "value": (setting.shown, "busy" if own else "quiet"),
        "from": (ORIGINS[setting.origin], "busy" if own else "quiet"),
    }


def _detail(setting: Preference) -> Content:
    key = setting.key
    held = [_fact("held by", f"{setting.overridden}; a file cannot change it")] if setting.overridden else []
    return Content("\n").join(
        [
            styled(key.doc.replace("`", ""), "bold"),
            Content(""),
            _fact("value", setting.shown),
            _fact("from", ORIGINS[setting.origin]),
            *held,
            _fact("default", key.default_text.replace("`", "")),
            _fact("allowed", key.allowed),
            _fact("shell", f"acode-tui config set {key.name} VALUE"),
            _fact("or", key.variable),
        ]
    )


def _fact(name: str, value: str) -> Content:
    return Content.assemble((f"{name:<9}", "$foreground-muted"), styled(value, "$foreground"))
