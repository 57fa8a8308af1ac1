"""A session of OpenCode, as its export has it; what a database or a tree of files holds is put into the same form."""

from typing import Any

import msgspec


class Message(msgspec.Struct):
    """A message and its parts, in order."""

    info: dict[str, Any]
    parts: list[Any] = []


class Export(msgspec.Struct):
    """A session and its messages, in order; None stands for a message that is damaged.

    Of a database: ``key`` is what shows that the session has changed. A record with ``after`` holds no session: the
    next reading is to go on after the one with this time and id, or from the first one, where the id is empty.
    Of a tree of files: one with ``damaged`` names a file that is no JSON object.
    """

    info: dict[str, Any]
    messages: list[Message | None] = []
    key: str = ""
    after: tuple[int, str] | None = None
    damaged: str = ""


class Seen(msgspec.Struct, array_like=True):
    """What is kept of a session that was read: what shows that it has changed, and until when its states hold.

    ``until`` is in seconds since 1970, and 0 where they hold for good; ``checkpoints`` is msgpack.
    """

    key: str
    until: int
    checkpoints: bytes


class SeenSessions(msgspec.Struct, array_like=True):
    """What is kept of a database that was read. ``after`` is the session to go on after, where more are to be read."""

    sessions: dict[str, Seen] = {}
    after: tuple[int, str] = (0, "")
