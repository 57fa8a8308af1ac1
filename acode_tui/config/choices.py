"""Names that settings may hold and that other parts define: transcript formats, themes, ids of keys, log levels.

Settings are checked without importing those parts. Tests there hold each list against what they offer.
"""

FORMATS = ("claude-code", "codex")
"""Transcript formats that can be read."""

LOG_LEVELS = ("debug", "info", "warning", "error")
"""What ``ACODE_LOG_LEVEL`` may hold, in any case."""

THEMES = (
    *("acode-night", "acode-day", "textual-dark", "textual-light", "nord", "gruvbox", "catppuccin-mocha"),
    *("dracula", "tokyo-night", "monokai", "flexoki", "catppuccin-latte", "catppuccin-frappe"),
    *("catppuccin-macchiato", "solarized-light", "solarized-dark", "rose-pine", "rose-pine-moon"),
    *("rose-pine-dawn", "atom-one-dark", "atom-one-light", "ansi-dark", "ansi-light"),
)
"""The dashboard's own themes and the library's."""

KEY_IDS = (
    *("about", "all", "artifacts", "back", "backup", "bottom", "cancel", "chip_left", "chip_right"),
    *("chip_toggle", "close", "collapse", "confirm", "conflicts", "copy", "copy_id", "discard", "down"),
    *("edit", "expand", "export", "filter", "first_page", "fold", "follow", "group", "half_down"),
    *("half_up", "health", "help", "import", "import_all", "jump", "last_page", "left", "level", "log"),
    *("migrate", "mouse", "network", "next_form", "next_match", "next_page", "next_pane", "next_session"),
    *("no", "numbers", "only_new", "open", "open_pane", "panes", "pause", "place", "previous_form"),
    *("previous_match", "previous_page", "previous_session", "quit", "reload", "retries", "retry"),
    *("retry_all", "reviewed", "right", "save", "screen_down", "screen_up", "search", "search_done"),
    *("settings", "sort", "source", "stop", "sync", "take_other", "theme", "timeline", "top", "unfold"),
    *("unset", "up", "wrap", "yes"),
)
"""What ``tui.keymap`` can give other keys."""
