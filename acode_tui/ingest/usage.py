"""Token totals of a run. Each model message is counted once, in one session."""

from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from acode_tui.ingest.records import number

CLAIM_BYTES = 8
SEARCHED_KEYS = 32
"""So many keys are searched for among those of earlier imports; for more, all of those are indexed first."""


class Tokens(msgspec.Struct):
    """Numbers of tokens. ``input`` excludes what was read from the cache or written to it, for every format.

    ``cache_write_1h`` is the part of ``cache_write`` that the cache keeps for an hour, which costs more.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0

    def raise_to(self, input: int, output: int, cache_read: int, cache_write: int, cache_write_1h: int = 0) -> None:
        """Keep the larger of each number: a message's usage repeats on its lines, and grows."""
        self.input = max(self.input, input)
        self.output = max(self.output, output)
        self.cache_read = max(self.cache_read, cache_read)
        self.cache_write = max(self.cache_write, cache_write)
        self.cache_write_1h = max(self.cache_write_1h, cache_write_1h)

    def add(self, input: int, output: int, cache_read: int, cache_write: int, cache_write_1h: int = 0) -> None:
        self.input += input
        self.output += output
        self.cache_read += cache_read
        self.cache_write += cache_write
        self.cache_write_1h += cache_write_1h

    def add_all(self, other: "Tokens") -> None:
        """Add each number of other ones."""
        self.input += other.input
        self.output += other.output
        self.cache_read += other.cache_read
        self.cache_write += other.cache_write
        self.cache_write_1h += other.cache_write_1h

    @classmethod
    def of(cls, plain: Mapping[str, int]) -> "Tokens":
        """The numbers that ``plain`` returned."""
        return cls(
            plain["input"], plain["output"], plain["cacheRead"], plain["cacheWrite"], plain.get("cacheWrite1h", 0)
        )

    def plain(self) -> dict[str, int]:
        """The numbers by name, as metadata have them; what is kept for an hour only where there is any."""
        found = {
            "input": self.input,
            "output": self.output,
            "cacheRead": self.cache_read,
            "cacheWrite": self.cache_write,
        }
        if self.cache_write_1h:
            found["cacheWrite1h"] = self.cache_write_1h
        return found


class Claims:
    """Which session counts which model message. A fork or a resumed session repeats the messages of its origin.

    The first session to claim a message counts it. A message is identified by eight bytes of its hash; the keys that a
    session claimed are kept with its file's cursor.
    """

    def __init__(self, known: Mapping[str, bytes] | None = None) -> None:
        self._holder: dict[bytes, str] = {}
        self._later: dict[bytes, list[str]] = {}
        self._noted: list[tuple[str, bytes]] = []
        self._found: set[bytes] = set()
        for holder, claimed in (known or {}).items():
            self.note(holder, claimed)

    def note(self, holder: str, claimed: bytes) -> None:
        """Note the keys that a session claimed in an earlier import. A key that another session holds stays with it."""
        if claimed:
            self._noted.append((holder, claimed))

    def _index(self) -> None:
        """Look at every noted key."""
        for holder, claimed in self._noted:
            for start in range(0, len(claimed), CLAIM_BYTES):
                key = claimed[start : start + CLAIM_BYTES]
                if key not in self._holder:
                    self._holder[key] = holder
                elif key in self._found and self._holder[key] == holder:
                    self._found.remove(key)
                else:
                    self._later.setdefault(key, []).append(holder)
        self._noted = []

    def _find(self, key: bytes) -> None:
        """Look for one key in what is noted, without looking at the others."""
        if key in self._holder:
            return
        for holder, claimed in self._noted:
            at = claimed.find(key)
            while at % CLAIM_BYTES and at >= 0:
                at = claimed.find(key, at + 1)
            if at >= 0:
                self._holder[key] = holder
                self._found.add(key)
                return

    def forget(self, holder: str, claimed: bytes) -> None:
        """Drop the keys that a session claimed in a file that was rewritten. The next claimant of a key holds it."""
        self._index()
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
        if len(keys) > SEARCHED_KEYS:
            self._index()
        for key in keys if self._noted else ():
            self._find(key)
        return [self._holder.setdefault(key, holder) == holder for key in keys]

    def held(self) -> dict[str, bytes]:
        """The keys that each session holds, from which an equal ``Claims`` can be made."""
        self._index()
        keys: dict[str, list[bytes]] = {}
        for key, holder in self._holder.items():
            keys.setdefault(holder, []).append(key)
        return {holder: b"".join(claimed) for holder, claimed in keys.items()}


