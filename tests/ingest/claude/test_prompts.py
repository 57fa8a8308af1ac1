"""Which words of a Claude Code session are the user's, and where all other words go."""

import base64
from typing import Any

import pytest

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.states import ArtifactType
from acode_tui.ingest.claude.prompts import strip_tags
from tests.ingest.builders import Claude, graph_of, read, steps_of

TEAMMATE = '<teammate-message teammate_id="b" summary="Part B is done">\nDone.\n</teammate-message>'
HUMAN = {"origin": {"kind": "human"}}


def titles(graph: SessionGraph) -> list[str]:
    return [task.title for task in graph.tasks]


def notes(graph: SessionGraph) -> list[str]:
    """The reasons of the events that change no state."""
    return [event.reason for event in graph.events if event.from_state is event.to_state]


def said(text: Any, **fields: Any) -> SessionGraph:
    """A session with a prompt and its answer, then this text of a user line."""
    transcript = Claude(version="2.1.258")
    transcript.user("Draw the map", **HUMAN)
    transcript.says("m1", "Drawn.")
    transcript.user(text, **fields)
    transcript.says("m2", "Noted.")
    return graph_of(transcript)


@pytest.mark.parametrize(
    ("text", "fields", "about"),
    [
        ("Part B is done.", {"origin": {"kind": "peer"}}, "message of another session"),
        ("Part C is done.", {"origin": {"kind": "teammate"}}, "message of a teammate"),
        ("Hello", {"origin": {"kind": "bird"}}, "message of another origin (bird)"),
        ("It ended.", {"origin": {"kind": "task-notification"}, "promptSource": "system"}, "notification"),
        ("Go on where you were.", {"promptSource": "system"}, "injected text"),
        ("You have three tools.", {"isMeta": True}, "injected text"),
        ("# Deploying\nFirst build.", {"isMeta": True, "sourceToolUseID": "c1"}, "skill text"),
        ("Base directory for this skill: /skills/deploy\n\n# Deploying", {"isMeta": True}, "skill text"),
        ("Only to be seen", {"isVisibleInTranscriptOnly": True}, "injected text"),
        (TEAMMATE, {}, "message of a teammate"),
        (f"Another Claude session sent a message:\n{TEAMMATE}", {}, "message of another session"),
        ("[SYSTEM NOTIFICATION - NOT USER INPUT]\nA task ended.", {}, "notification"),
        ("<task-notification>\n<task-id>7</task-id>\n</task-notification>", {}, "notification"),
        ("Stop hook feedback:\n[lint.sh]: two errors", {}, "hook feedback"),
        ("<user-prompt-submit-hook>Mind the style</user-prompt-submit-hook>", {}, "hook feedback"),
        ("Base directory for this skill: /skills/deploy", {}, "skill text"),
        ("<local-command-stdout>Model set</local-command-stdout>", {}, "local command output"),
        ("<bash-input>git status</bash-input>", {}, "command of the user"),
        ("<bash-stdout>clean</bash-stdout><bash-stderr></bash-stderr>", {}, "output of the user's command"),
        ("<system-reminder>\nToday is Friday.\n</system-reminder>", {}, "reminder"),
    ],
)
def test_words_of_others_are_events_with_their_text_and_no_prompts(
    text: str, fields: dict[str, Any], about: str
) -> None:
    graph = said(text, **fields)
    assert titles(graph) == ["Draw the map"]
    (note,) = notes(graph)
    assert note.startswith(f"{about}: ")
    words = strip_tags(text)[1]
    assert (words[0][1] if words else text) in note


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("Now colour it", HUMAN),
        ("Now colour it", {"promptSource": "typed"}),
        ("Now colour it", {"promptSource": "sdk"}),
        ("Now colour it", {"origin": {"kind": 7}}),
        ("Now colour it", {"origin": {"kind": "a kind of later releases"}, "promptSource": "typed"}),
        ("Now colour it", {}),
        # A field outweighs a beginning: the user may quote what the program writes.
        ("Stop hook feedback: what does that mean?", HUMAN),
        ("Caveat: The messages below were generated, why?", {"promptSource": "typed"}),
    ],
)
def test_the_user_s_own_words_are_prompts(text: str, fields: dict[str, Any]) -> None:
    graph = said(text, **fields)
    assert titles(graph) == ["Draw the map", text]
    assert notes(graph) == []


