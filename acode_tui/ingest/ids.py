"""Ids of what one session holds: the same as ``domain.ids.imported_id`` gives, at a third of the price.

An import makes several ids a line; the part they share is hashed once.
"""

from hashlib import sha1

from acode_tui.domain.ids import IMPORT_NAMESPACE

_SEPARATOR = "\x1f"


class IdScope:
    """``scope.id(*rest)`` equals ``imported_id(source, *native, *rest)``; lone surrogates are allowed in it."""

    __slots__ = ("_base",)

    def __init__(self, source: str, *native: str) -> None:
        # SHA-1 is what a UUIDv5 is made of; nothing here is a secret.
        self._base = sha1(IMPORT_NAMESPACE.bytes + _bytes((source, *native)), usedforsecurity=False)

    def id(self, *rest: str) -> str:
        hashed = self._base.copy()
        hashed.update(_bytes(("", *rest)))
        value = bytearray(hashed.digest()[:16])
        value[6] = value[6] & 0x0F | 0x50
        value[8] = value[8] & 0x3F | 0x80
        text = value.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _bytes(parts: tuple[str, ...]) -> bytes:
    return _SEPARATOR.join(parts).encode("utf-8", "surrogatepass")
