"""Token totals: what a run cost, each model message counted once."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from acode_tui.ingest.records import number

CLAIM_BYTES = 8


class Tokens(msgspec.Struct):
    """``input`` is what was neither read from the cache nor written to it, for every format."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    def raise_to(self, input: int, output: int, cache_read: int, cache_write: int) -> None:
        """Keep the larger of each: usage repeats on the lines of one message, and grows."""
        self.input = max(self.input, input)
        self.output = max(self.output, output)
        self.cache_read = max(self.cache_read, cache_read)
        self.cache_write = max(self.cache_write, cache_write)

    def add(self, input: int, output: int, cache_read: int, cache_write: int) -> None:
        self.input += input
        self.output += output
        self.cache_read += cache_read
        self.cache_write += cache_write

    def plain(self) -> dict[str, int]:
        return {
            "input": self.input,
            "output": self.output,
            "cacheRead": self.cache_read,
            "cacheWrite": self.cache_write,
        }


class Claims:
    """Which session counts a model message. A fork or a resumed session repeats the messages of the one before it.

    A message is known by eight bytes of its hash; what a session claimed is kept with its file's cursor.
    """

    def __init__(self, known: Mapping[str, bytes] | None = None) -> None:
        self._holder: dict[bytes, str] = {}
        self._behind: dict[bytes, list[str]] = {}
        for holder, claimed in (known or {}).items():
            self.note(holder, claimed)

    def note(self, holder: str, claimed: bytes) -> None:
        """What a session has claimed elsewhere; what is claimed already stays as it is."""
        for start in range(0, len(claimed), CLAIM_BYTES):
            key = claimed[start : start + CLAIM_BYTES]
            if key in self._holder:
                self._behind.setdefault(key, []).append(holder)
            else:
                self._holder[key] = holder

    def forget(self, holder: str, claimed: bytes) -> None:
        """What a session has claimed in a file that has been written anew: it is the next one's, or nobody's."""
        for start in range(0, len(claimed), CLAIM_BYTES):
            key = claimed[start : start + CLAIM_BYTES]
            behind = self._behind.get(key, [])
            if holder in behind:
                # It has claimed the message in another file too, or was not the first to do so.
                behind.remove(holder)
            elif self._holder.get(key) == holder:
                if behind:
                    self._holder[key] = behind.pop(0)
                else:
                    del self._holder[key]

    def claim(self, holder: str, keys: list[bytes]) -> list[bool]:
        """For each key whether ``holder`` counts it: it does if it was the first to claim it."""
        return [self._holder.setdefault(key, holder) == holder for key in keys]

    def held(self) -> dict[str, bytes]:
        """What each session has claimed: what another ``Claims`` is made of."""
        keys: dict[str, list[bytes]] = {}
        for key, holder in self._holder.items():
            keys.setdefault(holder, []).append(key)
        return {holder: b"".join(claimed) for holder, claimed in keys.items()}


def claim_key(message_id: str, request_id: str) -> bytes:
    """The short form of (message id, request id)."""
    return blake2b(f"{message_id}\x1f{request_id}".encode("utf-8", "surrogatepass"), digest_size=CLAIM_BYTES).digest()


def claude_usage(usage: Any) -> tuple[int, int, int, int]:
    """Input, output, cache read and cache write of a Claude message's usage block."""
    if not isinstance(usage, dict):
        return (0, 0, 0, 0)
    return (
        number(usage.get("input_tokens")),
        number(usage.get("output_tokens")),
        number(usage.get("cache_read_input_tokens")),
        number(usage.get("cache_creation_input_tokens")),
    )


def codex_usage(usage: Any) -> tuple[int, int, int, int]:
    """The same of a Codex usage block, whose input includes what came from the cache."""
    if not isinstance(usage, dict):
        return (0, 0, 0, 0)
    read = number(usage.get("cached_input_tokens"))
    write = number(usage.get("cache_write_input_tokens"))
    fresh = max(number(usage.get("input_tokens")) - read - write, 0)
    return (fresh, number(usage.get("output_tokens")), read, write)