class SavedUsage(msgspec.Struct, array_like=True):
    """The tokens of a message whose usage may still grow. ``is_counted``: its claim is among those of the cursor."""

    key: str
    tokens: Tokens
    claim: bytes | None
    is_counted: bool
    cost: float | None


class MessageUsage:
    """The tokens of a session's messages, by message."""

    def __init__(self) -> None:
        self._tokens: dict[str, Tokens] = {}
        self._claims: dict[str, bytes] = {}
        self._costs: dict[str, float] = {}
        self._settled = Tokens()
        self._settled_cost: float | None = None
        self._counted: set[str] = set()

    def note(self, key: str, usage: Any, request_id: str | None, cost: Any = None) -> None:
        """Note a usage block of a message. It is claimed only with a request id; without, this session counts it.

        ``cost`` is in US dollars; one that is no number is none.
        """
        self._tokens.setdefault(key, Tokens()).raise_to(*claude_usage(usage))
        if type(cost) in (int, float):
            self._costs[key] = max(self._costs.get(key, 0.0), float(cost))
        if request_id is not None and key not in self._claims:
            self._claims[key] = claim_key(key, request_id)

    def count(self, claims: Claims, session: str, claimed: bytes) -> tuple[Tokens, bytes]:
        """What the session counts, and the keys that it holds; ``claimed`` are those of the lines before."""
        # What the session has counted it goes on to count.
        keys = [key for key in self._claims if key not in self._counted]
        won = claims.claim(session, [self._claims[key] for key in keys])
        added = [key for key, is_counted in zip(keys, won, strict=True) if is_counted]
        self._counted.update(added)
        total = msgspec.structs.replace(self._settled)
        for key, tokens in self._tokens.items():
            if key in self._counted or key not in self._claims:
                total.add_all(tokens)
        return total, b"".join([claimed, *(self._claims[key] for key in added)])

    def note_steps(self, steps: Mapping[str, "HasMetadata"]) -> None:
        """Give each step its own numbers as metadata, once they were counted, if the session counts them."""
        for key, tokens in self._tokens.items():
            step = steps.get(key)
            if step is not None and (key in self._counted or key not in self._claims):
                step.metadata["tokens"] = tokens.plain()
                if key in self._costs:
                    step.metadata["cost"] = self._costs[key]

    @property
    def cost(self) -> float | None:
        """What the messages cost that were counted; None where none of them says it."""
        return self._add_costs(self._costs)

    def _add_costs(self, keys: Iterable[str]) -> float | None:
        costs = [self._costs[key] for key in keys if key in self._counted or key not in self._claims]
        if self._settled_cost is not None:
            costs.append(self._settled_cost)
        # Cents have two digits, prices of a token nine: what is beyond is only the error of adding floats.
        return round(sum(costs), 9) if costs else None

    def save(self, kept: Collection[str]) -> tuple[list[SavedUsage], Tokens, float | None]:
        """The usage of the messages to be kept, and the tokens and the cost of all others, once they were counted."""
        saved = []
        settled = msgspec.structs.replace(self._settled)
        for key, tokens in self._tokens.items():
            claim = self._claims.get(key)
            if key in kept:
                saved.append(SavedUsage(key, tokens, claim, key in self._counted, self._costs.get(key)))
            elif claim is None or key in self._counted:
                settled.add_all(tokens)
        return saved, settled, self._add_costs(key for key in self._costs if key not in kept)

    def restore(self, saved: list[SavedUsage], settled: Tokens, cost: float | None) -> None:
        """Go on from what ``save`` returned."""
        self._settled, self._settled_cost = settled, cost
        for usage in saved:
            self._tokens[usage.key] = usage.tokens
            if usage.cost is not None:
                self._costs[usage.key] = usage.cost
            if usage.claim is not None:
                self._claims[usage.key] = usage.claim
            if usage.is_counted:
                self._counted.add(usage.key)


