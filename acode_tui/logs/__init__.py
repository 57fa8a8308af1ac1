"""The program's log: JSON lines without stored values, secrets redacted.

Nothing is written until ``configure`` is called, so a program that uses the Python API gets no additional output. A
call below the level costs one comparison; structlog is imported with the first line that is written.
"""

from acode_tui.logs.log import (
    LEVELS,
    LOG_FILE,
    Log,
    add_secrets,
    configure,
    enabled,
    get_logger,
    is_configured,
    known_secrets,
    shut_down,
)

__all__ = [
    "LEVELS",
    "LOG_FILE",
    "Log",
    "add_secrets",
    "configure",
    "enabled",
    "get_logger",
    "is_configured",
    "known_secrets",
    "shut_down",
]
