"""What was said in a task or a step: the indexed prompts and answers that its name may repeat."""

import sqlite3

from acode_tui.domain.search.places import Place, places_of_run
from acode_tui.domain.states import ArtifactType, EntityType
from acode_tui.storage.sqlite.search.searched_rows import rows_among

_TYPES = f"t.type IN ('{ArtifactType.USER_PROMPT.value}', '{ArtifactType.MODEL_RESPONSE.value}')"
# A row that came since the index caught up is found by the next search, so nothing repeats it yet.
_INDEXED = "t.rowid <= (SELECT upto FROM search_marks WHERE kind = 'artifact')"
_OF_TASK = f"""
SELECT t.rowid FROM artifacts AS t WHERE t.task_id = ? AND t.step_id IS NULL AND t.tool_call_id IS NULL
AND {_TYPES} AND {_INDEXED}
"""  # noqa: S608
_OF_STEP = f"""
SELECT t.rowid FROM artifacts AS t WHERE t.step_id = ? AND t.tool_call_id IS NULL AND {_TYPES} AND {_INDEXED}
"""  # noqa: S608
_FIRST_PROMPTED = f"""
SELECT k.id FROM session_tasks AS k WHERE k.session_id = ? AND EXISTS (
    SELECT 1 FROM artifacts AS t WHERE t.task_id = k.id AND t.step_id IS NULL
    AND t.type = '{ArtifactType.USER_PROMPT.value}' AND {_INDEXED}
) ORDER BY k."order", k.rowid LIMIT 1
"""  # noqa: S608


class SaidThere:
    """Reads what was said in the tasks and steps of one snapshot. Answers are kept."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[str, list[Place]] = {}

    def of(self, place: Place) -> list[Place]:
        """The prompts and answers that a run's, a task's or a step's text may be made of; of others there is none.

        Those of the run itself are those of its first task with a prompt.
        """
        if place.kind == "session":
            found = self._connection.execute(_FIRST_PROMPTED, (place.session_id,)).fetchone()
            return [] if found is None else self._said(_OF_TASK, found[0])
        if place.kind == "task" and place.task_id is not None:
            return self._said(_OF_TASK, place.task_id)
        if place.kind == "step" and place.step_id is not None:
            return self._said(_OF_STEP, place.step_id)
        return []

    def _said(self, sql: str, row_id: str) -> list[Place]:
        if row_id not in self._known:
            rowids = [rowid for (rowid,) in self._connection.execute(sql, (row_id,))]
            rows = rows_among(self._connection, EntityType.ARTIFACT, rowids) if rowids else []
            self._known[row_id] = list(places_of_run(row.entity for row in rows))
        return self._known[row_id]
