"""Every key of the dashboard, as tables: its id (which ``tui.keymap`` remaps), its keys, its action, what it does.

The footer, the help screen and the command palette are made from these tables. The order within a table is the order
in the footer.
"""

from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen


def key(id: str, keys: str, action: str, short: str, tooltip: str, *, show: bool = True, shown_as: str = "") -> Binding:
    """A binding with an id and a tooltip; ``shown_as`` replaces the key's own name in the footer."""
    return Binding(keys, action, short, show=show, key_display=shown_as or None, tooltip=tooltip, id=id)


APP: list[Binding] = [
    key("help", "question_mark,f1", "help", "help", "Every key of this screen", shown_as="?"),
    key("theme", "t", "theme", "theme", "Choose a colour theme", show=False),
    key("quit", "q", "quit", "quit", "Quit; the batch being sent is finished first"),
]

DEMO: list[Binding] = [
    key("network", "n", "network", "network", "Demo: cut the network to the team's database, or restore it"),
]

MAIN: list[Binding] = [
    key("sync", "s", "sync_now", "sync", "Send the backlog to PostgreSQL now"),
    key("migrate", "m", "migrate", "migrate", "Show and run the pending migrations of both tiers"),
    key("pause", "p", "pause", "pause", "Pause or resume the sync worker"),
    key("search", "slash", "search", "search", "Search descriptions, tasks, steps, tools and artifacts", shown_as="/"),
    key("next_match", "n", "hit(1)", "next hit", "Next place that the search found"),
    key("previous_match", "N", "hit(-1)", "previous hit", "Previous place that it found", show=False, shown_as="N"),
    key("filter", "f", "filter", "filter", "Show only sessions in some states"),
    key("previous_page", "left_square_bracket", "page(-1)", "page", "Previous page", shown_as="["),
    key("next_page", "right_square_bracket", "page(1)", "page", "Next page", shown_as="]"),
    key("first_page", "left_curly_bracket", "first_page", "first page", "First page", show=False, shown_as="{"),
    key("last_page", "right_curly_bracket", "last_page", "last page", "Last page", show=False, shown_as="}"),
    key("jump", "number_sign", "jump", "jump", "Go to a session by its id, or its beginning", show=False, shown_as="#"),
    key("retries", "r", "retries", "retries", "Refused records and dead letters"),
    key("conflicts", "c", "conflicts", "conflicts", "Conflicting versions, and which one won"),
    key("log", "l", "log", "log", "The program's own log, live"),
    key("import", "i", "import", "import", "Import transcripts of Claude Code, Codex and others"),
    key("follow_runs", "w", "follow_runs", "follow", "Import this folder's transcripts as they are written, or stop"),
    key("figures", "dollar_sign", "figures", "figures", "What runs used and cost, as plots", shown_as="$"),
    key("health", "h", "health", "health", "The health checks of this workspace"),
    key("backup", "b", "backup", "backup", "Back up the workspace's database"),
    key(
        "source",
        "T",
        "source",
        "team/local",
        "The whole team's runs over PostgreSQL, or this workspace's",
        shown_as="T",
    ),
    key("reload", "R", "app.reload", "read again", "Read again what is shown", show=False, shown_as="R"),
    key(
        "sort",
        "O",
        "sort",
        "order",
        "Order by activity, creation, state, or a figure",
        show=False,
        shown_as="O",
    ),
    key("group", "d", "group", "headings", "A heading above the sessions of each day, or of each state", show=False),
    key("panes", "v", "panes", "panes", "Open the four panes, or fold them to one line"),
    key("mouse", "M", "mouse", "mouse", "Capture the mouse, or leave it to the terminal", show=False, shown_as="M"),
    key("files", "F", "files", "files", "The files that the listed runs changed", show=False, shown_as="F"),
    key("export", "e", "export", "export", "Export the session under the cursor as a report or as JSON", show=False),
    key("settings", "o", "settings", "settings", "Show and change the settings", show=False),
    key("copy_id", "y", "copy_id", "copy id", "Copy the id of the session under the cursor", show=False),
    key("trust", "A", "trust", "trust", "What the settings file asks for, and whether to trust it", shown_as="A"),
    key(
        "back", "escape", "clear", "clear", "Leave the search, then clear search and filter", show=False, shown_as="esc"
    ),
]

