"""``session`` and ``artifact``: their output as text and as JSON, and their errors."""

import asyncio
import re
import stat
from pathlib import Path

import pytest

from acode_tui import ArtifactType, open_workspace
from tests.cli.conftest import Recorded, Run, answer

SESSION_KEYS = {"id", "taskDescription", "state", "createdAt", "updatedAt", "metadata", "userId", "workspaceId"}


def test_an_empty_workspace_names_the_next_step(run: Run) -> None:
    result = run("session", "list")
    assert result.exit_code == 0
    assert "acode-tui import --all" in result.stdout
    assert answer(run("session", "list", "--json")) == {"sessions": [], "nextCursor": None, "total": 0}


def test_sessions_are_listed_with_the_keys_of_the_contract(run: Run, recorded: Recorded) -> None:
    page = answer(run("session", "list", "--json"))
    assert set(page) == {"sessions", "nextCursor", "total"}
    assert page["total"] == 1
    (session,) = page["sessions"]
    assert session["id"] == recorded.session
    assert set(session) >= SESSION_KEYS | {"syncVersion"}


def test_lists_are_filtered_and_paged(run: Run, recorded: Recorded) -> None:
    assert answer(run("session", "list", "--state", "planning", "--json"))["total"] == 1
    assert answer(run("session", "list", "--state", "Failed", "--json"))["sessions"] == []
    assert len(answer(run("session", "list", "--search", "valid*", "--json"))["sessions"]) == 1
    assert "no session matches" in run("session", "list", "--search", "nowhere").stdout
    assert run("session", "list", "--state", "Nonsense").exit_code == 2
    assert run("session", "list", "--limit", "0").exit_code == 2
    bad = run("session", "list", "--after", "nonsense")
    assert bad.exit_code == 1
    assert bad.stderr.startswith("error: ACODE-")


