"""The list of all artifacts of a run: name, type, size."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from acode_tui.domain.entities import Artifact
from acode_tui.domain.quantities import size
from acode_tui.tui.bindings import OPENING
from acode_tui.tui.run.nodes import short_path
from acode_tui.tui.style.palette import ARTIFACT
from acode_tui.tui.widgets.keyed_table import Column, KeyedTable, Row


class ArtifactTable(KeyedTable):
    """Artifacts, in the order of the tree."""

    BINDINGS: ClassVar[list[BindingType]] = [*OPENING]

    def columns_for(self, width: int) -> tuple[Column, ...]:
        name, bytes_ = Column("name", "artifact"), Column("size", "size", 9, right=True)
        return (name, bytes_) if width < 64 else (name, Column("type", "type", 15), bytes_)

    def show_artifacts(self, artifacts: Sequence[Artifact]) -> None:
        self.show([(artifact.id, _row(artifact)) for artifact in artifacts])

    def on_resize(self) -> None:
        self.lay_out(max(self.size.width, 20))


def _row(artifact: Artifact) -> Row:
    mark = ARTIFACT[artifact.type]
    return {
        "name": (f"{mark.glyph} {short_path(artifact.name)}", "plain"),
        "type": (mark.word, "quiet"),
        "size": (size(artifact.size), "quiet"),
    }