FOLLOW: list[Binding] = [
    key("follow_yes", "y", "answer_follow(True)", "follow", "Follow the runs of this folder", show=False),
    key("follow_no", "n", "answer_follow(False)", "no", "Do not follow the runs of this folder", show=False),
    key(
        "follow_later",
        "escape",
        "answer_follow(None)",
        "later",
        "Ask again at the next start",
        show=False,
        shown_as="esc",
    ),
]

SESSIONS: list[Binding] = [
    key("open", "enter", "select_cursor", "open", "Open the session under the cursor", shown_as="enter"),
    key(
        "unfold",
        "right",
        "screen.unfold",
        "unfold",
        "Show the runs that this run started, such as subagents",
        show=False,
    ),
    key(
        "fold", "left", "screen.fold", "fold", "Hide the runs that this run started, or go to the one above", show=False
    ),
    key(
        "mark",
        "space",
        "screen.mark",
        "mark",
        "Mark this run to compare it with another one",
        show=False,
        shown_as="space",
    ),
    key(
        "compare", "equals_sign", "screen.compare", "compare", "The marked runs side by side", show=False, shown_as="="
    ),
    key("first_page", "home", "screen.first_page", "first page", "First page, then its first row", show=False),
    key("last_page", "end", "screen.last_page", "last page", "Last page, then its last row", show=False),
]

TABLE: list[Binding] = [
    key("open", "enter", "select_cursor", "open", "Open what is under the cursor", show=False, shown_as="enter"),
    key("down", "j,down", "cursor_down", "down", "Next row", show=False),
    key("up", "k,up", "cursor_up", "up", "Previous row", show=False),
    key("top", "g,home", "top", "top", "First row", show=False),
    key("bottom", "G,end", "bottom", "bottom", "Last row", show=False, shown_as="G"),
    key("half_down", "ctrl+d", "half_page(1)", "half page down", "Half a page down", show=False),
    key("half_up", "ctrl+u", "half_page(-1)", "half page up", "Half a page up", show=False),
    key("screen_down", "pagedown", "turn(1)", "screenful down", "A screenful down", show=False),
    key("screen_up", "pageup", "turn(-1)", "screenful up", "A screenful up", show=False),
]

OPENING: list[Binding] = [
    key("open", "enter", "select_cursor", "open", "Open what is under the cursor", shown_as="enter"),
]

OPENING_RUN: list[Binding] = [
    key("open", "enter", "select_cursor", "run", "Open the run that this is about, at the place", shown_as="enter"),
]

SEARCH: list[Binding] = [
    key("search_done", "down", "close", "to the list", "Keep the search and go to the list", shown_as="↓"),
]

QUERY: list[Binding] = [
    key("complete", "tab", "complete", "take", "Take the marked proposal; right does too", shown_as="tab"),
    key("search_done", "down", "down", "to the list", "The next proposal, or to the list", shown_as="↓"),
    key("previous_proposal", "up", "up", "proposal above", "The proposal above", show=False, shown_as="↑"),
    key("save_query", "ctrl+s", "save", "save query", "Save this query under a name"),
    key("remove_query", "ctrl+r", "remove", "remove query", "Remove the marked saved query"),
]

SAVE_QUERY: list[Binding] = [
    key("cancel", "escape", "dismiss", "back", "Back without saving", shown_as="esc"),
]

