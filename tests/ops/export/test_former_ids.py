"""What an earlier build imported of a transcript is known again by an import of the same transcript."""

from typing import Any

import msgspec
import pytest

from acode_tui.domain.clock import format_time
from acode_tui.domain.codec import encode_json
from acode_tui.domain.entities import Artifact, SessionGraph, StepGraph, TaskGraph
from acode_tui.domain.ids import ImportedIds
from acode_tui.ops.export.former_format import FormerRun, present_form
from tests.ingest.builders import Claude, Codex, Transcript, graph_of

LONG = "A long prompt " * 100


def claude() -> Claude:
    found = Claude()
    found.user(LONG)
    found.says("m1", "I will look.")
    found.says("m1", "Now.")
    found.calls("m1", "c1", "Bash")
    found.result("c1", "ok")
    found.result("gone", "of another file", is_error=True)
    found.says("m2", "Done.")
    found.user("Short")
    found.says("m3", "Yes.")
    found.user(LONG + "2")
    return found


def codex() -> Codex:
    found = Codex()
    found.prompt("Short")
    found.says("One")
    found.calls("c1")
    found.output("c1", "x")
    found.output("gone", "of another file")
    found.prompt(LONG)
    found.says("Two")
    return found


class Former:
    """A run as an earlier build imported and exported it, made of the present one."""

    def __init__(self, graph: SessionGraph) -> None:
        self.graph = graph
        self.id = ImportedIds(str((graph.metadata or {})["source"]), graph.id).id

    def run(self) -> FormerRun:
        node = msgspec.json.decode(encode_json(self.graph))
        node["tasks"] = [self.task(task, node["tasks"][task.order]) for task in self.graph.tasks]
        return msgspec.convert(node, FormerRun)

    def task(self, task: TaskGraph, node: dict[str, Any]) -> dict[str, Any]:
        prompts = list(task.artifacts)
        steps = [self.step(step, node["steps"][step.order], task, prompts) for step in task.steps]
        if prompts and not steps:
            opening = {**node, "id": self.id("opening", task.id), "taskId": task.id, "name": "(no answer yet)"}
            call = self.call("(prompt)", opening, 0, prompts)
            steps = [opening | {"metadata": {"carrier": True}, "toolCalls": [call]}]
        return node | {"steps": steps}

    def step(self, step: StepGraph, node: dict[str, Any], task: TaskGraph, prompts: list[Artifact]) -> dict[str, Any]:
        calls = []
        if prompts and step.order == 0:
            node["id"] = self.id("opening", task.id)
            calls.append(self.call("(prompt)", node, 0, prompts))
        texts = [found for found in step.artifacts if not found.name.startswith("missing call")]
        if texts:
            calls.append(self.call("(response)", node, len(calls), texts))
        results = [found for found in step.artifacts if found not in texts]
        if results:
            calls.append(self.call("(unclaimed result)", node, len(calls), results))
        for call in node["toolCalls"]:
            calls.append(call | {"stepId": node["id"], "order": len(calls)})
        return node | {"toolCalls": calls}

    def call(self, name: str, step: dict[str, Any], order: int, artifacts: list[Artifact]) -> dict[str, Any]:
        is_result = name == "(unclaimed result)"
        call_id = self.id("call", "gone") if is_result else self.id("carrier", step["id"], name)
        held = []
        for index, artifact in enumerate(artifacts):
            label = "result" if is_result else str(index)
            title = artifact.name.replace("missing call", name)
            type_ = "FileContent" if name == "(prompt)" else artifact.type
            at, content_type = format_time(artifact.created_at), artifact.content_type
            identity = (label, type_, title, content_type, at, artifact.content_hash)
            former = msgspec.json.decode(encode_json(artifact))
            former |= {"id": self.id("artifact", call_id, *identity), "type": type_, "name": title}
            held.append(former | {"toolCallId": call_id})
        return step | {
            "id": call_id,
            "stepId": step["id"],
            "toolName": name,
            "parameters": {"carrier": True} | ({"callId": "gone"} if is_result else {}),
            "state": "Succeeded",
            "order": order,
            "artifacts": held,
        }


def ids(graph: SessionGraph) -> list[tuple[str, str, str]]:
    return [(entity.kind, entity.id, getattr(entity, "name", "")) for entity in graph.entities()]


@pytest.mark.parametrize("transcript", [claude(), codex()])
def test_a_run_of_an_earlier_import_has_the_ids_of_one_now(transcript: Transcript) -> None:
    graph = graph_of(transcript)
    former = Former(graph).run()
    assert ids(present_form(former)) == ids(graph)
    for task in present_form(former).tasks:
        for step in task.steps:
            assert {found.step_id for found in step.artifacts} <= {step.id}
            assert {found.step_id for found in step.tool_calls} <= {step.id}


def test_a_content_that_was_redacted_keeps_its_id() -> None:
    former = Former(graph_of(claude())).run()
    call = next(call for call in former.tasks[1].steps[0].tool_calls if call.tool_name == "(response)")
    (artifact,) = call.artifacts
    redacted = msgspec.structs.replace(artifact, content=b"-", content_hash="sha256:" + "0" * 64, size=1)
    step = msgspec.structs.replace(
        former.tasks[1].steps[0], tool_calls=(msgspec.structs.replace(call, artifacts=(redacted,)),)
    )
    task = msgspec.structs.replace(former.tasks[1], steps=(step,))
    run = msgspec.structs.replace(former, tasks=(former.tasks[0], task, *former.tasks[2:]))
    (kept,) = present_form(run).tasks[1].steps[0].artifacts
    assert kept.id == artifact.id
