"""Which settings of a workspace's file need this user's approval. Pure.

A file in a cloned repository is written by a stranger. A setting that chooses where runs are sent, which secret is
sent, what is executed, or which path is read or written counts only after this user has approved the file.
"""

from typing import Any

FREE = frozenset(
    {
        *(
            "persistence.sqlite.timeout_seconds",
            "persistence.postgres.pool_size",
            "persistence.postgres.statement_cache",
        ),
        *("persistence.postgres.connect_timeout_seconds", "persistence.postgres.command_timeout_seconds"),
        *("persistence.sync.enabled", "persistence.sync.interval_seconds", "persistence.sync.max_batch_size"),
        *("persistence.sync.max_retry_attempts", "persistence.sync.initial_backoff_seconds"),
        *("persistence.sync.max_backoff_seconds", "persistence.sync.jitter", "persistence.sync.retention_days"),
        *("identity.user", "backup.max_backups", "export.patterns", "ingest.formats"),
        *("migrations.auto_migrate", "migrations.backup_before_migrate", "migrations.lock_timeout_seconds"),
        *("limits.max_artifact_bytes", "limits.max_metadata_bytes"),
        *("health.check_timeout_seconds", "health.database_slow_ms", "health.queue_degraded", "health.queue_unhealthy"),
        *("health.queue_stalled_seconds", "health.dead_letters_degraded", "health.conflicts_degraded"),
        *("health.storage_degraded_percent", "health.storage_degraded_bytes", "health.storage_unhealthy_percent"),
        *("health.clock_offset_seconds", "tui.theme", "tui.refresh_seconds", "tui.page_size", "tui.keymap"),
        *("tui.bell", "tui.colors", "tui.images"),
    }
)
"""Settings that any file may set. Every other one needs approval, so a new setting does until it is listed here."""

_KEEPS_DATA_HERE = {
    "persistence.postgres.enabled": False,
    "persistence.sync.redact": True,
    "export.redact": True,
}
"""Values that send less than without them. They count from any file, without approval."""


def needs_trust(name: str) -> bool:
    """Whether the setting of that dotted name counts from a workspace's file only after approval."""
    return name not in FREE


def asks(name: str, value: Any) -> bool:
    """Whether this value of the setting needs approval."""
    return needs_trust(name) and not (name in _KEEPS_DATA_HERE and value is _KEEPS_DATA_HERE[name])
