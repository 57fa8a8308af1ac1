"""The ids that an import of a transcript gives now to what an earlier build imported of it.

An id of an imported row is made of what it hangs on. Where that has changed, another import of the transcript would add
the row once more beside one with its former id. A former id is replaced only if it can be made again from the row: a
recorded run has other ids, and so has a content that was redacted.
"""

from collections.abc import Iterable

from acode_tui.domain.clock import format_time
from acode_tui.domain.entities import Artifact, Session, Step
from acode_tui.domain.ids import ImportedIds
from acode_tui.domain.states import ArtifactType
from acode_tui.domain.validation import unescape

_MISSING_CALL = "missing call"


class PresentIds:
    """The ids of one run. Steps are asked for in their order."""

    def __init__(self, run: Session) -> None:
        self._source = str((run.metadata or {}).get("source"))
        self._id = ImportedIds(self._source, run.id).id
        self._steps = 0

    def of_step(self, step: Step, prompt_call: str | None) -> str:
        """The id of a step. The first one of a long prompt took its id from that; ``prompt_call`` held the prompt."""
        number = self._steps
        self._steps += 1
        if prompt_call is None or prompt_call != self._id("carrier", step.id, "(prompt)"):
            return step.id
        key = f"step:{number}" if self._source == "codex" else (step.metadata or {}).get("messageId")
        return self._id("step", unescape(key)) if isinstance(key, str) else step.id

    def of_prompt(self, artifact: Artifact, call_id: str) -> str:
        """The id of a long prompt, which hangs on its task."""
        if not self._is(artifact, call_id, "0", ArtifactType.FILE_CONTENT):
            return artifact.id
        return self._artifact(artifact, artifact.task_id, "prompt", artifact.type)

    def of_text(self, artifact: Artifact, call_id: str, index: int) -> str:
        """The id of a piece of the model's text, which hangs on its step; ``index`` counts from 0 in the step."""
        if artifact.step_id is None or not self._is(artifact, call_id, str(index), artifact.type):
            return artifact.id
        return self._artifact(artifact, artifact.step_id, str(index), artifact.type)

    def of_result(self, artifact: Artifact, call_id: str, key: object, labels: Iterable[str]) -> tuple[str, str]:
        """The id and the name of a result whose call is missing. ``key`` was that call's native id."""
        name = artifact.name.replace("(unclaimed result)", _MISSING_CALL, 1)
        label = next((each for each in labels if self._is(artifact, call_id, each, artifact.type)), None)
        if label is None or artifact.step_id is None or not isinstance(key, str):
            return artifact.id, artifact.name
        label = f"{label} of {unescape(key)}"
        return self._artifact(artifact, artifact.step_id, label, artifact.type, name), name

    def _is(self, artifact: Artifact, call_id: str, label: str, type: ArtifactType) -> bool:
        return artifact.id == self._artifact(artifact, call_id, label, type)

    def _artifact(
        self, artifact: Artifact, holder: str, label: str, type: ArtifactType, name: str | None = None
    ) -> str:
        at = format_time(artifact.created_at)
        return self._id(
            "artifact",
            holder,
            label,
            type,
            artifact.name if name is None else name,
            artifact.content_type,
            at,
            artifact.content_hash,
        )