SCROLL: list[Binding] = [
    key("down", "j", "scroll_down", "down", "A line down", show=False),
    key("up", "k", "scroll_up", "up", "A line up", show=False),
    key("top", "g", "scroll_home", "top", "To the beginning", show=False),
    key("bottom", "G", "scroll_end", "bottom", "To the end", show=False, shown_as="G"),
    key("half_down", "ctrl+d", "half_page(1)", "half page down", "Half a page down", show=False),
    key("half_up", "ctrl+u", "half_page(-1)", "half page up", "Half a page up", show=False),
]

SIDEWAYS: list[Binding] = [
    key("left", "h", "scroll_left", "left", "To the left", show=False),
    key("right", "l", "scroll_right", "right", "To the right", show=False),
]

TREE: list[Binding] = [
    key("open", "enter", "select_cursor", "open", "Open an artifact, or fold and unfold", shown_as="enter"),
    key("down", "j", "cursor_down", "down", "Next node", show=False),
    key("up", "k", "cursor_up", "up", "Previous node", show=False),
    key("collapse", "h,left", "collapse", "collapse", "Collapse, or go to the parent", show=False),
    key("expand", "l,right", "expand", "expand", "Expand, or go to the first child", show=False),
    key("top", "g", "scroll_home", "top", "First node", show=False),
    key("bottom", "G", "scroll_end", "bottom", "Last node", show=False, shown_as="G"),
    key("half_down", "ctrl+d", "half_page(1)", "half page down", "Half a page down", show=False),
    key("half_up", "ctrl+u", "half_page(-1)", "half page up", "Half a page up", show=False),
]

CONVERSATION: list[Binding] = [
    key("open", "enter", "open", "open", "Unfold a call or reasoning, or open the whole text", shown_as="enter"),
    key("down", "j,down", "move(1)", "down", "Next block", show=False),
    key("up", "k,up", "move(-1)", "up", "Previous block", show=False),
    key("top", "g,home", "top", "top", "To the beginning", show=False),
    key("bottom", "G,end", "bottom", "bottom", "To the end", show=False, shown_as="G"),
    key("half_down", "ctrl+d", "half_page(1)", "half page down", "Half a page down", show=False),
    key("half_up", "ctrl+u", "half_page(-1)", "half page up", "Half a page up", show=False),
    key("screen_down", "pagedown,space", "turn(1)", "screenful down", "A screenful down", show=False),
    key("screen_up", "pageup", "turn(-1)", "screenful up", "A screenful up", show=False),
]

CLOSE = key("close", "escape,backspace", "dismiss", "back", "Back to the screen before", shown_as="esc")

COPY: list[Binding] = [
    key("copy", "y", "copy", "copy", "Copy the text under the cursor, and nothing else"),
    key("copy_id", "Y", "copy_id", "copy id", "Copy its id", show=False, shown_as="Y"),
]

SESSION: list[Binding] = [
    CLOSE,
    key("previous_session", "left_square_bracket", "step(-1)", "session", "Previous session of the list", shown_as="["),
    key("next_session", "right_square_bracket", "step(1)", "session", "Next session of the list", shown_as="]"),
    key("view", "v", "turn_view", "view", "The run as a conversation, or as a tree"),
    key("next_failure", "e", "failure(1)", "failure", "Next failed call"),
    key("previous_failure", "E", "failure(-1)", "failure", "Previous failed call", shown_as="E"),
    key("search", "slash", "search", "find", "Find in this run", shown_as="/"),
    key("next_match", "n", "match(1)", "next", "Next match"),
    key("previous_match", "N", "match(-1)", "previous match", "Previous match", show=False, shown_as="N"),
    key("follow", "f", "follow", "follow", "Go to the end of a running session and stay there"),
    key("files", "F", "files", "files", "The files that this run changed", shown_as="F"),
    key("parent", "u", "parent", "parent", "The run that started this one"),
    key("child", "d", "child", "child run", "The run that this call, or this run, started, such as a subagent"),
    key("editor", "o", "edit", "edit", "Open the file under the cursor in $EDITOR"),
    key("resume", "c", "resume", "resume", "The command that resumes the run in its agent: copied, or run here"),
    key("timeline", "1", "side('timeline')", "side", "The timeline of its states"),
    key("about", "2", "side('about')", "side", "The session's own fields"),
    key("artifacts", "3", "side('artifacts')", "side", "Every artifact of the run"),
    *COPY,
    key("export", "x", "export", "export", "Export this session as a report or as JSON"),
    key("unfold", "plus", "unfold", "unfold all", "Unfold every task and step, or all reasoning", shown_as="+"),
    key("fold", "minus", "fold", "fold all", "Fold every task, or what was unfolded", shown_as="-"),
    key("reload", "R", "app.reload", "read again", "Read this session again", show=False, shown_as="R"),
    key("next_pane", "tab", "app.focus_next", "next pane", "Go to the next pane", show=False),
]