def test_a_second_page_begins_where_the_first_ended(run: Run, root: Path) -> None:
    import asyncio

    from acode_tui import open_workspace

    async def record() -> None:
        async with open_workspace(root) as workspace:
            for number in range(5):
                await workspace.store.create_session(f"run {number}")

    asyncio.run(record())
    seen, cursor = [], None
    while True:
        page = answer(run("session", "list", "--limit", "2", "--json", *(["--after", cursor] if cursor else [])))
        seen += [session["taskDescription"] for session in page["sessions"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == [f"run {number}" for number in reversed(range(5))]


def test_a_session_is_shown_completely_by_a_unique_prefix(run: Run, recorded: Recorded) -> None:
    graph = answer(run("session", "show", recorded.session[:20], "--json"))
    assert graph["id"] == recorded.session
    artifact = graph["tasks"][0]["steps"][0]["toolCalls"][0]["artifacts"][0]
    assert artifact["id"] == recorded.artifact
    assert graph["events"]
    shown = run("session", "show", recorded.session)
    assert recorded.session in shown.stdout
    tree = run("session", "show", recorded.session, "--tree").stdout
    assert "└─ " in tree
    assert recorded.artifact in tree


@pytest.mark.parametrize("arguments", [("session", "show"), ("artifact", "show"), ("artifact", "save")])
def test_an_unknown_id_is_one_line_on_standard_error(run: Run, recorded: Recorded, arguments: tuple[str, ...]) -> None:
    extra = ("nowhere.bin",) if arguments[-1] == "save" else ("--json",)
    result = run(*arguments, "ffffffff", *extra)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: ACODE-NOTFOUND-001: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.ac("AC-059")
@pytest.mark.parametrize(
    "arguments",
    [
        ("session", "list"),
        ("session", "show", "SESSION"),
        ("session", "show", "SESSION", "--tree"),
        ("artifact", "show", "ARTIFACT", "--content"),
        ("db", "outbox", "list"),
    ],
)
def test_recorded_text_is_cleaned_before_it_is_printed(
    run: Run, recorded: Recorded, arguments: tuple[str, ...]
) -> None:
    names = {"SESSION": recorded.session, "ARTIFACT": recorded.artifact}
    result = run(*(names.get(each, each) for each in arguments), color=True)
    assert result.exit_code == 0, result.stderr
    for trick in ("\x1b[31m" + "Add", "\u202e", "\x07", "\x00"):
        assert trick not in result.stdout
    if arguments[0] != "db":
        assert "␛[31mAdd<U+202E> input [/bold] validation␇" in result.stdout


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(
    run: Run, recorded: Recorded, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for arguments in (
        ("session", "list"),
        ("session", "show", recorded.session),
        ("session", "show", recorded.session, "--tree"),
        ("artifact", "show", recorded.artifact),
        ("db", "outbox", "list"),
        ("db", "check"),
        ("config", "show"),
    ):
        for line in run(*arguments).stdout.splitlines():
            assert len(line) <= columns, line


def test_colour_is_left_out_when_no_color_is_set(run: Run, recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[" in run("session", "list", color=True).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in run("session", "list", color=True).stdout


def test_an_artifact_is_saved_privately_and_never_replaces_a_file(run: Run, recorded: Recorded, tmp_path: Path) -> None:
    target = tmp_path / "out.bin"
    saved = answer(run("artifact", "save", recorded.artifact[:18], str(target), "--json"))
    assert saved == {"id": recorded.artifact, "path": str(target), "size": len(recorded.content)}
    assert target.read_bytes() == recorded.content
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    target.write_bytes(b"mine")
    again = run("artifact", "save", recorded.artifact, str(target))
    assert again.exit_code == 1
    assert "--force" in again.stderr
    assert target.read_bytes() == b"mine"
    assert run("artifact", "save", recorded.artifact, str(target), "--force").exit_code == 0
    assert target.read_bytes() == recorded.content
    assert run("artifact", "save", recorded.artifact, str(tmp_path)).exit_code == 2
    nowhere = run("artifact", "save", recorded.artifact, str(tmp_path / "no" / "x"))
    assert nowhere.exit_code == 1
    assert nowhere.stderr.startswith("error: ACODE-IO-001: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.bin", "shop"]


def test_an_artifact_goes_to_standard_output_byte_for_byte(run: Run, recorded: Recorded) -> None:
    result = run("artifact", "save", recorded.artifact, "-")
    assert result.exit_code == 0
    assert result.stdout_bytes == recorded.content


def test_an_artifacts_metadata_is_shown_without_its_content(run: Run, recorded: Recorded) -> None:
    found = answer(run("artifact", "show", recorded.artifact, "--json"))
    assert found["size"] == len(recorded.content)
    assert found["contentHash"].startswith("sha256:")
    assert found["content"] is None


def test_an_artifact_names_the_rows_that_it_hangs_on(run: Run, recorded: Recorded, root: Path) -> None:
    def row(shown: str, name: str) -> str:
        return next(line.removeprefix(name).strip() for line in shown.splitlines() if line.startswith(f"{name}  "))

    async def add() -> tuple[str, str, str]:
        async with open_workspace(root) as workspace:
            (task,) = (await workspace.store.get_with_hierarchy(recorded.session)).tasks
            prompt = await workspace.store.add_artifact(
                task.id, ArtifactType.USER_PROMPT, "prompt", b"Validate", "text/plain"
            )
            thought = await workspace.store.add_artifact(
                task.steps[0].id, ArtifactType.REASONING, "thought", b"It trusts its input", "text/plain"
            )
            return task.id, prompt.id, thought.id

    task, prompt, thought = asyncio.run(add())
    shown = run("artifact", "show", prompt).stdout
    assert (row(shown, "task"), row(shown, "step"), row(shown, "tool call")) == (task, "-", "-")
    assert answer(run("artifact", "show", thought, "--json"))["toolCallId"] is None
    of_call = answer(run("artifact", "show", recorded.artifact, "--json"))
    assert of_call["taskId"] == task
    assert None not in (of_call["stepId"], of_call["toolCallId"])
    lines = run("session", "show", recorded.session, "--tree").stdout.splitlines()
    depths = {
        each: next(line.index(each) for line in lines if each in line) for each in (prompt, thought, recorded.artifact)
    }
    assert depths[prompt] < depths[thought] < depths[recorded.artifact]
    order = [next(number for number, line in enumerate(lines) if each in line) for each in depths]
    assert order == sorted(order)


def test_an_unknown_state_is_refused_with_the_known_states(run: Run) -> None:
    refused = run("session", "list", "--state", "finished")
    assert refused.exit_code == 2
    names = "Created, Planning, AwaitingApproval, Executing, Paused, Completed, Failed, Cancelled"
    assert f"'finished' is not one of {names}; see `" in refused.stderr
    assert run("session", "list", "--state", "awaitingAPPROVAL").exit_code == 0


def test_the_history_of_a_session_is_each_change_of_its_state(run: Run, recorded: Recorded) -> None:
    (event,) = answer(run("session", "history", recorded.session[:20], "--json"))["events"]
    assert (event["fromState"], event["toState"], event["reason"]) == ("Created", "Planning", "start")
    assert event["sessionId"] == recorded.session
    shown = run("session", "history", recorded.session).stdout
    assert "Planning" in shown
    assert "start" in shown
    assert run("session", "history", "ffffffff").exit_code == 1


def test_resumable_sessions_are_those_of_the_query(run: Run, root: Path) -> None:
    async def record() -> list[str]:
        async with open_workspace(root) as workspace:
            made = [
                await workspace.store.create_session('a "quote', metadata=metadata)
                for metadata in ({"source": "claude-code", "nativeId": "x"}, {"source": "aider", "nativeId": "x"})
            ]
            return [each.id for each in made]

    (wanted, _) = asyncio.run(record())
    for extra in ((), ("--search", '"quote')):
        found = answer(run("session", "list", "--resumable", "--json", *extra))["sessions"]
        assert [each["id"] for each in found] == [wanted]
    assert "no session matches" in run("session", "list", "--resumable", "--search", "other").stdout


@pytest.fixture
def talked(root: Path) -> str:
    """A run with a prompt, long reasoning, a long answer and two calls, one of which failed."""

    async def record() -> str:
        async with open_workspace(root) as workspace:
            store = workspace.store
            session = await store.create_session("Fix it", metadata={"models": ["a", "b"], "tokens": {"input": 1234}})
            task = await store.add_task(session.id, "Fix it")
            lines = [f"line {number}" for number in range(300)]
            prompt = b"Fix the\nlogin"
            await store.add_artifact(task.id, ArtifactType.USER_PROMPT, "prompt", prompt, "text/plain")
            step = await store.add_step(task.id, "Answer")
            for type_ in (ArtifactType.REASONING, ArtifactType.MODEL_RESPONSE):
                await store.add_artifact(step.id, type_, "said", "\n".join(lines).encode(), "text/markdown")
            good = await store.add_tool_call(step.id, "Bash", {"timeout": 5, "command": "ls\x1b[2J -l"})
            await store.start_tool_call(good.id)
            await store.complete_tool_call(good.id, result="x")
            bad = await store.add_tool_call(step.id, "Read", {"file_path": "/etc/shadow"})
            await store.start_tool_call(bad.id)
            await store.fail_tool_call(bad.id, "permission denied\x1b[2J")
            return session.id

    return asyncio.run(record())


def test_a_session_is_shown_as_a_conversation(run: Run, talked: str) -> None:
    lines = run("session", "show", talked).stdout.splitlines()
    prompt = lines.index("> Fix the")
    assert lines[prompt + 1] == "> login"
    # Reasoning in short, the answer longer, with how to see all of it.
    assert lines.index("~ line 0") < lines.index("~ … 298 more lines") < lines.index("line 0") < lines.index("line 199")
    assert "line 200" not in lines
    command = lines[lines.index("… 100 more lines; all of them:") + 1].split()
    assert run(*command[1:]).stdout.rstrip().endswith("line 299")
    good = next(line for line in lines if line.startswith("  Bash  "))
    assert good.startswith("  Bash  ls␛[2J -l  Succeeded")
    bad = next(number for number, line in enumerate(lines) if line.startswith("  Read  /etc/shadow  Failed"))
    assert lines[bad + 1] == "      permission denied␛[2J"
    # Values as people write them.
    assert any(line.split() == ["models", "a,", "b"] for line in lines)
    assert any(line.split() == ["tokens", "input", "1,234"] for line in lines)


@pytest.mark.parametrize("columns", [24, 40, 80])
def test_a_conversation_fits_the_terminal(run: Run, talked: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = run("session", "show", talked).stdout
    assert "Read" in shown
    assert all(len(line) <= columns for line in shown.splitlines())


def test_a_list_fits_80_columns_and_says_what_failed(
    run: Run, recorded: Recorded, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (head, row) = run("session", "list").stdout.splitlines()
    assert head.split() == ["id", "state", "task", "project", "calls", "failed", "active"]
    assert max(len(head), len(row)) <= 80
    assert re.search(r"  x +1 +1  ", row)
    assert row.endswith(("ago", "now"))
    assert answer(run("session", "list", "--json"))["sessions"][0]["failedCalls"] == 1
    # Only where something can be sent is it worth a column how far that is.
    monkeypatch.setenv("ACODE_PERSISTENCE__POSTGRES__ENABLED", "true")
    assert run("session", "list").stdout.split()[7] == "sync"
