"""The password file of libpq, ``~/.pgpass`` or what ``PGPASSFILE`` names, by libpq's rules."""

import os
import re
import stat
from collections.abc import Iterator

from acode_tui.config.postgres_address import SOCKET_DIRECTORIES, PostgresTarget

_LARGEST_FILE = 1 << 20
"""Bytes that are read."""

_FIELD = re.compile(r"((?:\\.|[^\\:])*)(:|\Z)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class UnusablePasswordFile(Exception):
    """A password file that exists and is not used. The text says why."""


def password_from_file(path: str, target: PostgresTarget) -> str | None:
    """The password of the first line that matches the target; None if there is none, or no file.

    Raises UnusablePasswordFile for one that other users may read, and for what is no plain file.
    """
    text = _read(path)
    return None if text is None else find_password(text, target)


def find_password(text: str, target: PostgresTarget) -> str | None:
    """The password of the first line that matches. A line is ``host:port:database:user:password``.

    Each of the first four is literal or ``*``; a backslash takes the next character as it is. A socket is known by its
    directory or, where that is a usual one, as ``localhost``.
    """
    hosts = {target.host} | ({"localhost"} if target.host.rstrip("/") in SOCKET_DIRECTORIES else set())
    wanted = (hosts, {str(target.port)}, {target.database}, {target.user})
    for line in text.split("\n"):
        line = line.rstrip("\r")
        if line.startswith("#"):
            continue
        fields = list(_fields(line))
        if len(fields) < 5:
            continue
        *conditions, password = fields[:5]
        if all(raw == "*" or _plain(raw) in values for raw, values in zip(conditions, wanted, strict=True)):
            return _plain(password) or None
    return None


def _fields(line: str) -> Iterator[str]:
    position = 0
    while (found := _FIELD.match(line, position)) is not None:
        yield found[1]
        if not found[2]:
            return
        position = found.end()


def _plain(field: str) -> str:
    return _ESCAPED.sub(r"\1", field)


def _read(path: str) -> str | None:
    try:
        # A FIFO would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnusablePasswordFile(f"{path} cannot be read ({error.strerror})") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise UnusablePasswordFile(f"{path} is not a plain file, so it is not used")
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UnusablePasswordFile(
                f"{path} may be used by others (mode {stat.S_IMODE(mode):04o}), so it is not used: chmod 600 {path}"
            )
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(_LARGEST_FILE).decode("utf-8", "replace")
    finally:
        os.close(descriptor)
