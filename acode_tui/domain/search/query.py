"""The query language: what a person types, as the conditions that a run has to meet. It describes whole runs.

Words are ANDed; ``"a phrase"``, ``pre*``, ``-not``, and fields such as ``agent:claude-code`` or ``since:7d``. What is
no field is a word: an address, a path, a time of day. Symbols without a letter or digit are left out.
"""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Literal, NamedTuple, get_args

import msgspec

from acode_tui.domain.errors import ValidationError
from acode_tui.domain.search.tokens import tokens
from acode_tui.domain.states import SessionState

MAX_CHARS = 4_096
MAX_TERMS = 64

LIVE_SPAN = timedelta(minutes=10)
"""A run that nothing wrote to for so long is not live."""

Flag = Literal["failed", "live", "subagent", "resumable", "unsynced"]
FLAGS: tuple[Flag, ...] = get_args(Flag)


class Term(msgspec.Struct, frozen=True):
    """Something to find in a text. ``text`` is as typed, without quotes and asterisk; ``tokens`` is never empty."""

    kind: Literal["word", "phrase", "prefix"]
    text: str
    tokens: tuple[str, ...]


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions on a run. ``terms``, ``tools``, ``files`` and ``failed`` are each met somewhere in the run; of the
    other fields one of the values holds of the run.
    """

    terms: tuple[Term, ...] = ()
    agents: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    states: tuple[SessionState, ...] = ()
    tools: tuple[str, ...] = ()
    files: tuple[Term, ...] = ()
    failed: tuple[Term, ...] = ()
    is_: tuple[Flag, ...] = ()

    @property
    def has_places(self) -> bool:
        """Whether a condition is met at places in a run, not by the run as a whole."""
        return bool(self.terms or self.tools or self.files or self.failed)

    @property
    def texts(self) -> tuple[Term, ...]:
        """The terms that are searched in texts: the words of ``failed:`` are also words."""
        return self.terms + self.failed


class Query(Conditions, frozen=True, kw_only=True):
    """What a run has to meet: its own conditions, and none of ``excluded`` (each of which counts alone).

    ``since`` and ``before`` are UTC: the run was active at or after the one, and began before the other. ``now`` is the
    moment that relative times and ``is:live`` refer to.
    """

    excluded: Conditions = Conditions()
    since: datetime | None = None
    before: datetime | None = None
    now: datetime

    @property
    def is_empty(self) -> bool:
        """Whether it has no condition at all, so that every run meets it."""
        return self == Query(now=self.now)

    @property
    def index_tokens(self) -> tuple[tuple[str, bool], ...]:
        """Tokens that every matching run has in its texts, each once, with whether it is the beginning of a token."""
        found: dict[tuple[str, bool], None] = {}
        for term in (*self.terms, *self.files, *self.failed, *(tool_term(tool) for tool in self.tools)):
            found.update((entry, None) for entry in index_entries(term))
        return tuple(found)


def index_entries(term: Term) -> tuple[tuple[str, bool], ...]:
    """The tokens of a term, each with whether it is the beginning of a token of the text."""
    last = len(term.tokens) - 1
    return tuple((token, term.kind == "prefix" and place == last) for place, token in enumerate(term.tokens))


def tool_term(tool: str) -> Term:
    """The words of a tool's name, which the texts of its calls have. It may have none."""
    return _term("word", tool)


_TEXT_FIELDS = {"agent": "agents", "project": "projects", "model": "models", "branch": "branches", "user": "users"}
_TERM_FIELDS = {"file": "files", "failed": "failed"}
FIELDS = (*_TEXT_FIELDS, "state", "tool", *_TERM_FIELDS, "is", "since", "before")
"""The fields of the language."""

