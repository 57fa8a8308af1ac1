"""The demo's runs are generated from a seed, and real agents could have recorded them."""

import struct
import zlib
from collections import Counter
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from random import Random

from acode_tui.demo.demo import record
from acode_tui.demo.generated_runs import DEAD_LETTER, OPEN, REFUSED_TOOL, PlannedRun, RunGenerator, past_runs
from acode_tui.demo.transcripts import write_transcripts
from acode_tui.domain.states import ArtifactType, SessionState
from acode_tui.domain.validation import Limits, validate_graph
from acode_tui.ingest.discover import discover
from acode_tui.ingest.importer import import_transcripts
from acode_tui.workspace import Workspace

NOW = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)


def runs(seed: int, count: int = 40) -> list[PlannedRun]:
    return list(islice(RunGenerator(Random(seed)), count))


def test_the_same_seed_gives_the_same_runs() -> None:
    assert runs(7) == runs(7)
    assert runs(7) != runs(8)


def test_the_pace_multiplies_the_length_of_calls_and_nothing_else() -> None:
    usual, slow = RunGenerator(Random(7)).run(), RunGenerator(Random(7), pace=10).run()
    calls = [[call for task in run.tasks for step in task.steps for call in step.calls] for run in (usual, slow)]
    for one, other in zip(*calls, strict=True):
        assert other.seconds == one.seconds * 10
        assert other.parameters == one.parameters


def test_some_runs_fail_and_most_succeed() -> None:
    failing = [run for run in runs(7, 200) if any(_fails(run))]
    assert 10 < len(failing) < 60


def test_prompts_answers_and_reasoning_hang_on_tasks_and_steps_and_images_on_calls() -> None:
    tasks = [task for run in runs(7) for task in run.tasks]
    steps = [step for task in tasks for step in task.steps]
    calls = [call for step in steps for call in step.calls]
    assert {content.type for task in tasks for content in task.contents} == {ArtifactType.USER_PROMPT}
    said = {content.type for step in steps for content in step.contents}
    assert said == {ArtifactType.MODEL_RESPONSE, ArtifactType.REASONING}
    made = {call.content.type for call in calls if call.content is not None}
    assert ArtifactType.IMAGE in made
    assert not made & (said | {ArtifactType.USER_PROMPT})
    assert "assistant" not in {call.tool for call in calls}


def test_the_image_is_one_that_programs_can_read() -> None:
    calls = [call for run in runs(7) for task in run.tasks for step in task.steps for call in step.calls]
    image = next(call.content.data for call in calls if call.content and call.content.type is ArtifactType.IMAGE)
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    place, chunks = 8, {}
    while place < len(image):
        length, kind = struct.unpack_from(">I4s", image, place)
        data = image[place + 8 : place + 8 + length]
        assert struct.unpack_from(">I", image, place + 8 + length)[0] == zlib.crc32(kind + data)
        chunks[kind] = data
        place += 12 + length
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    assert len(zlib.decompress(chunks[b"IDAT"])) == 64 * 65


def _fails(run: PlannedRun) -> list[bool]:
    steps = [step for task in run.tasks for step in task.steps if not step.is_abandoned]
    return [bool(call.error) for step in steps for call in step.calls if call.error]


def test_past_runs_are_valid_and_some_have_not_ended() -> None:
    graphs = list(past_runs(60, workspace_id="0190d6a1-0000-7000-8000-000000000001", now=NOW, random=Random(7)))
    for graph in graphs:
        validate_graph(graph, Limits())
        assert graph.updated_at < NOW
        assert graph.events[-1].to_state is graph.state
    assert [graph.updated_at for graph in graphs] == sorted(graph.updated_at for graph in graphs)
    states = Counter(graph.state for graph in graphs)
    assert states[SessionState.COMPLETED] > states[SessionState.FAILED] > 0
    assert sum(states[state] for state in OPEN) >= 8


async def test_the_import_reads_the_transcripts_without_an_error(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "transcripts"
    write_transcripts(folder, 5, now=NOW, random=Random(7))
    found = await discover([folder])
    assert {each.format for each in found} == {"claude-code"}
    report = await import_transcripts(workspace.transcripts, found, workspace_id=workspace.workspace_id)
    assert (report.files, report.sessions, report.errors, report.skipped_lines) == (5, 5, (), 0)
    assert report.tool_calls > 20
    states = {session.state for session in await workspace.store.list()}
    assert states <= {SessionState.COMPLETED, SessionState.FAILED, SessionState.EXECUTING}


async def test_an_agent_records_the_generated_run(workspace: Workspace) -> None:
    from acode_tui import recorder

    asleep: list[float] = []

    async def sleep(seconds: float) -> None:
        asleep.append(seconds)

    generator = RunGenerator(Random(3))
    wanted = [generator.refused(), generator.dead_letter(), generator.run()]
    try:
        for run in wanted:
            await record(workspace.root, run, sleep=sleep)
    finally:
        recorder.close()
    page = await workspace.store.list()
    stored = {session.task_description: await workspace.store.get_with_hierarchy(session.id) for session in page}
    for run in wanted:
        graph = stored[run.description]
        assert [task.title for task in graph.tasks] == [task.title for task in run.tasks]
        assert graph.metadata == run.metadata
        assert graph.state is SessionState.COMPLETED
        for task, planned in zip(graph.tasks, run.tasks, strict=True):
            assert [each.name for each in task.artifacts] == [each.name for each in planned.contents]
            for step, planned_step in zip(task.steps, planned.steps, strict=True):
                assert [each.name for each in step.artifacts] == [each.name for each in planned_step.contents]
    assert stored[wanted[0].description].tasks[0].steps[0].tool_calls[0].tool_name == REFUSED_TOOL
    assert stored[wanted[1].description].tasks[0].steps[0].tool_calls[0].artifacts[0].name == DEAD_LETTER
    assert sum(asleep) > 0