VIEWER: list[Binding] = [
    CLOSE,
    key("search", "slash", "search", "find", "Find in this text", shown_as="/"),
    key("next_match", "n", "match(1)", "next", "Next match"),
    key("previous_match", "N", "match(-1)", "previous match", "Previous match", show=False, shown_as="N"),
    key("image", "i", "image", "image, bytes", "Show the image, or its bytes"),
    key("wrap", "w", "wrap", "wrap", "Wrap long lines, or scroll sideways"),
    key("numbers", "number_sign", "numbers", "numbers", "Show or hide line numbers", shown_as="#"),
    key("previous_page", "left_square_bracket", "part(-1)", "part", "Previous part of a long text", shown_as="["),
    key("next_page", "right_square_bracket", "part(1)", "part", "Next part of a long text", shown_as="]"),
    key("save", "s", "save", "save", "Save its bytes to a file"),
    key("copy", "y", "copy", "copy", "Copy the whole text, as it is shown"),
    key("copy_id", "Y", "copy_id", "copy id", "Copy its id", show=False, shown_as="Y"),
]

PAGES: list[Binding] = [
    key("previous_page", "left_square_bracket", "page(-1)", "page", "Previous page of a long list", shown_as="["),
    key("next_page", "right_square_bracket", "page(1)", "page", "Next page of a long list", shown_as="]"),
]

FILES: list[Binding] = [
    CLOSE,
    key("next_match", "n", "step(1)", "next", "Next file"),
    key("previous_match", "N", "step(-1)", "previous file", "Previous file", show=False, shown_as="N"),
    key("next_pane", "tab", "app.focus_next", "diff", "To the diff, and back to the list"),
    key("copy", "y", "copy", "copy", "Copy the path of the file"),
]

COMPARISON: list[Binding] = [
    CLOSE,
    key("open", "enter", "open_run", "open", "Open the chosen run where the two differ first", shown_as="enter"),
    key("side", "tab,h,l", "side", "other run", "Choose the other run", shown_as="tab"),
    key("reload", "R", "app.reload", "read again", "Read both runs again", show=False, shown_as="R"),
    key("copy", "y", "copy", "copy", "Copy the comparison"),
]

RETRIES: list[Binding] = [
    CLOSE,
    key("retry", "r", "retry", "retry", "Try this record again now"),
    key("retry_all", "R", "retry_all", "retry all", "Try every refused record again now", shown_as="R"),
    key("discard", "d", "discard", "discard", "Discard this dead letter without sending it"),
    *COPY,
    *PAGES,
]

CONFLICTS: list[Binding] = [
    CLOSE,
    key("reviewed", "v", "reviewed", "reviewed", "Mark this conflict as reviewed"),
    key("take_other", "o", "take_other", "take other", "Make the losing version win, by a new write"),
    key("only_new", "u", "only_new", "only new", "Show only conflicts that are not reviewed"),
    *COPY,
    *PAGES,
]

