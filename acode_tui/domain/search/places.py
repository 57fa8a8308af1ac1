"""What is searched: the texts of each entity, and what kind of place each is.

The index, the linear scan and PostgreSQL take their texts from here, so that they agree. Of each text the first 64 KiB
count. A session's event has none.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from acode_tui.domain.entities import Artifact, Entity, Session, SessionTask, Step, ToolCall
from acode_tui.domain.states import ToolCallState

MAX_TEXT = 64 * 1024
"""Characters of a text that are searched; of an artifact's content it is the first so many bytes."""

Kind = Literal[
    "session",
    "task",
    "step",
    "call",
    "result",
    "error",
    "prompt",
    "answer",
    "reasoning",
    "content",
    "output",
    "image",
]

_ARTIFACT_KINDS: dict[str, Kind] = {
    "UserPrompt": "prompt",
    "ModelResponse": "answer",
    "Reasoning": "reasoning",
    "FileContent": "content",
    "FileWrite": "content",
    "FileDiff": "content",
    "CommandOutput": "output",
    "SearchResult": "output",
    "Image": "image",
}
_MAX_PATH = 1_024
_PATH_PIECE = re.compile(r"[^\s\"'`<>|;,()=\[\]{}]+")
_MAX_EXTENSION = 10
_BINARY = re.compile(r"(image|audio|video|font)/|application/(octet-stream|zip|gzip|x-tar|pdf)")
_JSON_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A text of a run, and where it stands. ``at`` is when it came to be.

    ``tool``, ``failed`` and ``parameters`` are of the tool call that the place belongs to: its name, whether it failed,
    and the texts of its parameters. ``name`` is an artifact's.
    """

    kind: Kind
    at: datetime
    text: str
    session_id: str
    task_id: str | None = None
    step_id: str | None = None
    tool_call_id: str | None = None
    artifact_id: str | None = None
    tool: str | None = None
    failed: bool = False
    parameters: tuple[str, ...] = ()
    name: str | None = None

    @property
    def paths(self) -> list[str]:
        """The file names in the call's parameters, and an artifact's own. Computed on demand: few queries need them."""
        found = paths_in(self.parameters)
        return found if self.name is None else [self.name, *found]


class _Call(NamedTuple):
    task_id: str | None
    step_id: str
    tool: str
    failed: bool
    parameters: tuple[str, ...]


def places_of_run(entities: Iterable[Entity]) -> Iterator[Place]:
    """The places of a run, given its entities with each parent before its children; artifacts with their content."""
    tasks: dict[str, str] = {}
    calls: dict[str, _Call] = {}
    for entity in entities:
        if isinstance(entity, Session):
            yield Place(kind="session", at=entity.created_at, text=session_text(entity), session_id=entity.id)
        elif isinstance(entity, SessionTask):
            yield Place(
                kind="task",
                at=entity.created_at,
                text=task_text(entity),
                session_id=entity.session_id,
                task_id=entity.id,
            )
        elif isinstance(entity, Step):
            tasks[entity.id] = entity.task_id
            yield Place(
                kind="step",
                at=entity.created_at,
                text=step_text(entity),
                session_id=entity.session_id,
                task_id=entity.task_id,
                step_id=entity.id,
            )
        elif isinstance(entity, ToolCall):
            failed = entity.state is ToolCallState.FAILED
            given = tuple(json_texts(entity.parameters))
            call = calls[entity.id] = _Call(tasks.get(entity.step_id), entity.step_id, entity.tool_name, failed, given)
            yield _call_place(entity, call, "call", entity.created_at, joined_text(entity.tool_name, *given))
            outcome = outcome_text(entity)
            if outcome:
                at = entity.completed_at or entity.updated_at
                yield _call_place(entity, call, "error" if failed else "result", at, outcome)
        elif isinstance(entity, Artifact):
            yield _artifact_place(entity, calls.get(entity.tool_call_id or ""))


def texts_of(entity: Entity) -> tuple[str, ...]:
    """The texts of an entity that are searched, without empty ones."""
    found: tuple[str, ...] = ()
    if isinstance(entity, Artifact):
        found = (artifact_text(entity.name, entity.content_type, entity.content, entity.type.value),)
    elif isinstance(entity, ToolCall):
        found = (call_text(entity), outcome_text(entity))
    elif isinstance(entity, Session):
        found = (session_text(entity),)
    elif isinstance(entity, SessionTask):
        found = (task_text(entity),)
    elif isinstance(entity, Step):
        found = (step_text(entity),)
    return found if all(found) else tuple([text for text in found if text])


def paths_of(entity: Entity) -> list[str]:
    """The file names that an entity itself has: those in a call's parameters, and an artifact's name."""
    if isinstance(entity, ToolCall):
        return paths_in(json_texts(entity.parameters))
    return [entity.name] if isinstance(entity, Artifact) else []


def session_text(session: Session) -> str:
    """What a session was asked, and its metadata."""
    return joined_text(session.task_description, value=session.metadata)


def task_text(task: SessionTask) -> str:
    return joined_text(task.title, task.description, value=task.metadata)


def step_text(step: Step) -> str:
    return joined_text(step.name, step.description)


def call_text(call: ToolCall) -> str:
    """A call's tool and its parameters."""
    return joined_text(call.tool_name, value=call.parameters)


