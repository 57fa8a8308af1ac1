"""The tables of the search index: derived data, which a file may lose without losing anything."""

from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite import fts5
from acode_tui.storage.sqlite.figures import tables as figures

INDEX = "search_index"
"""The FTS5 table of the documents' words."""

SEARCHED: dict[EntityType, str] = {
    EntityType.SESSION: "sessions",
    EntityType.SESSION_TASK: "session_tasks",
    EntityType.STEP: "steps",
    EntityType.TOOL_CALL: "tool_calls",
    EntityType.ARTIFACT: "artifacts",
}
"""The tables whose texts are indexed, parents before children."""

SHADOWS = tuple(f"{INDEX}{suffix}" for suffix in fts5.SHADOWS)
"""FTS5's own tables behind the index. Their SQL is the library's."""

DERIVED = (
    INDEX,
    "search_terms",
    "search_documents",
    "search_marks",
    "search_changes",
    "session_facts",
    *figures.TABLES,
)
"""What the index and the figures consist of, beside the shadow tables, in the order of creation."""

FORMAT = 3
"""The form of the index: of its words and its documents. An index of another form is made again."""

FORMAT_MARK = "format"
"""The kind of the mark that has the index's form."""

DERIVED_TABLES = frozenset({*DERIVED, *SHADOWS})

NEED_FTS5 = frozenset({INDEX, "search_terms", *SHADOWS})


def is_derived(name: str) -> bool:
    """Whether a table or index belongs to the search index or the figures."""
    return name.startswith(("search_", "session_facts", "figures_"))