FIGURES: list[Binding] = [
    CLOSE,
    key("by", "b", "by(1)", "by", "Sum by day, model, agent, project or tool"),
    key("by_back", "B", "by(-1)", "by", "Sum by the one before", show=False, shown_as="B"),
    key("span", "s", "span(1)", "days", "The last 7, 30 or 90 days, or all"),
    key("span_back", "S", "span(-1)", "days", "The span before", show=False, shown_as="S"),
    key("measure", "m", "measure", "plot", "Plot cost, tokens, runs or failed calls first"),
    key("reload", "R", "app.reload", "add up again", "Add the figures up again", show=False, shown_as="R"),
    key("copy", "y", "copy", "copy", "Copy the command that prints these figures"),
]

RESTORE: list[Binding] = [
    key("restore", "r", "restore", "restore…", "The backups, to look at or to restore"),
]

RESTORING: list[Binding] = [
    key("open", "enter", "select_cursor", "restore", "Restore this backup, after a question", shown_as="enter"),
]

BACKUPS: list[Binding] = [
    CLOSE,
    key("verify", "v", "verify", "verify", "Check this backup: manifest, size, hash and integrity"),
    key("copy", "y", "copy", "copy", "Copy the command that restores it"),
]

HEALTH: list[Binding] = [
    CLOSE,
    key("reload", "R", "app.reload", "check again", "Run every check again now", shown_as="R"),
    key("copy", "y", "copy", "copy", "Copy the suggested command, or the finding"),
]

SETTINGS: list[Binding] = [
    key("edit", "e", "edit", "change", "Change the setting under the cursor", shown_as="enter e"),
    key(
        "close",
        "escape,backspace",
        "leave",
        "back",
        "Close the input, then the search, then the screen",
        shown_as="esc",
    ),
    key("search", "slash", "search", "search", "Search keys, values and descriptions", shown_as="/"),
    key("unset", "d", "unset", "unset", "Remove the setting from the file", show=False),
    key("place", "u", "scope", "whose file", "Write to this workspace's file, or to your own for all workspaces"),
    key("copy", "y", "copy", "copy", "Copy the setting and its value"),
]

LOG: list[Binding] = [
    key("close", "escape,backspace", "leave", "back", "Clear the filter, then go back", shown_as="esc"),
    key("level", "f", "level", "level", "Show only this level and above"),
    key("search", "slash", "search", "filter", "Show only lines that hold a text", shown_as="/"),
    key("follow", "space", "follow", "follow", "Follow new lines, or stop following"),
    key("copy", "y", "copy", "copy", "Copy the lines that are shown"),
]

CONFIRM: list[Binding] = [
    key("yes", "y", "answer(True)", "yes", "Yes"),
    key("no", "n,escape", "answer(False)", "no", "No"),
]

TRUST: list[Binding] = [
    key("cancel", "escape", "answer(False)", "not now", "Leave the settings out; the header says so", shown_as="esc"),
    key("next_pane", "tab,left,right", "app.focus_next", "other answer", "Go to the other answer", show=False),
    key("down", "j,down", "scroll(1)", "down", "A line down", show=False),
    key("up", "k,up", "scroll(-1)", "up", "A line up", show=False),
]

CHIPS: list[Binding] = [
    key("chip_toggle", "space", "switch", "on/off", "Show or hide sessions in this state", shown_as="space"),
    key("all", "a", "all", "all", "Show every state"),
    key("chip_left", "left,h", "move(-1)", "left", "The state to the left", show=False),
    key("chip_right", "right,l", "move(1)", "right", "The state to the right", show=False),
    key("search_done", "enter,down,j,f,escape", "close", "to the list", "Go back to the list", shown_as="esc"),
]

RESUME: list[Binding] = [
    key("resume_yes", "enter", "answer(True)", "run it here", "Leave the terminal to the agent", shown_as="enter"),
    key("resume_no", "escape", "answer(False)", "back", "Back; the command is on the clipboard", shown_as="esc"),
]