def outcome_text(call: ToolCall) -> str:
    """A call's result and its error; empty where it has neither."""
    return joined_text(call.error_message, value=call.result)


def joined_text(*texts: str | None, value: Any = None) -> str:
    """A place's text: the texts of a row, without empty ones, and the strings of a JSON value, a line each."""
    given = texts if value is None else (*texts, *json_texts(value))
    return "\n".join([text for text in given if text])[:MAX_TEXT]


def artifact_text(name: str, content_type: str, content: bytes | None, type_: str = "") -> str:
    """An artifact's name and, where that is text, its content. ``content`` may be its first 64 KiB alone."""
    if not content or type_ == "Image" or not is_text(content_type, content):
        return name
    text = content[:MAX_TEXT].decode("utf-8", "replace")
    if "json" in content_type:
        text = _unescaped(text)
    return f"{name}\n{text}"


def is_text(content_type: str, content: bytes) -> bool:
    """Whether content is text, as far as its type says so; otherwise text is what has no NUL."""
    given = content_type.lower()
    return given.startswith("text/") or not (_BINARY.match(given) or b"\x00" in content[:MAX_TEXT])


def artifact_kind(type_: str) -> Kind:
    """The kind of place that an artifact of a type is."""
    return _ARTIFACT_KINDS.get(type_, "content")


def json_texts(value: Any, limit: int = MAX_TEXT) -> list[str]:
    """The strings of a JSON value in order, keys included, of ``limit`` characters together."""
    if type(value) is dict and (plain := _texts_of_plain(value)) is not None and sum(map(len, plain)) <= limit:
        return plain
    found: list[str] = []
    stack = [iter((value,))]
    while stack and limit > 0:
        for item in stack[-1]:
            if isinstance(item, str):
                if item:
                    found.append(item[:limit])
                    limit -= len(item)
                    if limit <= 0:
                        break
            elif isinstance(item, dict):
                stack.append(piece for pair in item.items() for piece in pair)
                break
            elif isinstance(item, (list, tuple)):
                stack.append(iter(item))
                break
        else:
            stack.pop()
    return found


def _texts_of_plain(value: dict[Any, Any]) -> list[str] | None:
    """The strings of an object without objects and lists in it, as most are; None for any other."""
    found: list[str] = []
    for key, item in value.items():
        if type(item) is str:
            found += (key, item)
        elif isinstance(item, (dict, list, tuple)):
            return None
        else:
            found.append(key)
    return [text for text in found if text]


def paths_in(texts: Iterable[str]) -> list[str]:
    """The file names in the texts of a call's parameters: one line, or words of it, with a slash or an extension."""
    found: dict[str, None] = {}
    for text in texts:
        if len(text) <= _MAX_PATH and "\n" not in text and _is_path(text):
            found[text] = None
            found.update((piece, None) for piece in _PATH_PIECE.findall(text) if _is_path(piece))
    return list(found)


def _is_path(text: str) -> bool:
    return "/" in text or "\\" in text or _has_extension(text)


def _has_extension(text: str) -> bool:
    """Whether a text without slashes ends in a dot and up to ten letters, digits or underscores, behind a name."""
    # Most texts have no dot there: finding that out takes a tenth of the time of a pattern.
    dot = text.rfind(".", -_MAX_EXTENSION - 1)
    if dot < 1 or text[dot - 1] == ".":
        return False
    extension = text[dot + 1 :]
    return extension.isascii() and extension.replace("_", "a").isalnum()


def _call_place(call: ToolCall, known: _Call, kind: Kind, at: datetime, text: str) -> Place:
    return Place(
        kind=kind,
        at=at,
        text=text,
        session_id=call.session_id,
        task_id=known.task_id,
        step_id=known.step_id,
        tool_call_id=call.id,
        tool=known.tool,
        failed=known.failed,
        parameters=known.parameters,
    )


def _artifact_place(artifact: Artifact, call: _Call | None) -> Place:
    return Place(
        kind=artifact_kind(artifact.type),
        at=artifact.created_at,
        text=artifact_text(artifact.name, artifact.content_type, artifact.content, artifact.type),
        session_id=artifact.session_id,
        task_id=artifact.task_id,
        step_id=artifact.step_id,
        tool_call_id=artifact.tool_call_id,
        artifact_id=artifact.id,
        tool=call.tool if call is not None else None,
        failed=call is not None and call.failed,
        parameters=call.parameters if call is not None else (),
        name=artifact.name,
    )


def _unescaped(text: str) -> str:
    """JSON text as the strings in it: `\\n` is a line break, not the letter n."""
    try:
        return "\n".join(json_texts(msgspec.json.decode(text)))
    except (msgspec.DecodeError, RecursionError):
        # It is cut off, or it is no JSON.
        return _JSON_ESCAPE.sub(_unescape_one, text)


def _unescape_one(match: re.Match[str]) -> str:
    escape = match[0][1:]
    if escape[0] == "u":
        char = chr(int(escape[1:], 16))
        return char if not "\ud800" <= char <= "\udfff" else " "
    return escape if escape in '"\\/' else "\n"
