"""Reads a damaged JSON document: its whole records are kept, and each of the others is named.

A document is one JSON value, so one wrong byte makes all of it unreadable. Its records are in few lists, of which a
format says by what fields one of their records is known (``DocumentShape``).
"""

import json
import re
from collections.abc import Mapping, Set
from typing import Any, NamedTuple

from acode_tui.ingest.records import real_number, refuse_constant, whole_number

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
"""A larger document is not searched."""
MAX_FAILURES = 10_000
"""So many places are tried that turn out to begin no value: each may cost as much as reading to the damage."""

_SPACE = re.compile(r"[\s,]*")
_COLON = re.compile(r"\s*:\s*")
_GOES_ON = re.compile(r'\s*(?!.\s*\{)["\w]', re.DOTALL)
"""What follows an object that ended too early: the next field of what it was, or the rest of a number. One character
before the next object is a damaged comma."""
_ENDS = re.compile(r"\s*(?:[,}]|$)")
"""What follows the end of a list. Anything else does after a bracket that is damage."""
_BETWEEN = re.compile(r"[^{]\s*\{")


class DocumentShape(NamedTuple):
    """The lists of a document with the fields that each of their records has, and its own fields beside them.

    A record that has one of the lists itself is a document within the document. ``fields`` are looked for where the
    end of a list is damaged.
    """

    lists: Mapping[str, frozenset[str]]
    fields: frozenset[str] = frozenset()


class Restored(NamedTuple):
    """The documents of a file without what is damaged: None stands for each lost record. ``lost`` has its number in
    its list, and what is damaged."""

    documents: list[dict[str, Any]]
    lost: list[tuple[int, str]]


def restore(data: bytes, shape: DocumentShape) -> Restored:
    """What is whole in a file that is not one JSON value. Raises nothing."""
    if len(data) > MAX_DOCUMENT_BYTES:
        return Restored([], [])
    text = data.decode("utf-8-sig", "replace")
    found = _Restoring(text.replace("\0", ""), shape)
    if "\ufffd" in text and "\ufffd".encode() not in data:
        found.lost.append((1, "undecodable bytes"))
    if "\0" in text:
        found.lost.append((1, "NUL bytes"))
    documents = found.documents()
    if not any(shape.lists.keys() & value.keys() for value in documents):
        return Restored([], [])
    return Restored(documents, found.lost)


