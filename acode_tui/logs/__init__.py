"""The program's log: JSON lines, secrets redacted, values never in it.

Until ``configure`` is called nothing is written anywhere, so that a program which merely uses the Python API has
nothing added to its output. A call below the level costs one comparison; structlog is imported with the first line
that is written.
"""

from acode_tui.logs.log import LEVELS, LOG_FILE, Log, add_secrets, configure, enabled, get_logger, shut_down

__all__ = ["LEVELS", "LOG_FILE", "Log", "add_secrets", "configure", "enabled", "get_logger", "shut_down"]
