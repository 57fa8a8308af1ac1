"""The files that runs changed, and what each change added and removed. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from acode_tui.domain.display import session_name
from acode_tui.domain.entities import Artifact, Session, SessionGraph
from acode_tui.domain.states import ArtifactType
from acode_tui.tui.run.block_rows import clean_decoded
from acode_tui.tui.style.text import line

CHANGING = (ArtifactType.FILE_DIFF, ArtifactType.FILE_WRITE)


class Change(NamedTuple):
    """One change of a file: the artifact that holds it, and the run in which it was made."""

    path: str
    artifact: Artifact
    session_id: str
    run: str


@dataclass(slots=True)
class ChangedFile:
    """A file with its changes, oldest first. ``added`` and ``removed`` are lines, of the changes that were counted."""

    path: str
    changes: list[Change]
    added: int = 0
    removed: int = 0

    @property
    def runs(self) -> int:
        return len({change.session_id for change in self.changes})


def changes_in(graph: SessionGraph) -> list[Change]:
    """The changes of a run."""
    artifacts = (each for each in graph.entities() if isinstance(each, Artifact) and each.type in CHANGING)
    return changes_of(graph, artifacts)


def changes_of(session: Session, artifacts: Iterable[Artifact]) -> list[Change]:
    """The changes that artifacts of a run hold. Where a call recorded a diff and the whole file, the diff counts."""
    folder = str((session.metadata or {}).get("cwd") or "")
    found: dict[tuple[str | None, str], Change] = {}
    for artifact in artifacts:
        path = _path(artifact.name, folder)
        key = (artifact.tool_call_id or artifact.id, path)
        if key not in found or found[key].artifact.type is ArtifactType.FILE_WRITE:
            found[key] = Change(path, artifact, session.id, session_name(session))
    return list(found.values())


def lines_changed(artifact: Artifact, content: bytes) -> tuple[int, int]:
    """How many lines a change added and removed; a file that was written whole added all of its lines."""
    text = clean_decoded(content) or ""
    lines = text.split("\n")
    if artifact.type is ArtifactType.FILE_WRITE:
        return len(lines) - (not lines[-1]), 0
    added = sum(each.startswith("+") and not each.startswith("+++") for each in lines)
    removed = sum(each.startswith("-") and not each.startswith("---") for each in lines)
    return added, removed


def add_changes(files: dict[str, ChangedFile], counted: Iterable[tuple[Change, tuple[int, int]]]) -> None:
    """Add changes to the files by path."""
    for change, (added, removed) in counted:
        file = files.setdefault(change.path, ChangedFile(change.path, []))
        file.changes.append(change)
        file.changes.sort(key=lambda each: (each.artifact.created_at, each.artifact.id))
        file.added += added
        file.removed += removed


def newest_first(files: Iterable[ChangedFile]) -> list[ChangedFile]:
    """The files in the order of their last changes."""
    return sorted(files, key=lambda file: file.changes[-1].artifact.created_at, reverse=True)


def diff_text(file: ChangedFile, contents: Iterable[bytes | None]) -> str:
    """All changes of a file as one text, each below the run in which it was made. None is content too long to read."""
    return "\n".join(_of_change(change, content) for change, content in zip(file.changes, contents, strict=True))


def _of_change(change: Change, content: bytes | None) -> str:
    head = f"diff {line(change.run)}, {change.artifact.created_at:%Y-%m-%d %H:%M}"
    if content is None:
        return f"{head}\n(too long to be shown here)\n"
    text = (clean_decoded(content) or "(not text)").rstrip("\n")
    if change.artifact.type is ArtifactType.FILE_WRITE:
        text = "\n".join(_as_added(text))
    return f"{head}\n{text}\n"


def _as_added(text: str) -> Iterator[str]:
    lines = text.split("\n")
    yield f"@@ -0,0 +1,{len(lines)} @@"
    yield from (f"+{each}" for each in lines)


def _path(name: str, folder: str) -> str:
    path = PurePosixPath(name.removesuffix(".diff"))
    if folder and path.is_relative_to(folder):
        return str(path.relative_to(folder))
    return str(path)
