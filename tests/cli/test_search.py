"""``search``: what it prints, and its errors."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acode_tui import ArtifactType, StepState, TaskState, open_workspace
from acode_tui.cli.search import fit_parts
from acode_tui.domain.display import cell_width
from tests.cli.conftest import Recorded, Run, answer

HIT_KEYS = {"sessionId", "taskId", "stepId", "toolCallId", "artifactId", "kind", "at", "snippet", "session"}


@pytest.fixture
def runs(root: Path) -> list[str]:
    """A workspace with two runs; their ids, the newer one last."""
    ids: list[str] = []

    async def record() -> None:
        async with open_workspace(root) as workspace:
            store = workspace.store
            for name, tool, said in (("Fix the login", "Bash", "café"), ("Repair tokens", "Edit", "withCookie(token)")):
                session = await store.create_session(name, metadata={"source": "codex", "cwd": "/home/a/shop"})
                task = await store.add_task(session.id, name)
                await store.transition_task(task.id, TaskState.IN_PROGRESS)
                step = await store.add_step(task.id, "work")
                await store.transition_step(step.id, StepState.IN_PROGRESS)
                call = await store.add_tool_call(step.id, tool, {"file_path": "src/auth/login.ts"})
                await store.start_tool_call(call.id)
                await store.add_artifact(call.id, ArtifactType.COMMAND_OUTPUT, "stdout", said.encode(), "text/plain")
                await store.complete_tool_call(call.id, result={"note": f"**done** {said} timeout"})
                ids.append(session.id)

    asyncio.run(record())
    return ids


def test_hits_have_the_keys_of_the_contract(run: Run, runs: list[str]) -> None:
    page = answer(run("search", "cookie", "--json"))
    assert set(page) == {"hits", "nextCursor", "total"}
    assert [hit["kind"] for hit in page["hits"]] == ["output", "result"]
    for hit in page["hits"]:
        assert set(hit) == HIT_KEYS
        assert hit["sessionId"] == runs[1]
        assert hit["session"] == {
            "id": runs[1],
            "taskDescription": "Repair tokens",
            "agent": "codex",
            "project": "shop",
        }
        assert "with**Cookie**(token)" in hit["snippet"]
    assert page["hits"][1]["artifactId"] is None


def test_hits_stand_below_their_run(run: Run, runs: list[str]) -> None:
    shown = run("search", "timeout").stdout.splitlines()
    assert shown[0] == f"{runs[1]}  codex  shop  Repair tokens"
    assert shown[1].startswith("  result     2")
    assert shown[1].endswith("withCookie(token) **timeout**")
    assert shown[2] == ""
    assert shown[3] == f"{runs[0]}  codex  shop  Fix the login"
    assert len(shown) == 5


def test_in_a_terminal_the_match_is_bold_and_can_be_seen_at_any_width(
    run: Run, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for columns in (40, 60, 80, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        styled = run("search", "timeout", color=True).stdout
        assert "\x1b[33m\x1b[1mtimeout\x1b[0m" in styled, columns
        assert "**timeout**" not in styled
        plain = run("search", "timeout").stdout
        assert all(cell_width(line) <= columns for line in plain.splitlines())


def test_words_of_the_command_line_are_one_query(run: Run, runs: list[str]) -> None:
    found = {hit["sessionId"] for hit in answer(run("search", "tool:bash", "timeout", "-cookie", "--json"))["hits"]}
    assert found == {runs[0]}
    assert answer(run("search", '"timeout cafe"', "--json"))["hits"] == []
    assert len(answer(run("search", '"cafe timeout" is:resumable OR', "--json"))["hits"]) == 0


def test_pages_of_hits(run: Run, runs: list[str]) -> None:
    whole = answer(run("search", "login", "--json"))["hits"]
    collected: list[Any] = []
    cursor: str | None = None
    while True:
        page = answer(run("search", "login", "--limit", "2", "--json", *(["--after", cursor] if cursor else [])))
        collected += page["hits"]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert collected == whole
    assert len(whole) > 3
    first = run("search", "login", "--limit", "2")
    assert "next page: acode-tui search login --after " in first.stderr


def test_no_hit_says_what_to_do_next(run: Run, runs: list[str]) -> None:
    result = run("search", "zebra")
    assert result.exit_code == 0
    assert "nothing in this workspace matches" in result.stdout
    assert "acode-tui session list" in result.stdout
    assert answer(run("search", "zebra", "--json"))["hits"] == []


def test_a_minus_before_h_is_a_query_and_alone_is_help(run: Run, runs: list[str]) -> None:
    assert len(answer(run("search", "timeout", "-html", "--json"))["hits"]) == 2
    for flag in ("-h", "--help"):
        shown = run("search", flag)
        assert shown.exit_code == 0
        assert "is:failed|live|subagent" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("colour:red",), 1, "colour: is no field; the fields are agent, project"),
        (("",), 1, "query: is empty"),
        (("---",), 2, "No such option"),
        (("🎉",), 1, "no letter or digit"),
        (("x" * 10_000,), 1, "10,000 characters"),
        (("login", "--after", "nonsense"), 1, "cursor"),
        (("login", "--limit", "0"), 2, "--limit"),
        (("login", "--limt", "3"), 2, "No such option '--limt'"),
        ((), 2, "Missing argument"),
    ],
)
def test_errors_are_one_line(run: Run, runs: list[str], arguments: tuple[str, ...], code: int, says: str) -> None:
    result = run("search", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr


@pytest.mark.parametrize(
    "query", ['"open', "AND OR NOT", "a* NEAR(b c)", "^x:*", "(()", "-", "file:", "\x1b[31m", "%_"]
)
def test_no_text_gives_an_error_of_the_database(run: Run, runs: list[str], query: str) -> None:
    result = run("search", "--", query)
    assert result.exit_code in (0, 1)
    assert "SQL" not in result.stderr
    assert "ACODE-VALIDATION-001" in result.stderr or result.exit_code == 0


def test_recorded_text_is_cleaned_before_it_is_printed(run: Run, recorded: Recorded) -> None:
    result = run("search", "validation", color=True)
    assert result.exit_code == 0
    for trick in ("\x1b[31mAdd", "\u202e", "\x07"):
        assert trick not in result.stdout
    assert "validation" in result.stdout


def test_session_list_takes_the_same_queries(run: Run, runs: list[str]) -> None:
    listed: Callable[[str], set[str]] = lambda query: {  # noqa: E731
        session["id"] for session in answer(run("session", "list", "--search", query, "--json"))["sessions"]
    }
    assert listed("cookie") == {runs[1]}
    assert listed("agent:codex -cookie") == {runs[0]}
    assert listed("tool:edit project:shop") == {runs[1]}
    assert listed("zebra") == set()
    assert "colour: is no field" in run("session", "list", "--search", "colour:red").stderr


@pytest.mark.parametrize("room", [8, 20, 40, 200])
@pytest.mark.parametrize(
    "parts",
    [
        [("short", False)],
        [("a long beginning of a line before the ", False), ("match", True), (" and what follows it", False)],
        [("match", True), (" at the beginning of a line that is long", False)],
        [("認証 " * 10, False), ("認証", True), (" 認証" * 10, False)],
    ],
)
def test_parts_fit_and_keep_the_first_match(parts: list[tuple[str, bool]], room: int) -> None:
    fitted = fit_parts(parts, room)
    assert cell_width("".join(text for text, _ in fitted)) <= room
    if any(matched for _, matched in parts):
        assert any(matched and text.strip("…") for text, matched in fitted)