_FIELD = re.compile(r"([a-z]{2,}):(?!//|:)")
_UNKNOWN_VALUE = re.compile(r'(?:"|[^\W\d_])[^\s:]*(?:\s|$)')
_QUOTED = re.compile(r'"((?:[^"]|"")*)(?:"|$)')
_PLAIN = re.compile(r"\S+")
_AGO = re.compile(r"(\d{1,9})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MOMENTS = "7d, 12h, 2w, 30m, 2026-03-01 or 2026-03-01T14:30"


class Part(NamedTuple):
    """A part of a query: ``field`` is empty for a word or phrase.

    It stands from ``start`` to ``end``, its value from ``value_start``. ``closed`` is set where a quote ends it.
    """

    field: str
    value: str
    quoted: bool
    excluded: bool
    start: int = 0
    value_start: int = 0
    end: int = 0
    closed: bool = False


def parse_query(text: str, *, now: datetime) -> Query:
    """The conditions of a query. A date is a day in the time zone of ``now``, which must be aware.

    The empty text gives a query without conditions. Raises ValidationError with one sentence for an unknown field, for
    a value that a field cannot have, for a text without any letter or digit, and beyond 4,096 characters or 64
    conditions.
    """
    if not isinstance(text, str):
        raise ValidationError("query", f"must be text, not {type(text).__name__}")
    if len(text) > MAX_CHARS:
        raise ValidationError("query", f"has {len(text):,} characters; the most are {MAX_CHARS:,}")
    reader = _Reader(now)
    for part in parts_of(text):
        reader.add(part)
    if not reader.count and text.strip():
        raise ValidationError("query", "there is no letter or digit to search for", hint="type a word")
    if reader.count > MAX_TERMS:
        raise ValidationError("query", f"has {reader.count} conditions; the most are {MAX_TERMS}")
    return reader.query()


def quote(text: str) -> str:
    """A text in quotes, as a phrase or as the value of a field."""
    return '"' + text.replace('"', '""') + '"'


def as_typed(text: str) -> str:
    """The query while it is typed: its last word is the beginning of one, unless a space or a quote ends it.

    A single ASCII letter stays a word, for it begins nearly everything. Raises ValidationError for an unknown field.
    """
    parts = parts_of(text)
    if not parts or text[-1].isspace() or len(text) >= MAX_CHARS:
        return text
    last = parts[-1]
    typed = tokens(last.value)
    is_word = not (last.quoted or last.excluded) and last.field in ("", *_TERM_FIELDS)
    if not is_word or not typed or not tokens(last.value[-1]) or (len(typed[-1]) == 1 and typed[-1].isascii()):
        return text
    return text + "*"


def parts_of(text: str) -> list[Part]:
    """The parts of a query, in order. Raises ValidationError for an unknown field."""
    parts, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        start = at
        # "--flag" is an option that was pasted, and a minus before a space or at the end is a symbol.
        excluded = text[at] == "-" and at + 1 < len(text) and not text[at + 1].isspace() and text[at + 1] != "-"
        at += excluded
        field = _field_at(text, at)
        if field:
            at += len(field) + 1
        quoted = _QUOTED.match(text, at)
        if quoted is not None:
            value, end = quoted[1].replace('""', '"'), quoted.end()
            parts.append(Part(field, value, True, excluded, start, at, end, end > quoted.end(1)))
        else:
            plain = _PLAIN.match(text, at)
            value = plain[0] if plain is not None else ""
            end = at + len(value)
            parts.append(Part(field, value, False, excluded, start, at, end))
        at = end
    return parts


def _field_at(text: str, at: int) -> str:
    """The name of the field that begins there; empty for a word. Raises ValidationError for an unknown field."""
    found = _FIELD.match(text, at)
    if found is None:
        return ""
    name = found[1]
    if name in FIELDS:
        return name
    # An unknown name is an error only if it looks like a field: `localhost:8080` and `path:line:column` do not.
    if _UNKNOWN_VALUE.match(text, found.end()) is None:
        return ""
    from difflib import get_close_matches

    near = get_close_matches(name, FIELDS, n=1)
    raise ValidationError(
        "query",
        f"{name}: is no field" + (f"; did you mean {near[0]}:?" if near else ""),
        hint=f"the fields are {', '.join(FIELDS)}; put it in quotes to search for it",
    )


def _term(kind: Literal["word", "phrase", "prefix"], text: str) -> Term:
    return Term(kind, text, tokens(text))


class _Reader:
    """Collects the conditions of a query, part by part."""

    def __init__(self, now: datetime) -> None:
        self.count = 0
        self._now = now
        self._found: dict[bool, dict[str, list[object]]] = {False: {}, True: {}}
        self._since: datetime | None = None
        self._before: datetime | None = None

    def add(self, part: Part) -> None:
        if not part.field:
            term = _term_of(part)
            if term.tokens:
                self._add("terms", term, part)
            return
        if not part.value.strip():
            raise ValidationError("query", f"{part.field}: needs a value after the colon, without a space")
        if part.field in _TEXT_FIELDS:
            self._add(_TEXT_FIELDS[part.field], part.value, part)
        elif part.field in _TERM_FIELDS:
            term = _term_of(part)
            if not term.tokens:
                raise ValidationError("query", f"{part.field}: needs a value with a letter or digit")
            self._add(_TERM_FIELDS[part.field], term, part)
        elif part.field == "tool":
            self._add("tools", part.value, part)
        elif part.field == "state":
            self._add("states", _state(part.value), part)
        elif part.field == "is":
            self._add("is_", _flag(part.value), part)
        else:
            self._add_moment(part)

    def query(self) -> Query:
        own, excluded = ({name: tuple(values) for name, values in self._found[out].items()} for out in (False, True))
        given = {"since": self._since, "before": self._before, "now": self._now, **own}
        return Query(**given, excluded=Conditions(**excluded))  # type: ignore[arg-type]

    def _add(self, name: str, value: object, part: Part) -> None:
        self.count += 1
        values = self._found[part.excluded].setdefault(name, [])
        if value not in values:
            values.append(value)

    def _add_moment(self, part: Part) -> None:
        if part.excluded:
            other = "before" if part.field == "since" else "since"
            raise ValidationError("query", f"{part.field}: cannot be excluded", hint=f"use {other}: instead")
        self.count += 1
        moment = _moment(part.field, part.value, self._now)
        if part.field == "since":
            self._since = moment if self._since is None else max(self._since, moment)
        else:
            self._before = moment if self._before is None else min(self._before, moment)


def _term_of(part: Part) -> Term:
    if part.quoted:
        return _term("phrase", part.value)
    stem = part.value.rstrip("*")
    # Only an asterisk that ends a token makes a prefix of it: `src/*` is every name within.
    if stem != part.value and stem and (found := tokens(stem)) and tokens(stem[-1]):
        return Term("prefix", stem, found)
    return _term("word", part.value)


def _state(value: str) -> SessionState:
    given = "".join(char for char in value.lower() if char.isalpha())
    for state in SessionState:
        if state.lower() == given:
            return state
    raise ValidationError("query", "state: needs the name of a state", hint=f"the states are {', '.join(SessionState)}")


def _flag(value: str) -> Flag:
    for flag in FLAGS:
        if flag == value.lower():
            return flag
    raise ValidationError("query", "is: needs one of its values", hint=f"they are {', '.join(FLAGS)}")


def _moment(field: str, value: str, now: datetime) -> datetime:
    try:
        ago = _AGO.fullmatch(value)
        if ago is not None:
            return (now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).astimezone(UTC)
        if len(value) <= 10:
            return datetime.combine(datetime.fromisoformat(value).date(), time(), now.tzinfo).astimezone(UTC)
        given = datetime.fromisoformat(value)
        return (given if given.tzinfo is not None else given.replace(tzinfo=now.tzinfo)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValidationError("query", f"{field}: is no moment", hint=f"give one such as {_MOMENTS}") from None