def test_a_text_of_a_skill_does_not_replace_the_prompt_that_asked_for_it() -> None:
    transcript = Claude()
    transcript.user("<command-message>deploy</command-message>\n<command-name>/deploy</command-name>")
    transcript.user([{"type": "text", "text": "Base directory for this skill: /s\n\nBuild, then copy."}], isMeta=True)
    transcript.says("m1", "Building")
    graph = graph_of(transcript)
    assert titles(graph) == ["/deploy"]
    assert any("Build, then copy." in note for note in notes(graph))


def test_a_slash_command_that_no_model_answers_is_an_event() -> None:
    for_people = "<command-name>/model</command-name>\n<command-args>large</command-args>"
    graph = said(for_people)
    assert titles(graph) == ["Draw the map", "/model large"]
    transcript = Claude()
    transcript.user("Go")
    transcript.record("system", subtype="local_command", content=for_people)
    transcript.record("system", subtype="local_command", content="<local-command-stdout>set</local-command-stdout>")
    found = notes(graph_of(transcript))
    assert [note.split(" [")[0] for note in found] == [
        "slash command: /model large",
        "local command output: <local-command-stdout>set</local-command-stdout>",
    ]


@pytest.mark.parametrize(
    ("text", "prompt", "tags"),
    [
        ("<system-reminder>\nIt is Friday.\n</system-reminder>\nWrite it", "Write it", [("reminder", "It is Friday.")]),
        ("Write it\n<system-reminder>Plan</system-reminder>", "Write it", [("reminder", "Plan")]),
        (
            "<system-reminder>a</system-reminder><system-reminder>b</system-reminder> c",
            "c",
            [("reminder", "a"), ("reminder", "b")],
        ),
        ("<b>bold</b> please", "<b>bold</b> please", []),
        ("<system-reminder>never closed", "<system-reminder>never closed", []),
        ("a</system-reminder>", "a</system-reminder>", []),
        ("", "", []),
    ],
)
def test_what_the_program_puts_around_a_prompt_is_taken_off(
    text: str, prompt: str, tags: list[tuple[str, str]]
) -> None:
    assert strip_tags(text) == (prompt, tuple(tags))


def test_the_files_that_an_ide_names_are_kept_with_the_prompt() -> None:
    opened = "<ide_opened_file>The user opened the file /src/todo.md in the IDE. It may matter.</ide_opened_file>"
    selected = "<ide_selection>The user selected the lines 1 to 3 from /src/a.py:\nx = 1\n</ide_selection>"
    transcript = Claude()
    for tag, prompt in ((opened, "Plan it"), (selected, "Explain it")):
        transcript.user([{"type": "text", "text": tag}, {"type": "text", "text": prompt}])
        transcript.says(f"m-{prompt}", "Yes")
    graph = graph_of(transcript)
    assert graph.task_description == "Plan it"
    assert [(task.title, (task.metadata or {})["ideFiles"]) for task in graph.tasks] == [
        ("Plan it", ["/src/todo.md"]),
        ("Explain it", ["/src/a.py"]),
    ]
    assert [task.artifacts[0].content for task in graph.tasks] == [b"Plan it", b"Explain it"]
    assert any("x = 1" in note for note in notes(graph))


def test_the_images_of_a_prompt_are_its_artifacts() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(b"\x89PNG").decode()}
    image = {"type": "image", "source": source}
    transcript = Claude()
    transcript.user([{"type": "text", "text": "What is this?"}, image])
    transcript.user([image])
    first, second = graph_of(transcript).tasks
    assert [(found.type, found.content) for found in first.artifacts] == [
        (ArtifactType.USER_PROMPT, b"What is this?"),
        (ArtifactType.IMAGE, b"\x89PNG"),
    ]
    assert (second.title, second.artifacts[1].type) == ("[image]", ArtifactType.IMAGE)


