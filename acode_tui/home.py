"""The user's folders, also of a user without a home: in a container a uid that has no entry, without HOME."""

from pathlib import Path

NO_HOME = Path("/")
"""What containers use as the home of such a user. Nothing of this program's is there, and a write there is refused."""


def home() -> Path:
    """The home folder. Never raises."""
    try:
        return Path.home()
    except (RuntimeError, KeyError):
        return NO_HOME


def config_folder() -> Path:
    """The program's folder in the platform's folder for configuration. Never raises."""
    import platformdirs

    try:
        return platformdirs.user_config_path("acode-tui")
    except (RuntimeError, KeyError):
        return NO_HOME / ".config" / "acode-tui"


def state_folder() -> Path:
    """The program's folder in the platform's folder for state. Never raises."""
    import platformdirs

    try:
        return platformdirs.user_state_path("acode-tui")
    except (RuntimeError, KeyError):
        return NO_HOME / ".local" / "state" / "acode-tui"


def cache_folder() -> Path:
    """The program's folder in the platform's folder for what can be made again. Never raises."""
    import platformdirs

    try:
        return platformdirs.user_cache_path("acode-tui")
    except (RuntimeError, KeyError):
        return NO_HOME / ".cache" / "acode-tui"
