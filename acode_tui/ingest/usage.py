"""Token totals of a run. Each model message is counted once, in one session."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from acode_tui.ingest.records import number

CLAIM_BYTES = 8


class Tokens(msgspec.Struct):
    """Numbers of tokens. ``input`` excludes what was read from the cache or written to it, for every format."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    def raise_to(self, input: int, output: int, cache_read: int, cache_write: int) -> None:
        """Keep the larger of each number: a message's usage repeats on its lines, and grows."""
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
    """Which session counts which model message. A fork or a resumed session repeats the messages of its origin.

    The first session to claim a message counts it. A message is identified by eight bytes of its hash; the keys that a
    session claimed are kept with its file's cursor.
    """

    def __init__(self, known: Mapping[str, bytes] | None = None) -> None:
        self._holder: dict[bytes, str] = {}
        self._later: dict[bytes, list[str]] = {}
        for holder, claimed in (known or {}).items():
            self.note(holder, claimed)

    def note(self, holder: str, claimed: bytes) -> None:
        """Note the keys that a session claimed in an earlier import. A key that another session holds stays with it."""
        for start in range(0, len(claimed), CLAIM_BYTES):
            key = claimed[start : start + CLAIM_BYTES]
            if key in self._holder:
                self._later.setdefault(key, []).append(holder)
            else:
                self._holder[key] = holder

    def forget(self, holder: str, claimed: bytes) -> None:
        """Drop the keys that a session claimed in a file that was rewritten. The next claimant of a key holds it."""
        for start in range(0, len(claimed), CLAIM_BYTES):
            key = claimed[start : start + CLAIM_BYTES]
            later = self._later.get(key, [])
            if holder in later:
                # The session claimed the message in another file too, or was not the first to claim it.
                later.remove(holder)
            elif self._holder.get(key) == holder:
                if later:
                    self._holder[key] = later.pop(0)
                else:
                    del self._holder[key]

    def claim(self, holder: str, keys: list[bytes]) -> list[bool]:
        """Claim keys. Returns for each whether ``holder`` counts it: it was the first to claim it."""
        return [self._holder.setdefault(key, holder) == holder for key in keys]

    def held(self) -> dict[str, bytes]:
        """The keys that each session holds, from which an equal ``Claims`` can be made."""
        keys: dict[str, list[bytes]] = {}
        for key, holder in self._holder.items():
            keys.setdefault(holder, []).append(key)
        return {holder: b"".join(claimed) for holder, claimed in keys.items()}


def claim_key(message_id: str, request_id: str) -> bytes:
    """The key of a message: eight bytes of the hash of (message id, request id)."""
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
    """As ``claude_usage``, of a Codex usage block, whose input includes what came from the cache."""
    if not isinstance(usage, dict):
        return (0, 0, 0, 0)
    read = number(usage.get("cached_input_tokens"))
    write = number(usage.get("cache_write_input_tokens"))
    fresh = max(number(usage.get("input_tokens")) - read - write, 0)
    return (fresh, number(usage.get("output_tokens")), read, write)
