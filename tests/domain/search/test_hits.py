"""The places that a query finds in a run."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.search.match import snippet_parts
from acode_tui.domain.search.query import parse_query
from acode_tui.domain.states import ArtifactType, SessionState
from tests.domain.search.runs import T0, call, make_run, queries, searchable_runs
from tests.storage.linear_search import found_in

NOW = T0 + timedelta(minutes=5)


def hits(text: str, run: SessionGraph, *, unsynced: bool = False) -> list[tuple[str, str]] | None:
    """Kind and snippet of each hit."""
    found = found_in(parse_query(text, now=NOW), run, unsynced=unsynced)
    return None if found is None else [(place.kind, line) for place, line in found]


RUN = make_run(
    "Fix the login",
    (
        call("Read", {"file_path": "src/auth/login.ts"}, result="export function login() {}"),
        call("Bash", {"command": "pytest -q"}, error="1 failed: test_refresh_token timeout"),
        call(
            "Edit",
            {"file_path": "src/auth/token.ts"},
            result="done",
            artifacts=((ArtifactType.FILE_DIFF, "src/auth/token.ts", "+const cookie = withCookie(token)"),),
        ),
    ),
    title="Repair the refresh",
    metadata={"source": "claude-code", "cwd": "/home/a/shop", "models": ["claude-opus-4-5"], "gitBranch": "fix/x"},
)
RESUMABLE = make_run(metadata={"source": "codex", "nativeId": "n"})


def test_the_places_where_all_conditions_hold() -> None:
    assert hits("refresh timeout", RUN) == [("error", "1 failed: test_**refresh**_token **timeout**")]
    assert hits("login", RUN) == [
        ("session", "Fix the **login** source claude-code cwd /home/a/shop models claude-opus-4-5 gitBranch fix/x"),
        ("call", "Read file_path src/auth/**login**.ts"),
        ("result", "export function **login**() {}"),
    ]
    assert hits("tool:bash refresh", RUN) == [("error", "1 failed: test_**refresh**_token timeout")]
    assert hits("file:token.ts cookie", RUN) == [
        ("content", "src/auth/token.ts +const **cookie** = with**Cookie**(token)")
    ]
    assert hits("failed:timeout", RUN) == [("error", "1 failed: test_refresh_token **timeout**")]


def test_without_such_a_place_the_places_where_a_word_holds() -> None:
    assert hits("pytest cookie", RUN) == [
        ("call", "Bash command **pytest** -q"),
        ("content", "src/auth/token.ts +const **cookie** = with**Cookie**(token)"),
    ]
    # The places of a tool alone are no hits: what is looked for is the word.
    assert hits("tool:read cookie", RUN) == [("content", "src/auth/token.ts +const **cookie** = with**Cookie**(token)")]


def test_every_condition_must_hold_somewhere_in_the_run() -> None:
    assert hits("login nowhere", RUN) is None
    assert hits("tool:Write login", RUN) is None
    assert hits("failed:login", RUN) is None
    assert hits('"login fix"', RUN) is None


def test_an_excluded_condition_must_hold_nowhere() -> None:
    assert hits("login -cookie", RUN) is None
    assert hits("login -tool:bash", RUN) is None
    assert hits("login -failed:timeout", RUN) is None
    assert hits("login -agent:claude-code", RUN) is None
    assert hits("login -zebra -tool:write -failed:login -agent:codex -is:subagent", RUN) is not None
    assert hits("-zebra", RUN) == [("session", hits("agent:claude", RUN)[0][1])]  # type: ignore[index]


def test_conditions_on_the_run_alone_give_the_run() -> None:
    line = "Fix the login source claude-code cwd /home/a/shop models claude-opus-4-5 gitBranch fix/x"
    for text in ("agent:claude-code", "project:shop", "model:opus", "branch:fix/x", "state:completed", "is:failed"):
        assert hits(text, RUN) == [("session", line)], text


def test_a_tool_or_a_file_alone_gives_its_calls() -> None:
    assert hits("tool:edit", RUN) == [("call", "Edit file_path src/auth/token.ts")]
    assert hits("file:auth", RUN) == [
        ("call", "Read file_path src/auth/login.ts"),
        ("call", "Edit file_path src/auth/token.ts"),
    ]


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        *(("agent:claude", True), ("agent:codex", False), ("agent:codex agent:claude", True), ("agent:cla", False)),
        *(("project:SHOP", True), ("project:sho", False), ("model:opus-4", True), ("model:gpt", False)),
        *(("branch:fix", False), ("user:ada", False), ("state:failed", False), ("state:failed state:completed", True)),
        *(
            ("since:2026-02-01T09:00Z", True),
            ("since:2026-02-01T09:00:04Z", True),
            ("since:2026-02-01T09:00:05Z", False),
            ("before:2026-02-01T09:00Z", False),
        ),
        *(("before:2026-02-01T09:00:01Z", True), ("is:failed", True), ("is:live", False), ("is:subagent", False)),
        *(("is:unsynced", False), ("is:failed is:subagent", False)),
    ],
)
def test_the_fields_of_a_run(text: str, matches: bool) -> None:
    assert (hits(text, RUN) is not None) is matches


def test_states_of_a_run_that_is_at_work_below_another_and_not_sent() -> None:
    run = make_run(metadata={"parentSessionId": "p", "source": "codex", "nativeId": "n"}, state=SessionState.EXECUTING)
    assert hits("is:live", run)
    assert hits("is:subagent", run)
    assert not hits("is:resumable", run)
    assert hits("is:resumable", RESUMABLE)
    assert not hits("is:failed", run)
    assert hits("is:unsynced", run, unsynced=True)
    late = parse_query("is:live", now=T0 + timedelta(minutes=11))
    assert found_in(late, run) is None


LONG = "Mend the login\n\nof the  cookie, where the token is old"


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("cookie", ["prompt"]),
        ("answered", ["answer"]),
        # What also stands elsewhere in the text is no repetition, and a word is shown where it stands.
        ("login", ["session", "prompt"]),
        ("draft", ["task"]),
        ("token draft", ["task", "prompt"]),
        ("of*", ["prompt"]),
        # The prompt says `old`, so it is not found by the word that was left of it.
        ("ol", ["session"]),
    ],
)
def test_a_name_made_of_what_was_said_is_no_hit_beside_it(query: str, kinds: list[str]) -> None:
    run = make_run(
        "Mend the login of the cookie, where the token is ol…",
        title="the cookie, where\nthe draft",
        step="It is answered…",
        metadata={"cwd": "/src/login"},
        prompt=LONG,
        answer="It is  answered\nand more",
    )
    assert [kind for kind, _ in hits(query, run) or []] == kinds
    silent = make_run("Mend the cookie", title="Mend the cookie")
    assert [kind for kind, _ in hits("cookie", silent) or []] == ["session", "task"]


@given(st.lists(searchable_runs(), max_size=3), queries())
def test_hits_are_in_order_and_each_shows_a_match(runs: list[SessionGraph], text: str) -> None:
    query = parse_query(text, now=NOW)
    for run in runs:
        found = found_in(query, run)
        if found is None:
            continue
        assert found
        assert [place.at for place, _ in found] == sorted(place.at for place, _ in found)
        assert len({(place.kind, place.tool_call_id, place.artifact_id) for place, _ in found}) == len(found)
        if query.texts:
            assert all(any(marked for _, marked in snippet_parts(line)) for _, line in found)


@given(searchable_runs(), queries(), queries())
def test_a_further_condition_finds_no_further_run(run: SessionGraph, text: str, more: str) -> None:
    both = found_in(parse_query(f"{text} {more}", now=NOW), run)
    # Values of one field are alternatives, so only conditions on places narrow for certain.
    if both is not None and not any(
        field in more for field in ("agent", "project", "model", "branch", "user", "state")
    ):
        assert found_in(parse_query(text, now=NOW), run) is not None