class _Restoring:
    """Goes through the text. A value that can be decoded is taken as it is; only what holds damage is taken apart."""

    def __init__(self, text: str, shape: DocumentShape) -> None:
        self.lost: list[tuple[int, str]] = []
        self._text = text
        self._shape = shape
        self._failures = 0
        lists = "|".join(map(re.escape, shape.lists))
        self._begins = re.compile(rf'\{{\s*"|"({lists})"\s*:\s*\[')
        fields = "|".join(map(re.escape, [*shape.lists, *shape.fields]))
        self._fields = re.compile(rf'"({fields})"\s*:\s*')

    def documents(self) -> list[dict[str, Any]]:
        """Each document of the text; nearly always there is one."""
        found: list[dict[str, Any]] = []
        at = self._skip(0)
        while self._text.startswith("{", at):
            value, end = self._decode(at)
            if not isinstance(value, dict):
                value, end = self._object(at, ())
            found.append(value)
            at = self._skip(end)
        if at < len(self._text) and found:
            self.lost.append((1, "text after the document"))
        return found

    # -- values

    def _decode(self, at: int) -> tuple[Any, int]:
        """The value that begins here and its end; None where none does."""
        if self._failures >= MAX_FAILURES:
            return None, at
        try:
            return _decoder.raw_decode(self._text, at)
        except (ValueError, RecursionError):
            self._failures += 1
            return None, at

    def _record(self, at: int) -> tuple[dict[str, Any] | None, int]:
        """The object that begins here, unless damage has ended it too early."""
        value, end = self._decode(at)
        return (value, end) if isinstance(value, dict) and not _GOES_ON.match(self._text, end) else (None, at)

    def _object(self, at: int, around: tuple[str, ...]) -> tuple[dict[str, Any], int]:
        """A damaged object that begins here, field by field. ``around`` are the lists that it is in."""
        text, found = self._text, dict[str, Any]()
        at += 1
        while True:
            at = self._skip(at)
            if at >= len(text):
                self.lost.append((1, "its end is cut off"))
                return found, at
            if text[at] in "}{":
                return found, at + (text[at] == "}")
            key, value, end = self._field(at, found.keys(), around)
            if key in found and key in self._shape.lists:
                # A list that the object has already: the object around this one goes on here.
                return found, at
            if end is not None:
                found[key] = value
                at = end
                continue
            self.lost.append((1, f"a damaged field {key}".rstrip()))
            following = self._next_field(at + 1, found.keys())
            if following is None:
                return found, len(text)
            at = following

    def _field(self, at: int, seen: Set[str], around: tuple[str, ...]) -> tuple[str, Any, int | None]:
        """The field that begins here: its name, its value and its end; no end where it is damaged."""
        key, end = self._decode(at)
        colon = _COLON.match(self._text, end) if isinstance(key, str) else None
        if colon is None:
            return "", None, None
        if key in self._shape.lists and self._text.startswith("[", colon.end()) and key not in seen:
            value, end = self._decode(colon.end())
            is_whole = end > colon.end() and _ENDS.match(self._text, end) is not None
            return (key, value, end) if is_whole else (key, *self._list(colon.end(), key, seen, around))
        value, end = self._decode(colon.end())
        is_whole = end > colon.end() and not _GOES_ON.match(self._text, end)
        return key, value, end if is_whole else None

    def _list(
        self, at: int, name: str, seen: Set[str], around: tuple[str, ...]
    ) -> tuple[list[dict[str, Any] | None], int]:
        """A list with damaged records that begins here. ``seen`` are the fields of its object before it."""
        text, found = self._text, list[dict[str, Any] | None]()
        at += 1
        while True:
            at = self._skip(at)
            if at >= len(text) or (text[at] == "]" and _ENDS.match(text, at + 1)):
                return found, at + 1
            if _BETWEEN.match(text, at):
                self.lost.append((len(found), f"what follows a record of {name}"))
                at = self._skip(at + 1)
            record, end = self._record(at) if text[at] == "{" else (None, at)
            if record is not None and self._is_of(record, around) and not self._is_of(record, (name,)):
                return found, at
            if record is None and text[at] == "{" and self._holds_documents(name):
                record, end = self._object(at, (*around, name))
            found.append(record)
            at = end
            if record is None:
                self.lost.append((len(found), f"a damaged record of {name}"))
                following, is_record = self._next_record(at + 1, name, seen, around)
                if not is_record:
                    return found, following
                at = following

    # -- after damage

    def _next_record(self, at: int, name: str, seen: Set[str], around: tuple[str, ...]) -> tuple[int, bool]:
        """Where the next record of a list begins. Where none follows, where the list's object goes on, and False."""
        begun = at
        while (match := self._begins.search(self._text, at)) is not None:
            if match.group(1):
                if around or match.group(1) not in {*seen, name}:
                    return match.start(), False
                at = match.end()
                continue
            record, end = self._record(match.start())
            if record is None:
                at = match.start() + 1
            elif self._is_of(record, (name,)):
                return match.start(), True
            elif self._is_of(record, around):
                return match.start(), False
            else:
                # An object within the record that is damaged.
                at = end
        following = self._next_field(begun, {*seen, name})
        return len(self._text) if following is None else following, False

    def _next_field(self, at: int, seen: Set[str]) -> int | None:
        """Where the next known field begins that its object does not have yet."""
        for match in self._fields.finditer(self._text, at):
            if match.group(1) in seen:
                continue
            end = self._decode(match.end())[1]
            is_whole = end > match.end() and not _GOES_ON.match(self._text, end)
            if is_whole or (match.group(1) in self._shape.lists and self._text.startswith("[", match.end())):
                return match.start()
        return None

    def _is_of(self, record: dict[str, Any], lists: tuple[str, ...]) -> bool:
        """Whether an object is a record of one of these lists."""
        return any(self._shape.lists[name] <= record.keys() for name in lists)

    def _holds_documents(self, name: str) -> bool:
        return not self._shape.lists.keys().isdisjoint(self._shape.lists[name])

    def _skip(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return found.end() if found is not None else at


_decoder = json.JSONDecoder(parse_constant=refuse_constant, parse_int=whole_number, parse_float=real_number)
