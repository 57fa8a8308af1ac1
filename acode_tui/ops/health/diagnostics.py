"""A report for support requests: no names, paths, addresses or recorded texts; known shapes of secrets are hidden.

Each part is gathered on its own; one that fails says why. Works without a database, with a damaged one, and with a
configuration that is refused.
"""

import json
import os
import platform
import re
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import datetime
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from acode_tui.config import LoadedSettings, Origin, PostgresTarget, Settings, keys, load, resolve_postgres
from acode_tui.config.workspace_root import AGENT_DIR, git_email, os_user
from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.codec import to_plain
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.secrets.anonymize import Anonymizer
from acode_tui.domain.secrets.known import Secret
from acode_tui.home import home
from acode_tui.logs import LOG_FILE
from acode_tui.ops.health.report import run_in_daemon_thread
from acode_tui.ops.health.watch import HealthWatch
from acode_tui.plain_files import reading_plain
from acode_tui.storage.ports import DatabaseFiles

MOST = 50
TAIL_BYTES = 2 * 1024 * 1024
MOST_CHARS = 4_000
"""The most characters of one field; the end is kept, since it says more in a traceback."""

_LEVELS = ("warning", "error")


def read_recent_errors(agent_dir: Path, *, most: int = MOST) -> tuple[dict[str, Any], ...]:
    """The newest ``most`` warnings and errors of the log, newest first; other lines are left out. Never raises."""
    log = agent_dir / LOG_FILE
    return tuple(islice(_warnings(_lines((log, log.with_name(log.name + ".1")))), most))


def _warnings(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and found.get("level") in _LEVELS:
            fields = ((name, value) for name, value in found.items() if name.isidentifier() and name != "pid")
            yield {name[:40]: _bounded(value) for name, value in islice(fields, 30)}


def _lines(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        try:
            with reading_plain(path) as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - TAIL_BYTES))
                tail = file.read(TAIL_BYTES)
        except OSError:
            continue
        lines = tail.splitlines()
        yield from reversed(lines if size <= TAIL_BYTES else lines[1:])


def _bounded(value: Any) -> Any:
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= MOST_CHARS else "..." + text[-MOST_CHARS:]


HEALTH_SECONDS = 2.5
"""The most seconds of a health check here, so that the whole report takes less than five."""

_READ_SECONDS = 1.0

LIBRARIES = (
    "textual",
    "rich",
    "aiosqlite",
    "asyncpg",
    "click",
    "msgspec",
    "structlog",
    "uuid-utils",
    "watchfiles",
    "prometheus-client",
)
_VERSIONS = ("acodeTui", "python", "sqlite", "libc", "libraries")
_SECRET_NAME = re.compile(r"(?i)pass|pwd|secret|token|credential|api_?key|private_?key")
_PLAIN_WORDS = frozenset(
    {
        "db",
        "localhost",
        "postgres",
        "postgresql",
        "public",
        "sync",
        "status",
        "main",
        "acode",
        "sqlite",
        "server",
        "error",
    }
)
"""Words that this program prints itself: a server of such a name is not revealed by them."""


