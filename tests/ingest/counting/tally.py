"""What is counted of a session, and small helpers to read raw records."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 14):
    from compression.zstd import compress as compress
    from compression.zstd import decompress
else:
    from backports.zstd import compress as compress
    from backports.zstd import decompress

Record = dict[str, Any]

PROMPT, THOUGHT, ANSWER, IMAGE = "UserPrompt", "Reasoning", "ModelResponse", "Image"
CONTENT, WRITTEN, DIFF, FOUND, OUTPUT = "FileContent", "FileWrite", "FileDiff", "SearchResult", "CommandOutput"
LONG = 500
"""A text of an event with more characters is an artifact as well."""


def kind_of(tool: str, **tools: tuple[str, ...]) -> str:
    """The type of what a tool gives, by the names of the tools that give each type; the web is searched."""
    return next((kind for kind, names in tools.items() if tool in names), FOUND if tool.startswith("web") else OUTPUT)


@dataclass
class Tally:
    """A session in numbers.

    ``results`` are the calls, and the ids of absent calls, that have a result; each leaves at least one artifact.
    ``answers`` are the steps with text of the model, ``thoughts`` the steps with its reasoning. ``artifacts`` are all
    of them, by type.
    """

    prompts: int = 0
    steps: int = 0
    calls: int = 0
    failed: int = 0
    cancelled: int = 0
    results: int = 0
    answers: int = 0
    thoughts: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    first: datetime | None = None
    last: datetime | None = None
    parent: str = ""
    artifacts: dict[str, int] = field(default_factory=dict)

    def difference(self, other: "Tally") -> dict[str, tuple[Any, Any]]:
        """The numbers in which two sessions differ."""
        pairs = {name.name: (getattr(self, name.name), getattr(other, name.name)) for name in fields(self)}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


@dataclass
class Ids:
    """A session as sets of ids, of which ``tally`` takes the sizes.

    ``tokens`` are by step, ``ended`` are calls that ended and have no result in this format. ``made`` are artifacts by
    type, ``outputs`` what results hold, each once, ``kinds`` the type of what a call that succeeds gives.
    """

    prompts: set[Any] = field(default_factory=set)
    steps: set[Any] = field(default_factory=set)
    calls: set[Any] = field(default_factory=set)
    failed: set[Any] = field(default_factory=set)
    cancelled: set[Any] = field(default_factory=set)
    results: set[Any] = field(default_factory=set)
    ended: set[Any] = field(default_factory=set)
    answers: set[Any] = field(default_factory=set)
    thoughts: set[Any] = field(default_factory=set)
    tokens: dict[Any, tuple[int, int, int, int]] = field(default_factory=dict)
    times: list[datetime] = field(default_factory=list)
    parent: str = ""
    made: Counter[str] = field(default_factory=Counter)
    outputs: set[tuple[Any, ...]] = field(default_factory=set)
    kinds: dict[Any, str] = field(default_factory=dict)
    pieces: Counter[Any] = field(default_factory=Counter)

    def says(self, step: Any, text: str) -> None:
        """A piece of the model's text. A blank one counts where it is the first of its step."""
        if text.strip() or (text and not self.pieces[step]):
            self.pieces[step] += 1
            self.made[ANSWER] += 1

    def thinks(self, text: str) -> None:
        self.made[THOUGHT] += bool(text.strip())

    def prompts_with(self, images: int = 0) -> None:
        """A prompt, and the images in it."""
        self.made[PROMPT] += 1
        self.made[IMAGE] += images

    def notes(self, text: str) -> None:
        """The text of an event: kept whole where the event cannot hold it."""
        self.made[ANSWER] += len(text) > LONG

    def at(self, stamp: Any) -> None:
        """Note the time of a record."""
        found = moment(stamp)
        if found is not None:
            self.times.append(found)

    def tally(self) -> Tally:
        """The numbers. A call without a result counts as cancelled: the transcripts are old."""
        without_result = self.calls - self.results - self.ended
        return Tally(
            prompts=len(self.prompts),
            steps=len(self.steps),
            calls=len(self.calls),
            failed=len((self.failed - self.cancelled) & self.calls),
            cancelled=len((self.cancelled | without_result) & self.calls),
            results=len(self.results),
            answers=len(self.answers & self.steps),
            thoughts=len(self.thoughts & self.steps),
            input=sum(tokens[0] for tokens in self.tokens.values()),
            output=sum(tokens[1] for tokens in self.tokens.values()),
            cache_read=sum(tokens[2] for tokens in self.tokens.values()),
            cache_write=sum(tokens[3] for tokens in self.tokens.values()),
            first=min(self.times, default=None),
            last=max(self.times, default=None),
            parent=self.parent,
            artifacts=self._artifacts(),
        )

    def _artifacts(self) -> dict[str, int]:
        unsuccessful = self.failed | self.cancelled
        found = Counter(self.made)
        for call, *_ in self.outputs:
            is_known = call in self.calls and call not in unsuccessful
            found[self.kinds.get(call, OUTPUT) if is_known else OUTPUT] += 1
        return {kind: count for kind, count in sorted(found.items()) if count}


def moment(stamp: Any) -> datetime | None:
    """The time of an ISO text, or of milliseconds since 1970. One without a zone is in UTC."""
    if isinstance(stamp, int | float):
        return datetime.fromtimestamp(stamp / 1_000, UTC)
    if not isinstance(stamp, str):
        return None
    try:
        found = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def records(data: bytes) -> Iterator[Record]:
    """The objects of a file of lines."""
    for line in data.split(b"\n"):
        try:
            value = json.loads(line)
        except ValueError:
            yield from _whole_records(line)
            continue
        if isinstance(value, dict):
            yield value


def _whole_records(line: bytes) -> Iterator[Record]:
    """The records in a damaged line: objects with a type, that no record around them holds."""
    text = line.replace(b"\0", b"").decode("utf-8", "replace")
    at = text.find("{")
    while at >= 0:
        try:
            value, end = json.JSONDecoder().raw_decode(text, at)
        except ValueError:
            end = at + 1
        else:
            if isinstance(value, dict) and "type" in value and ("sessionId" in value or "payload" in value):
                yield value
        at = text.find("{", end)


def lines_of(path: Path) -> list[Record]:
    """The objects of a file of lines on disk, which may be packed."""
    data = path.read_bytes()
    return list(records(decompress(data) if path.suffix == ".zst" else data))


def texts(content: Any) -> str:
    """The text of a string, or of the text blocks of a list."""
    if isinstance(content, str):
        return content
    found = [part if isinstance(part, str) else part.get("text") for part in content or () if part]
    return "\n".join(part for part in found if isinstance(part, str))


def objects(value: Any) -> list[Record]:
    """The objects in a list; none in any other value."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def whole(value: Any) -> int:
    """A number of tokens."""
    return value if isinstance(value, int) and value > 0 else 0
