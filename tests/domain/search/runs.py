"""Small runs with searchable texts, and queries about them."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from acode_tui.domain.codec import digest
from acode_tui.domain.entities import Artifact, SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.search.query import quote
from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState, WorkState

T0 = datetime(2026, 2, 1, 9, tzinfo=UTC)


def call(
    tool: str = "Read",
    parameters: Any = None,
    *,
    result: Any = None,
    error: str | None = None,
    artifacts: tuple[tuple[ArtifactType, str, str], ...] = (),
) -> dict[str, Any]:
    """What ``make_run`` makes a call of. Artifacts are given as type, name and text."""
    return {"tool": tool, "parameters": parameters, "result": result, "error": error, "artifacts": artifacts}


def make_run(
    description: str = "Fix the login",
    calls: tuple[dict[str, Any], ...] = (),
    *,
    title: str = "a task",
    step: str = "a step",
    at: datetime = T0,
    metadata: dict[str, Any] | None = None,
    state: SessionState = SessionState.COMPLETED,
    user: str | None = None,
    workspace_id: str = str(uuid.UUID(int=7)),
    prompt: str | None = None,
    answer: str | None = None,
    prompt_after: int = 0,
) -> SessionGraph:
    """A run with one task, one step and these calls, a second apart; the task has the prompt, the step the answer.

    ``prompt_after`` are the seconds from the run's beginning to the prompt.
    """
    session_id, task_id, step_id = (str(uuid.uuid4()) for _ in range(3))
    made = []
    for order, given in enumerate(calls):
        call_id, began = str(uuid.uuid4()), at + timedelta(seconds=order + 1)
        times: dict[str, Any] = {"created_at": began, "updated_at": began + timedelta(milliseconds=500)}
        failed = given["error"] is not None
        ids: dict[str, Any] = {"session_id": session_id, "task_id": task_id, "step_id": step_id}
        artifacts = tuple(_artifact({**ids, "tool_call_id": call_id}, times, *each) for each in given["artifacts"])
        made.append(
            ToolCallGraph(
                id=call_id,
                session_id=session_id,
                step_id=step_id,
                tool_name=given["tool"],
                parameters=given["parameters"],
                state=ToolCallState.FAILED if failed else ToolCallState.SUCCEEDED,
                order=order,
                completed_at=times["updated_at"],
                result=given["result"],
                error_message=given["error"],
                artifacts=artifacts,
                **times,
            )
        )
    same: dict[str, Any] = {"session_id": session_id, "created_at": at, "updated_at": at, "order": 0}
    then = {"created_at": at, "updated_at": at}
    held: dict[str, Any] = {"session_id": session_id, "task_id": task_id}
    asked = dict.fromkeys(then, at + timedelta(seconds=prompt_after))
    prompts = () if prompt is None else (_artifact(held, asked, ArtifactType.USER_PROMPT, "prompt", prompt),)
    held = {**held, "step_id": step_id}
    answers = () if answer is None else (_artifact(held, then, ArtifactType.MODEL_RESPONSE, "response", answer),)
    work = StepGraph(
        id=step_id,
        task_id=task_id,
        name=step,
        state=WorkState.COMPLETED,
        artifacts=answers,
        tool_calls=tuple(made),
        **same,
    )
    task = TaskGraph(id=task_id, title=title, state=WorkState.COMPLETED, artifacts=prompts, steps=(work,), **same)
    return SessionGraph(
        id=session_id,
        task_description=description,
        state=state,
        metadata=metadata,
        user_id=user,
        workspace_id=workspace_id,
        created_at=at,
        updated_at=at + timedelta(seconds=max(len(calls) + 1, prompt_after)),
        tasks=(task,),
    )


def _artifact(held: dict[str, Any], times: dict[str, Any], type_: ArtifactType, name: str, text: str) -> Artifact:
    """``held`` are the ids of the rows that it is in."""
    content = text.encode()
    return Artifact(
        id=str(uuid.uuid4()),
        type=type_,
        name=name,
        content_hash=digest(content),
        content_type="text/plain",
        size=len(content),
        content=content,
        **held,
        **times,
    )


WORDS = (
    "cookie",
    "withCookie",
    "login",
    "refresh_token",
    "café",
    "認証",
    "timeout",
    "src/auth/login.ts",
    "zebra",
    "of",
)
_words = st.sampled_from(WORDS)
_texts = st.lists(_words, max_size=4).map(" ".join)
_filled = st.lists(_words, min_size=1, max_size=3).map(" ".join)
_tools = st.sampled_from(["Bash", "Read", "mcp__git__log"])

_calls = st.builds(
    call,
    tool=_tools,
    parameters=st.one_of(st.none(), st.fixed_dictionaries({"file_path": _words, "note": _texts})),
    result=st.one_of(st.none(), _texts, st.lists(_texts, max_size=2)),
    error=st.one_of(st.none(), _filled),
    artifacts=st.lists(st.tuples(st.sampled_from(list(ArtifactType)[:4]), _words, _texts), max_size=2).map(tuple),
)
_metadata = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {"source": st.sampled_from(["claude-code", "codex"]), "cwd": st.sampled_from(["/a/shop", "/a/my app"])},
        optional={
            "models": st.lists(st.sampled_from(["claude-opus-4-5", "gpt-5"]), max_size=2),
            "gitBranch": st.sampled_from(["main", "fix/login"]),
            "parentSessionId": st.just(str(uuid.UUID(int=9))),
            "nativeId": st.just("n1"),
            "title": _texts,
        },
    ),
)


@st.composite
def searchable_runs(draw: st.DrawFn) -> SessionGraph:
    """A run whose texts are of a few words, so that queries find something; some are made of its prompt and answer."""
    description, title, step = draw(_filled), draw(_filled), draw(_filled)
    prompt = draw(st.one_of(st.none(), st.sampled_from([description, title, f"{description}\n {title} of"]), _filled))
    answer = draw(st.one_of(st.none(), st.just(f"of  {step}"), _filled))
    return make_run(
        description,
        tuple(draw(st.lists(_calls, max_size=3))),
        title=title,
        step=step,
        prompt=prompt,
        answer=answer,
        prompt_after=draw(st.sampled_from([0, 90])),
        at=T0 + timedelta(hours=draw(st.integers(0, 40))),
        metadata=draw(_metadata),
        state=draw(st.sampled_from(SessionState)),
        user=draw(st.sampled_from([None, "ada", "bob"])),
    )


_terms = st.one_of(
    _words,
    _filled.map(quote),
    _words.map(lambda word: f"{word[:3]}*"),
    st.sampled_from(["cookie of", "with", "auth/login", "refresh", '"cookie login"', "証", "nowhere"]),
)
_conditions = st.one_of(
    _terms,
    _terms,
    st.sampled_from(
        [
            *(
                "agent:claude",
                "agent:codex",
                'project:"my app"',
                "project:shop",
                "model:opus",
                "model:gpt-5",
                "branch:main",
            ),
            *("user:ada", "state:failed", "state:completed", "tool:bash", "tool:mcp__git__log", "file:login.ts"),
            *("file:auth", "failed:timeout", 'failed:"cookie login"', "is:failed", "is:subagent", "is:resumable"),
            *("since:2026-02-01T20:00Z", "before:2026-02-02T05:00Z"),
        ]
    ),
)


@st.composite
def queries(draw: st.DrawFn) -> str:
    """A query about such runs, with at least one condition."""
    parts = draw(st.lists(_conditions, min_size=1, max_size=3))
    out = [f"-{part}" for part in draw(st.lists(_conditions, max_size=1)) if not part.startswith(("since", "before"))]
    return " ".join([*parts, *out])