class Diagnostics(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The report, safe to publish. A part that could not be gathered is an object with ``error``."""

    created_at: datetime
    program: dict[str, Any]
    file: dict[str, Any]
    configuration: dict[str, Any]
    health: dict[str, Any]
    schema: dict[str, Any]
    outbox: dict[str, Any]
    recent_errors: tuple[dict[str, Any], ...]


MakeWatch = Callable[[Settings], HealthWatch]


async def diagnose(
    files: DatabaseFiles,
    make_watch: MakeWatch,
    root: Path,
    *,
    environ: Mapping[str, str] = os.environ,
    wall: WallClock = system_clock,
) -> Diagnostics:
    """The report of the workspace at ``root``. Opens, makes and changes nothing; never raises for what it finds.

    ``make_watch`` makes the health checks of a workspace that nothing has opened.
    """
    loaded: LoadedSettings | None = None
    refused: dict[str, Any] = {}
    try:
        loaded = load(root, environ=environ)
    except AcodeError as error:
        refused = {"error": str(error)}
    settings = loaded.settings if loaded is not None else Settings()
    quick = msgspec.structs.replace(
        settings.health, check_timeout_seconds=min(HEALTH_SECONDS, settings.health.check_timeout_seconds)
    )
    examined = msgspec.structs.replace(settings, health=quick)
    report = to_plain(await make_watch(examined).report())
    schema = next(check["details"] for check in report["checks"] if check["name"] == "schema")
    database = settings.persistence.sqlite.resolve(root)
    found = Diagnostics(
        created_at=wall(),
        program=_program(environ, files.library_version()),
        file=_file(database, files.wal_of(database)),
        configuration=refused or _configuration(loaded, environ),
        health=report,
        schema=schema,
        outbox=await _part(lambda: _outbox(files, database, wall())),
        recent_errors=read_recent_errors(root / AGENT_DIR),
    )
    hidden = _anonymizer(root, settings, environ, () if loaded is None else _free_texts(loaded))
    parts = {name: getattr(found, name) for name in Diagnostics.__struct_fields__ if name != "created_at"}
    return Diagnostics(
        created_at=found.created_at,
        **{name: hidden.json(to_plain(value)) for name, value in parts.items() if name != "program"},
        # A version of four numbers is no address.
        program={name: value if name in _VERSIONS else hidden.json(value) for name, value in found.program.items()},
    )


async def _part(gather: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    try:
        return await gather()
    except AcodeError as error:
        return {"error": str(error)}
    except OSError as error:
        return {"error": error.strerror}


def _program(environ: Mapping[str, str], sqlite: tuple[int, ...]) -> dict[str, Any]:
    return {
        "acodeTui": _version("acode-tui"),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "sqlite": ".".join(map(str, sqlite)),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "terminal": {name: environ.get(name) for name in ("TERM", "COLORTERM", "NO_COLOR", "LANG", "LC_ALL")},
        "variables": sorted(name for name in environ if name.startswith("ACODE_")),
        "isolated": sys.prefix != sys.base_prefix,
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _file(database: Path, wal: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, path in (
        ("database", database),
        ("wal", wal),
        ("folder", database.parent),
    ):
        try:
            status = path.stat()
        except OSError as error:
            found[name] = {"exists": False, "reason": error.strerror}
        else:
            found[name] = {"exists": True, "mode": f"{status.st_mode & 0o7777:04o}", "sizeBytes": status.st_size}
    return found


def _configuration(loaded: LoadedSettings | None, environ: Mapping[str, str]) -> dict[str, Any]:
    if loaded is None:
        return {}
    address = resolve_postgres(loaded.settings.persistence.postgres, environ)
    return {
        "settings": [
            {"key": name, "value": _masked(key, loaded.values[name], loaded.origins[name]), "origin": origin.value}
            for name, key in keys.table().items()
            for origin in (loaded.origins[name],)
        ],
        "files": [
            {"place": place, "exists": os.path.isfile(path)}
            for place, path in zip(("user", "workspace"), loaded.files, strict=True)
        ],
        "withheld": list(loaded.withheld),
        "address": "usable" if isinstance(address, PostgresTarget) else address.reason,
    }


def _masked(key: keys.Key, value: Any, origin: Origin) -> Any:
    """Numbers, switches and choices as they are; of free text only that it is set."""
    if origin is Origin.DEFAULT or value is None or isinstance(value, (bool, int, float)) or keys.is_choice(key):
        return value
    return f"({len(value)} set)" if isinstance(value, (list, tuple, dict)) else "(set)"


def _free_texts(loaded: LoadedSettings) -> Iterator[str]:
    """The values of the settings that take any text."""
    for name, key in keys.table().items():
        if loaded.origins[name] is Origin.DEFAULT or keys.is_choice(key):
            continue
        value = loaded.values[name]
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else (value,)
        yield from (part for part in parts if isinstance(part, str))


async def _outbox(files: DatabaseFiles, database: Path, now: datetime) -> dict[str, Any]:
    queue = await run_in_daemon_thread(lambda: files.queue(database, now, seconds=_READ_SECONDS))
    conflicts = await run_in_daemon_thread(lambda: files.conflicts(database, seconds=_READ_SECONDS))
    plain: dict[str, Any] = to_plain(queue.outbox)
    return {**plain, "lastFinishedAt": to_plain(queue.last_finished_at), "conflicts": to_plain(conflicts)}


def _anonymizer(
    root: Path, settings: Settings, environ: Mapping[str, str], settings_texts: Iterable[str]
) -> Anonymizer:
    """Hides every name of this user, machine, server and workspace."""
    postgres = settings.persistence.postgres
    address = resolve_postgres(postgres, environ)
    names: dict[str, str] = {}

    def add(values: Iterable[str | None], shown: str) -> None:
        names.update({value: shown for value in values if value and value.lower() not in _PLAIN_WORDS})

    add(settings_texts, "<setting>")
    people = {os_user(), git_email(root), settings.identity.user, environ.get("USER"), environ.get("LOGNAME")}
    add(people | {each.partition("@")[0] for each in people if each}, "<user>")
    host = socket.gethostname()
    add({host, host.partition(".")[0]}, "<host>")
    secrets: list[Secret | str] = [
        value for name, value in environ.items() if _SECRET_NAME.search(name) and len(value) >= 6
    ]
    add({postgres.host, postgres.database, postgres.username}, "<server>")
    if isinstance(address, PostgresTarget):
        secrets += address.secrets
        add({address.host, address.database}, "<server>")
        add({address.user}, "<user>")
    if len(root.name) > 3:
        add({root.name}, "<workspace>")
    home_folder = str(home())
    return Anonymizer(
        names=names,
        paths={
            str(settings.persistence.sqlite.resolve(root)): "<database>",
            str(root): "<workspace>",
            str(root.resolve()): "<workspace>",
            home_folder: "~",
        },
        homes=(home_folder, environ.get("HOME", "")),
        secrets=secrets,
    )
