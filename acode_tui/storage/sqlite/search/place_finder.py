"""Finding the places of one run that meet conditions: rows are tested as they are stored, and exactly if they pass.

Which places are hits is the rule of ``domain.search.hits``. Here stands what of it can be told before a row's texts are
read: whether its call has the tool, failed, or may name the file.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from acode_tui.domain.entities import Artifact, Entity, ToolCall
from acode_tui.domain.search.hits import count_of, met_at
from acode_tui.domain.search.places import Place, artifact_text, json_texts, places_of_run
from acode_tui.domain.search.query import Conditions
from acode_tui.domain.search.text_filter import TextFilter
from acode_tui.domain.states import EntityType, ToolCallState
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.search.searched_rows import CONTENT, Covered, content_of, row_at
from acode_tui.storage.sqlite.search.text_conditions import content_may_hold, may_hold

_decode = msgspec.json.Decoder().decode

_WITHIN = "t.rowid BETWEEN ? AND ? AND +t.session_id = (SELECT id FROM sessions WHERE rowid = ?)"
_NAMED = "tool_name IN (SELECT value FROM json_each(?))"
_FAILED = f"state = '{ToolCallState.FAILED.value}'"
_SESSION = "SELECT created_at FROM sessions WHERE rowid = ?"
_TASKS = f"SELECT t.rowid, t.created_at, t.title, t.description, t.metadata FROM session_tasks AS t WHERE {_WITHIN}"  # noqa: S608
_STEPS = f"SELECT t.rowid, t.created_at, t.name, t.description FROM steps AS t WHERE {_WITHIN}"  # noqa: S608
_CALLS = (
    "SELECT t.rowid, t.created_at, coalesce(t.completed_at, t.updated_at), t.tool_name, t.parameters, t.result, "  # noqa: S608
    f"t.error_message FROM tool_calls AS t WHERE {_WITHIN}"
)
_CALLED = _CALLS.replace("t.result, t.error_message", "NULL, NULL")
"""The same where only names and parameters are asked about: results are long."""
_NAMES = f"SELECT t.rowid, t.created_at, t.name FROM artifacts AS t WHERE {_WITHIN}"  # noqa: S608
_ARTIFACTS = (
    f"SELECT t.rowid, t.created_at, t.name, t.type, t.content_type, t.size, {CONTENT} "  # noqa: S608
    f"FROM artifacts AS t WHERE {_WITHIN}"
)
_TOOLS = """
SELECT DISTINCT tool_name FROM tool_calls INDEXED BY tool_calls_by_session
WHERE session_id = (SELECT id FROM sessions WHERE rowid = ?)
"""
_TASK = "SELECT task_id FROM steps WHERE id = ?"
_CALL_OF = "SELECT tool_call_id FROM artifacts WHERE rowid = ?"

LARGE = 4_096
"""Most bytes of a content that is stored as it is and looked through by SQLite. Larger ones are mostly compressed."""

BATCH = 64
"""Most artifacts of which the contents are held at once, each at most 64 KiB."""


class Candidate(NamedTuple):
    """A row that may have a place; its places are of times from ``first_at`` to ``last_at``, as they are stored."""

    first_at: str
    last_at: str
    kind: EntityType
    rowid: int


class PlaceFinder:
    """Finds the places of runs that meet every condition; or, with ``every`` False, one of those that make a hit."""

    def __init__(self, connection: sqlite3.Connection, conditions: Conditions, *, every: bool = True) -> None:
        words = conditions.texts
        self._connection = connection
        self._conditions = conditions
        self._every = every
        self._has_words = bool(words)
        self._words = [TextFilter(words)] if every and words else [TextFilter([word]) for word in words]
        self._tests_bytes = bool(self._words) and all(each.tests_bytes for each in self._words)
        self._files = [TextFilter([file]) for file in conditions.files]
        self._tools = {tool.casefold() for tool in conditions.tools}
        self._all = (1 << count_of(conditions)) - 1
        self._counting = (1 << len(words)) - 1 or self._all
        self._asks_calls = bool(conditions.tools or conditions.files or conditions.failed)
        self._is_in_calls = not words or (every and self._asks_calls)
        """Whether a place must belong to a call, or be an artifact with the file's name."""
        asked = ((_NAMED, every and conditions.tools), (_FAILED, every and conditions.failed))
        self._restricted = [sql for sql, is_asked in asked if is_asked]
        """What calls must be."""
        self._in_names = may_hold(self._files, [["t.name"]])
        self._in_steps = may_hold(self._words, [["t.name", "t.description"]])
        self._in_contents = content_may_hold(self._words, LARGE)
        called = ["t.tool_name", "t.parameters"]
        if self._has_words:
            texts = [called, ["t.error_message", "t.result"]]
            self._in_calls = may_hold(self._words, texts, json=["t.parameters", "t.result"])
        else:
            # A call with the tool stands for itself, whatever it names.
            named = [] if self._tools and not every else self._files
            self._in_calls = may_hold(named, [called], json=["t.parameters"])
        self._found_calls: set[str] = set()
        self._named: tuple[int, str] | None = None
        self._tasks: dict[str, str | None] = {}

    def candidates(self, session: int, covered: Covered) -> Iterator[Candidate]:
        """The rows that may have such a place, of those that are covered."""
        if covered.has_session and not self._is_in_calls:
            for (at,) in self._connection.execute(_SESSION, (session,)):
                yield Candidate(at, at, EntityType.SESSION, session)
        for kind, ranges in covered.ranges.items():
            for first, last in ranges:
                yield from self._of_kind(kind, (first, last, session))

    def places(self, candidate: Candidate) -> list[Place]:
        """The places of a candidate that meet the conditions, complete."""
        if not self._has_words and candidate.kind is EntityType.ARTIFACT:
            # Mostly its call was read just before, names the same file and stands for it.
            (call,) = self._connection.execute(_CALL_OF, (candidate.rowid,)).fetchone() or (None,)
            if call in self._found_calls:
                return []
        row = row_at(self._connection, candidate.kind, candidate.rowid)
        if row is None:
            return []
        with_call = self._with_call(row.entity)
        own = list(places_of_run(with_call))
        if len(with_call) > 1:
            # Without words to find, a call stands for its artifacts.
            own = own[-1:] if self._has_words or not self.is_hit(own[0]) else []
        elif not self._has_words:
            own = [place for place in own if place.kind not in ("result", "error")]
            if isinstance(row.entity, ToolCall) and self.is_hit(own[0]):
                self._found_calls.add(row.entity.id)
        return [self._complete(place) for place in own if self.is_hit(place)]

    def is_hit(self, place: Place) -> bool:
        """Whether a place meets the conditions."""
        met = met_at(self._conditions, place)
        return met == self._all if self._every else bool(met & self._counting)

    def _of_kind(self, kind: EntityType, within: tuple[int, int, int]) -> Iterator[Candidate]:
        execute = self._connection.execute
        if kind is EntityType.TOOL_CALL:
            sql, values = self._restriction(_CALLS if self._has_words else _CALLED, "t.", within)
            held, patterns = self._in_calls
            for row in execute(sql + held, (*values, *patterns)):
                if self._call_passes(*row[3:]):
                    yield Candidate(min(row[1], row[2]), max(row[1], row[2]), kind, row[0])
        elif kind is EntityType.ARTIFACT:
            if self._has_words:
                sql, values = self._restriction(_ARTIFACTS, "c.", within)
                held, patterns = self._in_contents
                for rowid, at in self._contents_that_pass(sql + held, (*values, *patterns)):
                    yield Candidate(at, at, kind, rowid)
            elif self._files:
                held, patterns = self._in_names
                for rowid, at, name in execute(_NAMES + held, (*within, *patterns)):
                    if any(file.passes(name) for file in self._files):
                        yield Candidate(at, at, kind, rowid)
        elif not self._is_in_calls:
            # A task has a long text, which is mostly in a prompt as well.
            sql, (held, patterns) = (_STEPS, self._in_steps) if kind is EntityType.STEP else (_TASKS, ("", ()))
            for rowid, at, *texts in execute(sql + held, (*within, *patterns)):
                if self._texts_pass(*texts):
                    yield Candidate(at, at, kind, rowid)

    def _restriction(self, sql: str, of: str, within: tuple[int, int, int]) -> tuple[str, tuple[Any, ...]]:
        """A statement with what its calls must be, and its values."""
        if not self._restricted:
            return sql, within
        names = (self._names(within[2]),) if self._tools else ()
        asked = " AND ".join(f"{of}{condition}" for condition in self._restricted)
        if of != "t.":
            asked = f"EXISTS (SELECT 1 FROM tool_calls AS c WHERE c.id = t.tool_call_id AND {asked})"  # noqa: S608
        return f"{sql} AND {asked}", (*within, *names)

    def _names(self, session: int) -> str:
        """The names of the run's tools that are the one asked for, as JSON."""
        if self._named is None or self._named[0] != session:
            own = [name for (name,) in self._connection.execute(_TOOLS, (session,)) if {name.casefold()} == self._tools]
            self._named = session, msgspec.json.encode(own).decode()
        return self._named[1]

    def _call_passes(self, tool: str, parameters: str, result: str | None, error: str | None) -> bool:
        if not self._has_words:
            names = (file.passes_json(tool, parameters) for file in self._files)
            return all(names) if self._every else tool.casefold() in self._tools or any(names)
        if self._every and not all(file.passes_json(tool, parameters) for file in self._files):
            return False
        for each in self._words:
            if each.passes_json(tool, parameters):
                return True
            if error or result is not None:
                # A term may begin in the error and end in the result.
                text = None if not error else "\n".join([error, *json_texts(_decode(result))]) if result else error
                if each.passes_json("", result or "") if text is None else each.passes(text):
                    return True
        return False

    def _contents_that_pass(self, sql: str, values: tuple[Any, ...]) -> Iterator[tuple[int, str]]:
        """The artifacts' rowids and times. There are more of them than of all other rows, so the loop does little."""
        tests_bytes = self._tests_bytes
        cursor = self._connection.execute(sql, values)
        while batch := cursor.fetchmany(BATCH):
            plain: list[bytes] = []
            of: list[tuple[int, str]] = []
            for rowid, at, name, type_, content_type, size, stored_size, stored in batch:
                content = content_of(stored, size, stored_size)
                if tests_bytes and content.isascii() and name.isascii() and "json" not in content_type:
                    text = name.encode() + b"\n" + content
                    if b"\x1b" not in text:
                        plain.append(text)
                        of.append((rowid, at))
                        continue
                if self._passes(artifact_text(name, content_type, content, type_)):
                    yield rowid, at
            for place in self._passing(plain):
                yield of[place]

    def _passes(self, text: str) -> bool:
        return any(each.passes(text) for each in self._words)

    def _passing(self, texts: Sequence[bytes]) -> Iterable[int]:
        """The places of those of many texts of ASCII that may have one of the words."""
        if len(self._words) == 1:
            return self._words[0].passing(texts)
        return set().union(*(each.passing(texts) for each in self._words))

    def _texts_pass(self, title: str, description: str | None, metadata: str | None = None) -> bool:
        text = f"{title}\n{description}" if description else title
        if metadata is not None:
            if self._tests_bytes:
                low = f"{text}\n{metadata}".lower()
                if not any(each.may_be_in_json(low) for each in self._words):
                    return False
            # A task's metadata follows its texts: a term may begin in the one and end in the other.
            text = "\n".join([text, *json_texts(_decode(metadata))])
        return self._passes(text)

    def _with_call(self, entity: Entity) -> list[Entity]:
        """A row, behind its call if that is asked about."""
        if self._asks_calls and isinstance(entity, Artifact) and entity.tool_call_id is not None:
            call = rows.fetch(self._connection, EntityType.TOOL_CALL, entity.tool_call_id)
            if call is not None:
                return [call, entity]
        return [entity]

    def _complete(self, place: Place) -> Place:
        """The place with the task that its step belongs to."""
        if place.step_id is None or place.task_id is not None:
            return place
        if place.step_id not in self._tasks:
            found = self._connection.execute(_TASK, (place.step_id,)).fetchone()
            self._tasks[place.step_id] = None if found is None else found[0]
        return msgspec.structs.replace(place, task_id=self._tasks[place.step_id])
