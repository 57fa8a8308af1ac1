"""Ids of what one session holds: the same as ``domain.ids.imported_id`` gives, at a fraction of the price.

An import makes several ids a line, so they are made in native code, and the part they share is put together once.
"""

from hashlib import sha1

import uuid_utils

from acode_tui.domain.ids import IMPORT_NAMESPACE

_SEPARATOR = "\x1f"
_NAMESPACE = uuid_utils.UUID(str(IMPORT_NAMESPACE))
_uuid5 = uuid_utils.uuid5


class IdScope:
    """``scope.id(*rest)`` equals ``imported_id(source, *native, *rest)``; lone surrogates are allowed in it."""

    __slots__ = ("_shared",)

    def __init__(self, source: str, *native: str) -> None:
        self._shared = _SEPARATOR.join((source, *native))

    def id(self, *rest: str) -> str:
        name = _SEPARATOR.join((self._shared, *rest))
        try:
            return str(_uuid5(_NAMESPACE, name))
        except (UnicodeEncodeError, TypeError):
            # The library says one or the other of a lone surrogate, depending on its release.
            return _of_bytes(name.encode("utf-8", "surrogatepass"))


def _of_bytes(name: bytes) -> str:
    """The same of bytes that are no text."""
    # SHA-1 is what a UUIDv5 is made of; nothing here is a secret.
    value = bytearray(sha1(IMPORT_NAMESPACE.bytes + name, usedforsecurity=False).digest()[:16])
    value[6] = value[6] & 0x0F | 0x50
    value[8] = value[8] & 0x3F | 0x80
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
