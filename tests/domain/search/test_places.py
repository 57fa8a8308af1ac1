"""What is searched: the texts of each entity."""

from typing import Any

import msgspec
import pytest
from hypothesis import given

from acode_tui.domain.entities import Artifact, SessionGraph, ToolCall
from acode_tui.domain.search.places import (
    MAX_TEXT,
    artifact_kind,
    artifact_text,
    json_texts,
    paths_in,
    places_of_run,
    texts_of,
)
from acode_tui.domain.states import ArtifactType
from tests.domain.graphs import graphs
from tests.domain.search.runs import call, make_run


def test_every_text_of_a_run_is_a_place_with_its_ids() -> None:
    output = (ArtifactType.COMMAND_OUTPUT, "stdout", "3 passed")
    run = make_run(
        "Fix the login",
        (
            call("Bash", {"command": "pytest -q"}, result={"exit": "ok"}, artifacts=(output,)),
            call("Read", error="gone"),
        ),
        metadata={"source": "codex", "deep": [{"key": "value"}]},
    )
    task = run.tasks[0]
    step = task.steps[0]
    first, second = step.tool_calls
    places = list(places_of_run(run.entities()))
    assert [(place.kind, place.text) for place in places] == [
        ("session", "Fix the login\nsource\ncodex\ndeep\nkey\nvalue"),
        ("task", "a task"),
        ("step", "a step"),
        ("call", "Bash\ncommand\npytest -q"),
        ("result", "exit\nok"),
        ("output", "stdout\n3 passed"),
        ("call", "Read"),
        ("error", "gone"),
    ]
    ids = [(place.task_id, place.step_id, place.tool_call_id, place.artifact_id) for place in places]
    assert ids == [
        (None, None, None, None),
        (task.id, None, None, None),
        (task.id, step.id, None, None),
        (task.id, step.id, first.id, None),
        (task.id, step.id, first.id, None),
        (task.id, step.id, first.id, first.artifacts[0].id),
        (task.id, step.id, second.id, None),
        (task.id, step.id, second.id, None),
    ]
    assert {place.session_id for place in places} == {run.id}
    assert [place.at for place in places[3:5]] == [first.created_at, first.completed_at]
    assert [(place.tool, place.failed) for place in places[2:]] == [
        (None, False),
        *[("Bash", False)] * 3,
        *[("Read", True)] * 2,
    ]


@given(graphs())
def test_the_texts_for_the_index_are_those_of_the_places(run: SessionGraph) -> None:
    entities = list(run.entities())
    indexed = [text for entity in entities for text in texts_of(entity)]
    assert indexed == [place.text for place in places_of_run(entities) if place.text]


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        *(
            ("UserPrompt", "prompt"),
            ("ModelResponse", "answer"),
            ("Reasoning", "reasoning"),
            ("FileContent", "content"),
        ),
        *(
            ("FileWrite", "content"),
            ("FileDiff", "content"),
            ("CommandOutput", "output"),
            ("SearchResult", "output"),
            ("Image", "image"),
            ("SomethingNewer", "content"),
        ),
    ],
)
def test_the_kind_of_an_artifact_is_by_its_type(type_: str, kind: str) -> None:
    assert artifact_kind(type_) == kind


def test_every_artifact_type_has_a_kind_of_its_own_or_shares_one() -> None:
    assert all(artifact_kind(type_) for type_ in ArtifactType)


@pytest.mark.parametrize(
    ("content_type", "content", "expected"),
    [
        ("text/plain", b"a\x00b", "name\na\x00b"),
        ("text/plain; charset=utf-8", "ü".encode() + b"\xff", "name\nü\ufffd"),
        ("application/x-sh", b"echo hi", "name\necho hi"),
        ("application/octet-stream", b"echo", "name"),
        ("image/png", b"abc", "name"),
        ("x/unknown", b"a\x00b", "name"),
        ("application/json", b'{"a": "x\\ny", "n": 1}', "name\na\nx\ny\nn"),
        ("application/json", b'{"a": "x\\ny\\u00fc", "b": "cut', 'name\n{"a": "x\nyü", "b": "cut'),
        ("text/plain", b"x" * (MAX_TEXT + 9), "name\n" + "x" * MAX_TEXT),
        ("text/plain", None, "name"),
    ],
)
def test_the_text_of_an_artifact(content_type: str, content: bytes | None, expected: str) -> None:
    assert artifact_text("name", content_type, content) == expected


def test_an_image_is_searched_by_its_name_alone() -> None:
    assert artifact_text("shot.svg", "text/xml", b"<svg>", "Image") == "shot.svg"


def test_the_strings_and_keys_of_json_in_order_up_to_a_limit() -> None:
    value: Any = {"a": ["x", {"b": "y\n"}, 1, None, True, ""], "c": "z"}
    assert json_texts(value) == ["a", "x", "b", "y\n", "c", "z"]
    assert json_texts("text") == ["text"]
    assert json_texts(None) == []
    assert json_texts({"a": "12345", "b": "never"}, 3) == ["a", "12"]
    deep: Any = "end"
    for _ in range(5_000):
        deep = [deep]
    assert json_texts(deep) == ["end"]


def test_long_texts_of_a_call_are_searched_up_to_the_limit() -> None:
    (run,) = (make_run(calls=(call("Bash", {"a": "x" * 2 * MAX_TEXT}, result="y" * 2 * MAX_TEXT),)),)
    (made,) = [entity for entity in run.entities() if isinstance(entity, ToolCall)]
    assert [len(text) for text in texts_of(made)] == [MAX_TEXT, MAX_TEXT]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"file_path": "/a/b.py"}, ["/a/b.py"]),
        ({"file_path": "C:\\a b\\c.txt"}, ["C:\\a b\\c.txt", "C:\\a", "b\\c.txt"]),
        ({"command": "cat 'src/x.ts' > out.log"}, ["cat 'src/x.ts' > out.log", "src/x.ts", "out.log"]),
        ({"pattern": "login", "path": "src"}, []),
        ({"content": "import a.b\nfrom c/d"}, []),
        ("README.md", ["README.md"]),
        (None, []),
    ],
)
def test_file_names_in_parameters(parameters: Any, expected: list[str]) -> None:
    assert paths_in(json_texts(parameters)) == expected


def test_an_artifact_without_loaded_content_has_its_name() -> None:
    run = make_run(calls=(call(artifacts=((ArtifactType.FILE_WRITE, "a.py", "body"),)),))
    (artifact,) = [entity for entity in run.entities() if isinstance(entity, Artifact)]
    assert texts_of(msgspec.structs.replace(artifact, content=None)) == ("a.py",)
