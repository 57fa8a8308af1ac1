"""The settings: TOML key, type, range, default and meaning of each, defined once.

Loading, ``config show|get|set|init`` and ``docs/configuration.md`` derive from these structs. Attribute names are the
TOML keys. This module reads neither files nor the environment; it only follows a link, see ``SqliteSettings``.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, field

from acode_tui import plugins
from acode_tui.domain.validation import MAX_ARTIFACT_BYTES, MAX_METADATA_BYTES, Limits

FORMATS = ("claude-code", "codex", "copilot", "gemini", "opencode", "openhands", "pi", "atif", "swe-agent", "otlp")
"""Transcript formats that can be imported."""

THEMES = (
    *("acode-night", "acode-day", "textual-dark", "textual-light", "nord", "gruvbox", "catppuccin-mocha"),
    *("dracula", "tokyo-night", "monokai", "flexoki", "catppuccin-latte", "catppuccin-frappe"),
    *("catppuccin-macchiato", "solarized-light", "solarized-dark", "rose-pine", "rose-pine-moon"),
    *("rose-pine-dawn", "atom-one-dark", "atom-one-light", "ansi-dark", "ansi-light"),
)
"""Themes of the dashboard and of Textual."""

KEY_IDS = (
    *("about", "all", "artifacts", "back", "backup", "bottom", "cancel", "child", "chip_left", "chip_right"),
    *("chip_toggle", "close", "collapse", "compare", "complete", "confirm", "conflicts", "copy", "copy_id", "discard"),
    *("down", "edit", "editor", "expand", "export", "files", "filter", "first_page", "fold", "follow", "follow_later"),
    *("follow_no", "follow_runs", "follow_yes", "group", "half_down"),
    *("half_up", "health", "help", "import", "import_all", "jump", "last_page", "left", "level", "log"),
    *(
        "migrate",
        "mouse",
        "network",
        "next_failure",
        "next_form",
        "next_match",
        "next_page",
        "next_pane",
        "next_session",
    ),
    *("no", "numbers", "only_new", "open", "open_pane", "panes", "parent", "pause", "place", "previous_form"),
    *("mark", "previous_proposal", "remove_query", "restore", "save_query", "side", "verify"),
    *("previous_failure", "previous_match", "previous_page", "previous_session", "quit", "reload", "retries", "retry"),
    *(
        "resume",
        "resume_no",
        "resume_yes",
        "retry_all",
        "reviewed",
        "right",
        "save",
        "screen_down",
        "screen_up",
        "search",
        "search_done",
    ),
    "image",
    *("settings", "sort", "source", "stop", "sync", "take_other", "theme", "timeline", "top", "unfold"),
    *("trust", "unset", "up", "view", "wrap", "yes", "figures", "by", "by_back", "span", "span_back", "measure"),
)
"""Ids of the bindings that ``tui.keymap`` can assign to other keys."""


SCHEMA_PATTERN = r"^(?!pg_)(?!information_schema\Z)[A-Za-z_][A-Za-z0-9_]{0,62}\Z"
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*\Z"
_HOST = r"^(/[^\s@]*|[A-Za-z0-9._:%-]+)\Z"
_NAME = r"^[^\x00-\x1f\x7f]+\Z"

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

_VariableName = Annotated[
    str, Meta(pattern=_VARIABLE, extra={"allowed": "the name of an environment variable", "confidential": True})
]
_HostName = Annotated[
    str, Meta(pattern=_HOST, extra={"allowed": "a host name, an address or a socket directory", "confidential": True})
]
_ReadUrl = Annotated[
    str,
    Meta(
        pattern=r"^postgres(ql)?://[^\s\x00-\x1f\x7f]+\Z",
        max_length=2048,
        extra={"allowed": "a postgresql:// URL, in a file without a password", "confidential": True},
    ),
]
_Command = Annotated[
    str, Meta(pattern=_NAME, max_length=4096, extra={"allowed": "a program and its arguments", "confidential": True})
]
_Name = Annotated[str, Meta(pattern=_NAME, max_length=63, extra={"allowed": "a name of 1 to 63 characters"})]
_FilePath = Annotated[str, Meta(pattern=_NAME, max_length=4096, extra={"allowed": "a path", "path": True})]


class SqliteSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The workspace's own database."""

    path: Annotated[_FilePath, Meta(description="The database file; a relative path starts at the workspace.")] = (
        ".agent/workspace.db"
    )
    timeout_seconds: Annotated[
        float,
        Meta(ge=0.1, le=3600, description="How long a write waits for a lock, and how long it may take, in seconds."),
    ] = 30.0

    def resolve(self, root: Path) -> Path:
        """The database file of the workspace at ``root``.

        A link outside the workspace's folder is the user's own, and means its target: SQLite creates the WAL beside
        that, so the lock and the other files beside a database belong there too, and a restore replaces the target, not
        the link. A link inside the folder may be a stranger's: it is not followed, and opening the database refuses it.
        """
        path = Path(os.path.normpath(resolve_path(root, self.path)))
        if path.is_relative_to(root) or not os.path.islink(path):
            return path
        return Path(os.path.realpath(path))


class PostgresSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The team's database. No password is a setting: see ``docs/configuration.md`` for where they come from."""

    enabled: Annotated[bool, Meta(description="Whether the outbox drains into PostgreSQL.")] = False
    connection_string_env: Annotated[
        _VariableName, Meta(description="The environment variable that holds the connection URL.")
    ] = "ACODE_POSTGRES_URL"
    host: Annotated[
        _HostName | None, Meta(description="Server, instead of a URL: a host name, an address or a socket directory.")
    ] = None
    port: Annotated[int, Meta(ge=1, le=65535, description="Port, when `host` is given.")] = 5432
    database: Annotated[_Name | None, Meta(description="Database, when `host` is given.")] = None
    username: Annotated[_Name | None, Meta(description="Role, when `host` is given.")] = None
    password_env: Annotated[
        _VariableName | None,
        Meta(description="The environment variable that holds the password, when `host` is given."),
    ] = None
    password_command: Annotated[
        _Command | None,
        Meta(
            description="A program that prints the password on its first line, run without a shell, where no variable "
            "has the password."
        ),
    ] = None
    read_url: Annotated[
        _ReadUrl | None,
        Meta(
            description="A replica that lists, searches and figures of the team's runs are read from. What it leaves "
            "out is as in the address of the primary.",
            extra={"default": "the primary"},
        ),
    ] = None
    pool_size: Annotated[int, Meta(ge=1, le=1000, description="Most connections that reads may use at once.")] = 10
    schema: Annotated[
        str,
        Meta(
            pattern=SCHEMA_PATTERN,
            description="The schema that holds the tables.",
            extra={"allowed": "letters, digits and _, at most 63, not beginning with a digit or pg_"},
        ),
    ] = "public"
    sslmode: Annotated[
        SslMode | None,
        Meta(
            description="TLS policy, as libpq names it. Weaker than `verify-full` only if it is named.",
            extra={"default": "`verify-full`; loopback and sockets: `prefer`"},
        ),
    ] = None
    auto_migrate: Annotated[bool, Meta(description="Whether a pending PostgreSQL migration is applied by itself.")] = (
        True
    )
    distribute: Annotated[bool, Meta(description="Whether tables are distributed by session where Citus is there.")] = (
        False
    )
    connect_timeout_seconds: Annotated[float, Meta(ge=0.1, le=600, description="Deadline of a connection attempt.")] = (
        10.0
    )
    command_timeout_seconds: Annotated[float, Meta(ge=0.1, le=3600, description="Deadline of a statement.")] = 60.0
    statement_cache: Annotated[
        Annotated[int, Meta(ge=0, le=10000, extra={"allowed": "a whole number from 0 to 10000"})] | None,
        Meta(
            description="Statements that a connection keeps prepared. 0: the address is a pooler in transaction mode, "
            "which is noticed as a rule.",
            extra={"default": "100; 0 behind a pooler"},
        ),
    ] = None


class SyncSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the outbox is drained."""

    enabled: Annotated[bool, Meta(description="Whether the worker runs by itself.")] = True
    interval_seconds: Annotated[float, Meta(ge=0.1, le=86400, description="Longest pause between two rounds.")] = 30.0
    max_batch_size: Annotated[
        int,
        Meta(
            ge=1,
            le=10000,
            description="Most records in a batch: 500 where the server is near by, more with the round trip.",
        ),
    ] = 5000
    max_retry_attempts: Annotated[
        int, Meta(ge=1, le=100, description="Refusals of one record before it becomes a dead letter.")
    ] = 10
    initial_backoff_seconds: Annotated[
        float, Meta(ge=0.01, le=3600, description="Wait after the first refusal; it doubles with each.")
    ] = 5.0
    max_backoff_seconds: Annotated[float, Meta(ge=0.01, le=86400, description="Longest wait between attempts.")] = (
        3600.0
    )
    jitter: Annotated[float, Meta(ge=0, le=0.3, description="Random share added to a wait, from 0 to 0.3.")] = 0.2
    retention_days: Annotated[
        float, Meta(ge=0, le=3650, description="Days that delivered outbox records are kept.")
    ] = 7.0
    redact: Annotated[
        bool, Meta(description="Whether what goes to the team has known shapes of secrets hidden, as exports have.")
    ] = True


class PersistenceSettings(msgspec.Struct, frozen=True, kw_only=True):
    sqlite: SqliteSettings = field(default_factory=SqliteSettings)
    postgres: PostgresSettings = field(default_factory=PostgresSettings)
    sync: SyncSettings = field(default_factory=SyncSettings)


class IdentitySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who records."""

    user: Annotated[
        Annotated[str, Meta(pattern=_NAME, max_length=320, extra={"allowed": "1 to 320 characters"})] | None,
        Meta(
            description="The user that new sessions belong to.",
            extra={"default": "git's `user.email`, else the operating system's user"},
        ),
    ] = None


class MigrationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the workspace's schema is brought up to date."""

    auto_migrate: Annotated[bool, Meta(description="Whether opening a workspace applies pending migrations.")] = True
    backup_before_migrate: Annotated[bool, Meta(description="Whether a backup is made before the first one.")] = True
    lock_timeout_seconds: Annotated[
        float, Meta(ge=0, le=3600, description="How long to wait for another program's migration.")
    ] = 60.0


class BackupSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Copies of the workspace's database."""

    directory: Annotated[_FilePath, Meta(description="Where backups go; a relative path starts at the workspace.")] = (
        ".agent/backups"
    )
    max_backups: Annotated[int, Meta(ge=1, le=10000, description="How many are kept.")] = 7


class ExportSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What leaves the workspace as a file."""

    redact: Annotated[bool, Meta(description="Whether exports have known shapes of secrets hidden.")] = True
    patterns: Annotated[
        tuple[Annotated[str, Meta(extra={"allowed": "a regular expression", "regex": True})], ...],
        Meta(description="Further regular expressions whose matches exports hide; each has 5 s for one value."),
    ] = ()


class LimitSettings(Limits, frozen=True, kw_only=True):
    """Sizes that the boundary enforces, in bytes."""

    max_artifact_bytes: Annotated[
        int, Meta(ge=1024, le=512 * 1024 * 1024, description="Largest content of one artifact.")
    ] = MAX_ARTIFACT_BYTES
    max_metadata_bytes: Annotated[
        int, Meta(ge=256, le=16 * 1024 * 1024, description="Largest metadata of one entity, as JSON.")
    ] = MAX_METADATA_BYTES


class HealthSettings(msgspec.Struct, frozen=True, kw_only=True):
    """From where on a health check stops answering healthy."""

    check_timeout_seconds: Annotated[
        float, Meta(ge=0.1, le=300, description="A check that takes longer counts as unhealthy.")
    ] = 5.0
    database_slow_ms: Annotated[float, Meta(ge=1, le=60000, description="A slower database is degraded.")] = 50.0
    queue_degraded: Annotated[int, Meta(ge=1, description="Pending records from which the queue is degraded.")] = 5000
    queue_unhealthy: Annotated[int, Meta(ge=1, description="Pending records from which it is unhealthy.")] = 10000
    queue_stalled_seconds: Annotated[
        float, Meta(ge=1, le=86400, description="Online without a delivered record for so long is unhealthy.")
    ] = 600.0
    dead_letters_degraded: Annotated[int, Meta(ge=1, description="Dead letters from which health is degraded.")] = 1
    conflicts_degraded: Annotated[int, Meta(ge=1, description="Unreviewed conflicts from which it is degraded.")] = 1
    storage_degraded_percent: Annotated[
        float, Meta(ge=0, le=100, description="Free disk space, in percent, at which storage is degraded.")
    ] = 15.0
    storage_degraded_bytes: Annotated[int, Meta(ge=0, description="Free bytes below which storage is degraded.")] = (
        100_000_000
    )
    storage_unhealthy_percent: Annotated[
        float, Meta(ge=0, le=100, description="Free disk space, in percent, below which it is unhealthy.")
    ] = 5.0
    clock_offset_seconds: Annotated[
        float, Meta(ge=0.01, le=3600, description="Clock difference to PostgreSQL from which it is degraded.")
    ] = 2.0


class TuiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The dashboard."""

    theme: Annotated[
        str | None,
        Meta(description="Colour theme.", extra={"default": "the dashboard's own", "choices": THEMES}),
    ] = None
    colors: Annotated[
        Literal["auto", "truecolor", "256", "16", "mono"],
        Meta(description="Colours of the terminal, from the next start on; auto: what the terminal says."),
    ] = "auto"
    images: Annotated[
        Literal["auto", "sixel", "kitty", "blocks", "off"],
        Meta(description="How images are drawn (extra `images`), from the next start on; auto: what the terminal can."),
    ] = "auto"
    refresh_seconds: Annotated[
        float, Meta(ge=0.1, le=60, description="How often it looks for other programs' writes.")
    ] = 0.5
    bell: Annotated[bool, Meta(description="Ring when a run waits for approval, fails or ends.")] = True
    desktop_notice: Annotated[
        Literal["off", "osc9", "osc777"],
        Meta(description="How the terminal is asked for a desktop notice then: OSC 9 or OSC 777."),
    ] = "off"
    page_size: Annotated[int, Meta(ge=5, le=200, description="Sessions on a page.")] = 50
    keymap: Annotated[
        dict[str, str],
        Meta(
            description='Keys by action, such as `sync = "f5"`.',
            extra={"allowed": "a table of strings, each named by the id of a key", "choices": KEY_IDS},
        ),
    ] = {}


class IngestSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Transcripts of other agents."""

    roots: Annotated[
        tuple[_FilePath, ...],
        Meta(description="Folders that `import --all` looks in.", extra={"default": "the known places of each agent"}),
    ] = ()
    formats: Annotated[
        tuple[Annotated[str, Meta(extra={"choices": FORMATS, "entry_points": plugins.FORMATS})], ...],
        Meta(description="Formats that are read.", extra={"default": "all"}),
    ] = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of one workspace."""

    persistence: PersistenceSettings = field(default_factory=PersistenceSettings)
    identity: IdentitySettings = field(default_factory=IdentitySettings)
    migrations: MigrationSettings = field(default_factory=MigrationSettings)
    backup: BackupSettings = field(default_factory=BackupSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    tui: TuiSettings = field(default_factory=TuiSettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    withheld: tuple[str, ...] = ()
    """The settings of the workspace's file that do not count before this user has approved it. Not a setting itself."""


def resolve_path(root: Path, text: str) -> Path:
    """A configured path: ``~`` is the home directory, a relative path starts at the workspace."""
    return root / Path(text).expanduser()