HELP: list[Binding] = [key("close", "escape,question_mark,q", "dismiss", "back", "Back", shown_as="esc")]

JOB: list[Binding] = [
    key("confirm", "enter", "begin", "begin", "Start", shown_as="enter"),
    key("cancel", "escape", "dismiss", "back", "Back; a running job continues", shown_as="esc"),
]

FORMS: list[Binding] = [
    key("next_form", "down", "form(1)", "form", "Next format", show=False),
    key("previous_form", "up", "form(-1)", "form", "Previous format", show=False),
]

RESULT: list[Binding] = [
    key("copy", "y", "copy", "copy", "Copy the path of the file, or the command that restores it"),
]

STOPPABLE: list[Binding] = [
    key("stop", "escape,ctrl+c", "stop", "stop", "Stop the job; it leaves no file", shown_as="esc"),
]

IMPORT: list[Binding] = [
    key("import_all", "enter", "begin", "import", "Read the new and grown files into this workspace", shown_as="enter"),
    key("cancel", "escape", "leave", "back", "Stop after the files being read, or go back", shown_as="esc"),
]

PRIORITY: tuple[str, ...] = (
    *(
        "yes",
        "no",
        "resume_yes",
        "resume_no",
        "confirm",
        "import_all",
        "open",
        "open_pane",
        "chip_toggle",
        "search_done",
        "all",
    ),
    *("close", "cancel", "stop", "help", "edit", "retry", "discard", "reviewed", "take_other"),
    *("compare", "mark", "side"),
    *("view", "next_failure", "previous_failure", "by", "span", "measure"),
    *("search", "next_match", "network", "import", "previous_page", "previous_session", "filter", "level", "follow"),
    *("wrap", "sync", "quit", "retry_all", "save", "copy", "numbers", "artifacts", "retries", "conflicts"),
    *("pause", "migrate", "trust", "log", "figures", "health", "backup", "source"),
)
"""Ids in the order in which they get room in the footer; all others come last."""


def bindings(*tables: Iterable[Binding]) -> list[Binding]:
    """The bindings of several tables."""
    return [binding for table in tables for binding in table]


def key_commands(app: App[Any], screen: Screen[Any], only: frozenset[str] | None = None) -> Iterator[SystemCommand]:
    """The enabled bindings of a screen, one command for each id; a command does what its key does.

    Keys with the same description, such as those of the pages, have their tooltip as the name of the command.
    """
    found: dict[str | None, tuple[DOMNode, Binding, str]] = {}
    for node, binding, enabled, tooltip in screen.active_bindings.values():
        wanted = binding.id and (only is None or binding.id in only)
        if enabled and wanted and tooltip and not binding.system:
            found.setdefault(binding.id, (node, binding, tooltip))
    called = Counter(binding.description for _, binding, _ in found.values())
    for node, binding, tooltip in found.values():
        title = binding.description.capitalize() if called[binding.description] == 1 else tooltip
        yield SystemCommand(title, f"{app.get_key_display(binding)}  {tooltip}", _pressing(app, node, binding))


EVERYWHERE = frozenset(
    {
        *("sync", "migrate", "pause", "retries", "conflicts", "log", "health", "import", "backup", "settings"),
        *("source", "trust"),
    }
)
"""Ids of the main screen's keys that are commands on every screen."""


def commands(app: App[Any], screen: Screen[Any]) -> Iterator[SystemCommand]:
    """The keys of a screen as commands, then those of the main screen that work on every screen."""
    titles: set[str] = set()
    for command in key_commands(app, screen):
        titles.add(command.title)
        yield command
    first = app.screen_stack[0]
    if first is not screen:
        yield from (each for each in key_commands(app, first, only=EVERYWHERE) if each.title not in titles)


def _pressing(app: App[Any], node: DOMNode, binding: Binding) -> Callable[[], Coroutine[Any, Any, bool]]:
    async def press() -> bool:
        return await app.run_action(binding.action, node)

    return press