def claim_key(message_id: str, request_id: str) -> bytes:
    """The key of a message: eight bytes of the hash of (message id, request id)."""
    return blake2b(f"{message_id}\x1f{request_id}".encode("utf-8", "surrogatepass"), digest_size=CLAIM_BYTES).digest()


def claude_usage(usage: Any) -> tuple[int, int, int, int, int]:
    """The numbers of a Claude message's usage block in the order of ``Tokens``."""
    if not isinstance(usage, dict):
        return (0, 0, 0, 0, 0)
    write = number(usage.get("cache_creation_input_tokens"))
    kept = usage.get("cache_creation")
    hour = number(kept.get("ephemeral_1h_input_tokens")) if type(kept) is dict else 0
    return (
        number(usage.get("input_tokens")),
        number(usage.get("output_tokens")),
        number(usage.get("cache_read_input_tokens")),
        write,
        min(hour, write),
    )


def codex_usage(usage: Any) -> tuple[int, int, int, int]:
    """Input, output, cache read and cache write of a Codex usage block, whose input includes what the cache had."""
    if not isinstance(usage, dict):
        return (0, 0, 0, 0)
    read = number(usage.get("cached_input_tokens"))
    write = number(usage.get("cache_write_input_tokens"))
    fresh = max(number(usage.get("input_tokens")) - read - write, 0)
    return (fresh, number(usage.get("output_tokens")), read, write)


class StepUsage:
    """The tokens and the cost of each step's model call; the session's totals are their sums."""

    def __init__(self) -> None:
        self._tokens: dict[str, Tokens] = {}
        self._costs: dict[str, float] = {}
        self._claims: dict[str, bytes] = {}

    def note(self, key: str, tokens: Tokens, cost: float | None = None, claim: bytes | None = None) -> None:
        """Note the usage of the step with this key; a later note of the same step replaces an earlier one.

        ``cost`` is in US dollars. With a ``claim`` (``claim_key``), it counts in the first session that has it: files
        of other sessions may hold a copy of the message.
        """
        self._tokens[key] = tokens
        if cost is not None:
            self._costs[key] = cost
        if claim is not None:
            self._claims[key] = claim

    def count(
        self, claims: Claims, session: str, steps: Mapping[str, "HasMetadata"]
    ) -> tuple[Tokens, float | None, bytes]:
        """The session's totals, and the claims that it holds. Each step that counts gets its own numbers as metadata.

        The cost is None where no step has one.
        """
        keys = list(self._claims)
        won = dict(zip(keys, claims.claim(session, [self._claims[key] for key in keys]), strict=True))
        total = Tokens()
        for key, tokens in self._tokens.items():
            if not won.get(key, True):
                continue
            total.add_all(tokens)
            step = steps.get(key)
            if step is not None:
                step.metadata["tokens"] = tokens.plain()
                if key in self._costs:
                    step.metadata["cost"] = self._costs[key]
        costs = [cost for key, cost in self._costs.items() if won.get(key, True)]
        claimed = b"".join(self._claims[key] for key in keys if won[key])
        # Cents have two digits, prices of a token nine: what is beyond is only the error of adding floats.
        return total, round(sum(costs), 9) if costs else None, claimed


class HasMetadata(Protocol):
    """A step under construction."""

    metadata: dict[str, Any]
