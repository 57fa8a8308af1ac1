"""Settings: TOML and environment in, typed frozen values out. No driver, no terminal, nothing heavy to import."""

from acode_tui.config.identity import current_user
from acode_tui.config.load import (
    LoadedSettings,
    Origin,
    give_flags,
    load,
    load_settings,
    user_config_path,
    workspace_config_path,
)
from acode_tui.config.postgres_address import Misconfigured, PostgresTarget, holds_address, resolve_postgres
from acode_tui.config.settings import (
    BackupSettings,
    ExportSettings,
    HealthSettings,
    IdentitySettings,
    IngestSettings,
    LimitSettings,
    MigrationSettings,
    PersistenceSettings,
    PostgresSettings,
    Settings,
    SqliteSettings,
    SyncSettings,
    TuiSettings,
    resolve_path,
)
from acode_tui.config.watch import ConfigWatch

__all__ = [
    "BackupSettings",
    "ConfigWatch",
    "ExportSettings",
    "HealthSettings",
    "IdentitySettings",
    "IngestSettings",
    "LimitSettings",
    "LoadedSettings",
    "MigrationSettings",
    "Misconfigured",
    "Origin",
    "PersistenceSettings",
    "PostgresSettings",
    "PostgresTarget",
    "Settings",
    "SqliteSettings",
    "SyncSettings",
    "TuiSettings",
    "current_user",
    "give_flags",
    "holds_address",
    "load",
    "load_settings",
    "resolve_path",
    "resolve_postgres",
    "user_config_path",
    "workspace_config_path",
]