def typed_while_at_work(*, attachment: bool = True, queue: bool = True, answered: bool = True) -> Claude:
    transcript = Claude(version="2.1.258")
    transcript.user("Build the shop")
    transcript.calls("m1", "c1", "Bash", {"command": "make"})
    if queue:
        transcript.queue("enqueue", "Use the new colours")
        transcript.queue("remove", "Use the new colours")
    transcript.result("c1")
    if attachment:
        transcript.attach("queued_command", prompt="Use the new colours", commandMode="prompt", **HUMAN)
    if answered:
        transcript.says("m2", "With the new colours.")
    return transcript


@pytest.mark.parametrize(("attachment", "queue"), [(True, True), (True, False), (False, True)])
def test_a_prompt_typed_while_the_agent_worked_is_a_prompt_once(attachment: bool, queue: bool) -> None:
    graph = graph_of(typed_while_at_work(attachment=attachment, queue=queue))
    assert titles(graph) == ["Build the shop", "Use the new colours"]
    assert [step.name for step in graph.tasks[1].steps] == ["With the new colours."]


def test_an_attachment_that_comes_late_adds_no_second_prompt() -> None:
    transcript = typed_while_at_work(attachment=False)
    transcript.attach("queued_command", prompt="Use the new colours", commandMode="prompt", **HUMAN)
    transcript.says("m3", "On.")
    assert titles(graph_of(transcript)) == ["Build the shop", "Use the new colours"]
    transcript.user("Use the new colours")
    assert len(graph_of(transcript).tasks) == 3


def test_a_queued_prompt_that_the_user_took_back_is_an_event_only() -> None:
    transcript = Claude()
    transcript.user("Build the shop")
    transcript.queue("enqueue", "Use the new colours")
    transcript.queue("popAll", "Use the new colours")
    transcript.says("m1", "Built.")
    graph = graph_of(transcript)
    assert titles(graph) == ["Build the shop"]
    assert [note.split(" [")[0] for note in notes(graph)] == [
        "prompt queued: Use the new colours",
        "queued prompts taken back: Use the new colours",
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"commandMode": "task-notification", "prompt": "<task-notification>done</task-notification>"},
        {"commandMode": "task-notification", "prompt": "The build ended."},
        {"commandMode": "prompt", "prompt": "I am done.", "origin": {"kind": "peer", "from": "b"}},
        {"commandMode": "prompt", "prompt": "Hidden", "isMeta": True},
    ],
)
def test_what_others_put_in_the_queue_is_an_event(fields: dict[str, Any]) -> None:
    transcript = typed_while_at_work(attachment=False, queue=False)
    transcript.attach("queued_command", **fields)
    graph = graph_of(transcript)
    assert titles(graph) == ["Build the shop"]
    assert any(fields["prompt"] in note for note in notes(graph))


def test_a_queued_prompt_may_have_an_image() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(b"\x89PNG").decode()}
    transcript = typed_while_at_work(attachment=False, queue=False)
    prompt = [{"type": "image", "source": source}, {"type": "text", "text": "Like this"}]
    transcript.attach("queued_command", prompt=prompt, commandMode="prompt")
    task = graph_of(transcript).tasks[1]
    assert (task.title, [found.type for found in task.artifacts]) == (
        "Like this",
        [ArtifactType.USER_PROMPT, ArtifactType.IMAGE],
    )


def test_a_text_beside_a_result_is_no_prompt_and_not_lost() -> None:
    transcript = Claude()
    transcript.user("Go")
    transcript.calls("m1", "c1", "Bash")
    transcript.user(
        [{"type": "tool_result", "tool_use_id": "c1", "content": "ok"}, {"type": "text", "text": "By the way"}]
    )
    parsed = read(transcript)
    assert parsed.counts.tasks == 1
    assert any("By the way" in note for note in notes(parsed.graphs[0]))
    assert steps_of(parsed.graphs[0])[0].tool_calls[0].artifacts[0].content == b"ok"


def test_a_long_text_of_others_is_kept_whole() -> None:
    long = "A word of the summary. " * 200
    transcript = Claude()
    transcript.user(long, isCompactSummary=True)
    transcript.user("Go on")
    transcript.user(long, isMeta=True)
    (task,) = graph_of(transcript).tasks
    assert [(found.name, found.content) for found in task.artifacts] == [
        ("prompt", b"Go on"),
        ("summary after compaction", long.encode()),
        ("injected text", long.encode()),
    ]
