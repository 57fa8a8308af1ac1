"""Starting other programs from a folder that may be a stranger's: nothing of that folder is imported or run.

Python puts the current folder first on the module path for ``-m`` and ``-c``, and an empty or relative entry of
``PATH`` or ``PYTHONPATH`` names the current folder too. A ``click.py`` or a ``git`` there would run as this user.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

_BOOTSTRAP = (
    "import sys; count = int(sys.argv[1]); sys.path[:] = sys.argv[2 : 2 + count];"
    " sys.argv[:] = ['acode-tui', *sys.argv[2 + count :]]; "
)


def python_command(code: str, *arguments: str) -> list[str]:
    """The command that runs ``code`` in this interpreter; ``arguments`` are its ``sys.argv[1:]``.

    The process finds modules where this one does, but for the current folder. Start it with ``environment()``.
    """
    path = module_path()
    return [sys.executable, "-P", "-c", _BOOTSTRAP + code, str(len(path)), *path, *arguments]


def module_path() -> list[str]:
    """``sys.path`` without the current folder, unless this package itself lies there, as in a checkout of it."""
    package = Path(__file__).resolve().parent.parent
    return [entry for entry in sys.path if _is_elsewhere(entry) or (entry and _same_folder(entry, package))]


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for a Python process: its ``PYTHONPATH`` keeps the absolute folders but the current one."""
    kept = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if _is_elsewhere(entry)]
    result = {**environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(kept)}
    if not kept:
        del result["PYTHONPATH"]
    return result


def find_program(name: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """The absolute path of a program on ``PATH``; its relative entries and the current folder are passed over."""
    for entry in environ.get("PATH", os.defpath).split(os.pathsep):
        candidate = os.path.join(entry, name)
        if _is_elsewhere(entry) and os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate
    return None


def _is_elsewhere(entry: str) -> bool:
    return os.path.isabs(entry) and not _same_folder(entry, os.curdir)


def _same_folder(entry: str, folder: str | Path) -> bool:
    try:
        return os.path.samefile(entry, folder)
    except OSError:
        return False
