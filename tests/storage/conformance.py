"""What every ``RunStateReader`` promises on either database: each tier subclasses this with its own fixtures.

A subclass's module provides two fixtures: ``reader``, and ``seed``, an async function that stores whole runs.
"""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from acode_tui.domain.codec import normal_form, to_plain
from acode_tui.domain.entities import Artifact, SessionGraph, ToolCall
from acode_tui.domain.errors import AmbiguousIdError, NotFoundError, ValidationError
from acode_tui.domain.states import STATE_ORDER, EntityType, SessionState, ToolCallState
from acode_tui.storage.cursors import cursor_above, end_cursor
from acode_tui.storage.ports import RunStateReader, SessionFilter
from tests.domain.graphs import part_of
from tests.domain.search.runs import call
from tests.domain.search.runs import make_run as searchable_run
from tests.storage.runs import T0, make_run, plain, run_of_tasks

Seed = Callable[[Sequence[SessionGraph]], Awaitable[None]]

HERE = "0190d6a1-0000-7000-8000-000000000001"
ELSEWHERE = "0190d6a1-0000-7000-8000-000000000002"
UNKNOWN = "0190d6a1-ffff-7000-8000-000000000000"


def minutes(count: float) -> Any:
    return T0 + timedelta(minutes=count)


def described(page: Any) -> list[str]:
    return [session.task_description for session in page]


class ReaderConformance:
    """Mix into a test class beside ``reader`` and ``seed`` fixtures."""

    async def test_a_run_reads_back_whole_and_in_order(self, reader: RunStateReader, seed: Seed) -> None:
        run = make_run(HERE, calls=3)
        await seed([run, make_run(HERE)])
        graph = await reader.get_with_hierarchy(run.id)
        assert _content(graph) == _content(run)
        assert [row.id for row in graph.entities()] == [row.id for row in run.entities()]
        assert all(row.content is None for row in graph.entities() if isinstance(row, Artifact))

    @pytest.mark.parametrize("from_end", [False, True])
    async def test_a_part_is_the_first_or_the_last_steps_with_all_below_them(
        self, reader: RunStateReader, seed: Seed, from_end: bool
    ) -> None:
        run = run_of_tasks(HERE, (2, 0, 3, 1, 0))
        await seed([run, make_run(HERE)])
        for steps in range(1, 9):
            part = await reader.get_part(run.id, steps=steps, from_end=from_end)
            wanted = part_of(run, steps, from_end=from_end)
            assert [row.id for row in part.graph.entities()] == [row.id for row in wanted.graph.entities()], steps
            assert part.whole == wanted.whole, steps
        assert _content(part.graph) == _content(await reader.get_with_hierarchy(run.id))

    async def test_absent_and_null_json_are_the_same(self, reader: RunStateReader, seed: Seed) -> None:
        run = make_run(HERE)
        await seed([run])
        calls = [row for row in (await reader.get_with_hierarchy(run.id)).entities() if isinstance(row, ToolCall)]
        assert [call.result for call in calls] == [[1, "two"], None]
        assert calls[1].parameters is None

    async def test_a_session_and_its_events_by_id(self, reader: RunStateReader, seed: Seed) -> None:
        run = make_run(HERE)
        await seed([run])
        session = await reader.get(run.id)
        assert (session.task_description, session.updated_at) == (run.task_description, run.updated_at)
        assert [(event.id, event.timestamp) for event in await reader.get_events(run.id)] == [
            (event.id, event.timestamp) for event in run.events
        ]

    @pytest.mark.parametrize("unknown", [UNKNOWN, "nothing", "", "'; DROP TABLE sessions; --"])
    async def test_unknown_ids_are_not_found(self, reader: RunStateReader, seed: Seed, unknown: str) -> None:
        await seed([make_run(HERE)])
        for read in (
            reader.get,
            reader.get_events,
            reader.get_with_hierarchy,
            lambda session_id: reader.get_part(session_id, steps=1),
            reader.get_artifact,
            reader.get_artifact_content,
        ):
            with pytest.raises(NotFoundError):
                await read(unknown)

    async def test_an_artifacts_metadata_is_read_without_its_content(self, reader: RunStateReader, seed: Seed) -> None:
        run = make_run(HERE)
        await seed([run])
        artifact = next(row for row in plain(run) if isinstance(row, Artifact))
        found = await reader.get_artifact(artifact.id)
        assert (found.name, found.size, found.content) == (artifact.name, artifact.size, None)
        assert await reader.get_artifact_content(artifact.id) == artifact.content

    async def test_contents_and_artifacts_of_several_runs_are_read_at_once(
        self, reader: RunStateReader, seed: Seed
    ) -> None:
        runs = [make_run(HERE), make_run(HERE), make_run(HERE)]
        await seed(runs)
        of_two = [row for run in runs[:2] for row in plain(run) if isinstance(row, Artifact)]
        wanted = [row.id for row in of_two]
        contents = await reader.get_artifact_contents([*wanted, UNKNOWN, "nothing"])
        assert contents == {row.id: row.content for row in of_two}
        types = {row.type for row in of_two}
        chosen = next(iter(types))
        found = await reader.get_artifacts_of([run.id for run in runs[:2]] + [UNKNOWN, "nothing"], [chosen])
        assert {row.id for row in found} == {row.id for row in of_two if row.type is chosen}
        assert await reader.get_artifacts_of([run.id for run in runs], []) == ()
        assert {row.content for row in found} == {None}

    async def test_ids_resolve_by_unique_prefix(self, reader: RunStateReader, seed: Seed) -> None:
        one = msgspec.structs.replace(make_run(HERE), id="aaaaaaaa-0000-4000-8000-000000000001", tasks=(), events=())
        two = msgspec.structs.replace(one, id="aaaaaaaa-0000-4000-8000-000000000002")
        await seed([one, two])
        assert await reader.resolve_id(EntityType.SESSION, one.id.upper()) == one.id
        with pytest.raises(AmbiguousIdError):
            await reader.resolve_id(EntityType.SESSION, "aaaaaaaa-0000")
        with pytest.raises(NotFoundError):
            await reader.resolve_id(EntityType.SESSION, "ab")
        with pytest.raises(NotFoundError):
            await reader.resolve_id(EntityType.TOOL_CALL, "aaaaaaaa")
        for bad in ("", "xyz", "%", "a" * 37):
            with pytest.raises(ValidationError):
                await reader.resolve_id(EntityType.SESSION, bad)

    @pytest.mark.parametrize("sort", ["updated", "created", "state"])
    async def test_pages_go_forward_and_back_over_equal_stamps_without_loss(
        self, reader: RunStateReader, seed: Seed, sort: Any
    ) -> None:
        runs = [_bare(f"run {number}", at=minutes(number // 3)) for number in range(10)]
        await seed(runs)
        given = SessionFilter(sort=sort)
        expected = sorted(runs, key=lambda run: (run.updated_at, run.id), reverse=True)
        pages = []
        cursor = None
        while True:
            page = await reader.list(given, limit=4, after=cursor)
            pages.append(page)
            assert page.total == 10
            if page.next_cursor is None:
                break
            cursor = page.next_cursor
        assert [session.id for page in pages for session in page] == [run.id for run in expected]
        assert [len(page) for page in pages] == [4, 4, 2]
        assert pages[0].previous_cursor is None
        back = await reader.list(given, limit=4, before=pages[2].previous_cursor)
        assert [session.id for session in back] == [session.id for session in pages[1]]
        top = await reader.list(given, limit=4, before=back.previous_cursor)
        assert [session.id for session in top] == [session.id for session in pages[0]]
        assert top.previous_cursor is None

    async def test_pages_by_state_begin_with_sessions_that_wait_for_a_person(
        self, reader: RunStateReader, seed: Seed
    ) -> None:
        runs = [
            _bare(f"{state} {number}", at=minutes(10 * index + number), state=state)
            for index, state in enumerate(SessionState)
            for number in range(3)
        ]
        await seed(runs)
        expected = [f"{state} {number}" for state in STATE_ORDER for number in (2, 1, 0)]
        given = SessionFilter(sort="state")
        seen, cursor, back = [], None, None
        for _ in range(5):
            page = await reader.list(given, limit=5, after=cursor)
            assert page.total == 24
            seen += described(page)
            cursor, back = page.next_cursor, page.previous_cursor
        assert (seen, cursor) == (expected, None)
        assert described(await reader.list(given, limit=7, before=back)) == expected[13:20]
        some = SessionFilter(sort="state", states=[SessionState.FAILED, SessionState.CREATED], since=minutes(1))
        assert described(await reader.list(some)) == ["Created 2", "Created 1", "Failed 2", "Failed 1", "Failed 0"]
        assert described(await reader.list(SessionFilter(sort="state", text="planning"), limit=2)) == [
            "Planning 2",
            "Planning 1",
        ]
        assert await reader.count(SessionFilter(sort="state", text="0")) == 8

    @pytest.mark.parametrize("sort", ["updated", "created", "state"])
    async def test_the_last_page_and_the_page_after_a_session_are_read_directly(
        self, reader: RunStateReader, seed: Seed, sort: Any
    ) -> None:
        runs = [_bare(f"run {number}", at=minutes(number // 3)) for number in range(8)]
        await seed(runs)
        expected = [run.id for run in sorted(runs, key=lambda run: (run.updated_at, run.id), reverse=True)]
        given = SessionFilter(sort=sort)
        last = await reader.list(given, limit=3, before=end_cursor(sort))
        assert ([session.id for session in last], last.next_cursor) == (expected[5:], None)
        before = await reader.list(given, limit=3, before=last.previous_cursor)
        assert [session.id for session in before] == expected[2:5]
        assert before.next_cursor is not None
        here = await reader.list(given, limit=3, after=cursor_above(sort, await reader.get(expected[4])))
        assert [session.id for session in here] == expected[4:7]
        assert here.previous_cursor is not None

    @pytest.mark.parametrize("sort", ["updated", "created", "state"])
    async def test_a_position_in_the_list_is_the_number_of_sessions_before_it(
        self, reader: RunStateReader, seed: Seed, sort: Any
    ) -> None:
        states = list(SessionState)
        runs = [_bare(f"run {number}", at=minutes(number // 3), state=states[number % 8]) for number in range(12)]
        await seed(runs)
        given = SessionFilter(sort=sort)
        shown = (await reader.list(given)).sessions
        places = [await reader.count_before(given, cursor_above(sort, session)) for session in shown]
        assert places == list(range(12))
        assert await reader.count_before(given, end_cursor(sort)) == 12
        with pytest.raises(ValidationError, match="cursor"):
            await reader.count_before(given, "nonsense")
        assert await reader.count_before(SessionFilter(text="run", sort=sort), end_cursor(sort)) is None

    async def test_counts_by_state_ignore_the_filter_of_states(self, reader: RunStateReader, seed: Seed) -> None:
        assert await reader.count_by_state() == dict.fromkeys(SessionState, 0)
        await seed([_bare(f"run {number}", at=minutes(number), state=SessionState.FAILED) for number in range(3)])
        await seed([_bare("other", at=minutes(9), state=SessionState.PAUSED)])
        expected = dict.fromkeys(SessionState, 0) | {SessionState.FAILED: 3, SessionState.PAUSED: 1}
        assert await reader.count_by_state() == expected
        assert await reader.count_by_state(SessionFilter(states=[SessionState.PAUSED])) == expected
        assert await reader.count_by_state(SessionFilter(text="run")) is None

    async def test_an_empty_tier_has_one_empty_page(self, reader: RunStateReader, seed: Seed) -> None:
        page = await reader.list()
        assert (len(page), page.next_cursor, page.previous_cursor, page.total) == (0, None, None, 0)
        assert await reader.count() == 0

    async def test_a_filter_with_a_wrong_type_or_value_is_refused_by_field(
        self, reader: RunStateReader, seed: Seed
    ) -> None:
        await seed([make_run(HERE)])
        wrong: list[tuple[str, Any]] = [
            ("states", SessionFilter(states=["Finished"])),  # type: ignore[list-item]
            ("states", SessionFilter(states="Planning")),  # type: ignore[arg-type]
            ("text", SessionFilter(text=5)),  # type: ignore[arg-type]
            ("user", SessionFilter(user=5)),  # type: ignore[arg-type]
            ("workspace", SessionFilter(workspace=5)),  # type: ignore[arg-type]
            ("since", SessionFilter(since="2026-01-05")),  # type: ignore[arg-type]
            ("until", SessionFilter(until=T0.replace(tzinfo=None))),
            ("sort", SessionFilter(sort="size")),  # type: ignore[arg-type]
            ("filter", "Planning"),
        ]
        for name, given in wrong:
            for asked in (reader.list(given), reader.count(given), reader.count_by_state(given)):
                with pytest.raises(ValidationError, match=f"{name}: "):
                    await asked
        pages: list[dict[str, Any]] = [{"limit": "9"}, {"limit": 1.5}, {"limit": None}, {"after": 5}, {"before": b"x"}]
        for page in pages:
            with pytest.raises(ValidationError, match=f"{next(iter(page))}: "):
                await reader.list(**page)
        ids: list[Any] = [None, 5, b"x"]
        for wrong_id in ids:
            for read in (
                reader.get(wrong_id),
                reader.get_events(wrong_id),
                reader.get_with_hierarchy(wrong_id),
                reader.get_artifact(wrong_id),
                reader.get_artifact_content(wrong_id),
                reader.resolve_id(EntityType.SESSION, wrong_id),
            ):
                with pytest.raises(ValidationError, match="id: must be a string"):
                    await read

    async def test_states_may_be_asked_for_by_name(self, reader: RunStateReader, seed: Seed) -> None:
        run = make_run(HERE)
        await seed([run])
        named: Any = [run.state.value]
        assert described(await reader.list(SessionFilter(states=named))) == [run.task_description]

    async def test_a_bad_limit_or_cursor_is_refused_by_name(self, reader: RunStateReader, seed: Seed) -> None:
        await seed([_bare("a"), _bare("b")])
        for limit in (0, -1, 201):
            with pytest.raises(ValidationError, match="limit"):
                await reader.list(limit=limit)
        cursor = (await reader.list(limit=1)).next_cursor
        for bad in ("", "zzz", "%%%", (cursor or "")[:-4]):
            with pytest.raises(ValidationError, match="cursor"):
                await reader.list(after=bad)
        with pytest.raises(ValidationError, match="cursor"):
            await reader.list(SessionFilter(sort="created"), after=cursor)
        with pytest.raises(ValidationError, match="cursor"):
            await reader.list(after=cursor, before=cursor)

    async def test_every_filter_narrows_and_all_of_them_hold_together(self, reader: RunStateReader, seed: Seed) -> None:
        await seed(
            [
                _bare("one", at=minutes(1), user="ada", state=SessionState.EXECUTING),
                _bare("two", at=minutes(2), user="ada", state=SessionState.FAILED),
                _bare("three", at=minutes(3), user="bob", state=SessionState.FAILED, workspace=ELSEWHERE),
                _bare("four", at=minutes(4), user=None, state=SessionState.CREATED),
            ]
        )
        cases: list[tuple[SessionFilter, list[str]]] = [
            (SessionFilter(), ["four", "three", "two", "one"]),
            (SessionFilter(states=[SessionState.FAILED]), ["three", "two"]),
            (SessionFilter(states=[SessionState.FAILED, SessionState.EXECUTING]), ["three", "two", "one"]),
            (SessionFilter(user="ada"), ["two", "one"]),
            (SessionFilter(workspace=ELSEWHERE), ["three"]),
            (SessionFilter(workspace="no uuid"), []),
            (SessionFilter(since=minutes(2), until=minutes(4)), ["three", "two"]),
            (SessionFilter(since=minutes(2), until=minutes(4), sort="created"), ["three", "two"]),
            (SessionFilter(user="ada", states=[SessionState.FAILED], since=minutes(2), text="two"), ["two"]),
        ]
        for given, expected in cases:
            page = await reader.list(given)
            assert described(page) == expected, given
            assert page.total == len(expected)
            assert await reader.count(given) == len(expected)

    async def test_search_finds_words_in_any_field(self, reader: RunStateReader, seed: Seed) -> None:
        await seed(
            [
                _named(make_run(HERE, description="Fix the Login-form", at=minutes(1)), "x"),
                _named(make_run(HERE, description="Crème brûlée, 100% done", at=minutes(2)), "y"),
                make_run(HERE, description="nothing special", at=minutes(3)),
            ]
        )
        cases = {
            "login": ["nothing special", "Fix the Login-form"],
            "ogin": [],
            "the fix": ["Fix the Login-form"],
            "fix brulee": [],
            "brulee": ["Crème brûlée, 100% done"],
            "crème": ["Crème brûlée, 100% done"],
            "100": ["Crème brûlée, 100% done"],
            "read_file": ["nothing special"],
            "analyse": ["nothing special"],
            "l": [],
            "  ": ["nothing special", "Crème brûlée, 100% done", "Fix the Login-form"],
            '"login" OR (': [],
        }
        for text, expected in cases.items():
            page = await reader.list(SessionFilter(text=text))
            assert described(page) == expected, text
            assert await reader.count(SessionFilter(text=text)) == len(expected), text

    async def test_the_text_of_a_filter_is_a_query(self, reader: RunStateReader, seed: Seed) -> None:
        shop = {"source": "codex", "cwd": "/home/ada/shop", "gitBranch": "main"}
        failed = call("Bash", {"command": "pytest -q tests/auth/test_login.py"}, error="timeout in withCookie")
        edit = call("Edit", {"file_path": "src/auth/login.ts"}, result="done")
        await seed(
            [
                searchable_run("add a cookie", (failed,), at=minutes(1), metadata=shop, workspace_id=HERE, user="ada"),
                searchable_run("a cookie, add it", (edit,), at=minutes(2), workspace_id=HERE),
                searchable_run("something else", at=minutes(3), state=SessionState.FAILED, workspace_id=HERE),
            ]
        )
        one, two, three = "add a cookie", "a cookie, add it", "something else"
        cases = {
            "cookie": [two, one],
            "withcookie": [one],
            "cook*": [two, one],
            '"add a cookie"': [one],
            "add -timeout": [two],
            '-"cookie add"': [three, one],
            "else cookie": [],
            "test_login": [one],
            "agent:codex": [one],
            "project:shop branch:main user:ada": [one],
            "-user:ada": [three, two],
            "tool:bash tool:edit": [],
            "tool:EDIT": [two],
            "file:auth/login.ts": [two],
            "failed:pytest": [one],
            "failed:done": [],
            "is:failed": [three, one],
            "-is:failed": [two],
            "state:failed state:completed": [three, two, one],
            "before:2026-01-05T18:25:00Z": [one],
        }
        for text, expected in cases.items():
            page = await reader.list(SessionFilter(text=text))
            assert described(page) == expected, text
            assert page.total in (None, len(expected)), text
            assert await reader.count(SessionFilter(text=text)) == len(expected), text
        for wrong in ("colour:red", "%", "state:finished", "since:yesterday", "x" * 5_000):
            with pytest.raises(ValidationError, match="query: "):
                await reader.list(SessionFilter(text=wrong))

    async def test_words_of_languages_without_spaces_are_found_inside_a_run(
        self, reader: RunStateReader, seed: Seed
    ) -> None:
        chinese, thai = "修复登录表单的错误", "แก้ไขแบบฟอร์มเข้าสู่ระบบ"
        japanese, mixed = "ログインフォームを直す (Login)", "登录Form: login"
        await seed(
            [
                _bare(chinese, at=minutes(1)),
                _bare(japanese, at=minutes(2), user="ada"),
                _bare(thai, at=minutes(3)),
                _bare(mixed, at=minutes(4), state=SessionState.FAILED),
                _bare("login", at=minutes(5)),
            ]
        )
        cases = {
            "登录": [mixed, chinese],
            "单": [chinese],
            "录表 错误": [chinese],
            "错误 login": [],
            "录form": [mixed],
            "登录 LOGIN": [mixed],
            "登录 ogin": [],
            "フォーム": [japanese],
            "直 login": [japanese],
            "ระบบ": [thai],
            "注册": [],
        }
        for text, expected in cases.items():
            page = await reader.list(SessionFilter(text=text))
            assert described(page) == expected, text
            assert page.total in (None, len(expected)), text
            assert await reader.count(SessionFilter(text=text)) == len(expected), text
        first = await reader.list(SessionFilter(text="登录"), limit=1)
        second = await reader.list(SessionFilter(text="登录"), limit=1, after=first.next_cursor)
        back = await reader.list(SessionFilter(text="登录"), limit=1, before=second.previous_cursor)
        assert described(first) + described(second) + described(back) == [mixed, chinese, mixed]
        assert described(await reader.list(SessionFilter(text="登录", states=[SessionState.FAILED]))) == [mixed]
        assert described(await reader.list(SessionFilter(text="直", user="ada", sort="created"))) == [japanese]
        assert described(await reader.list(SessionFilter(text="登录", sort="state"))) == [chinese, mixed]

    async def test_the_next_page_of_matches_starts_after_the_last_match(
        self, reader: RunStateReader, seed: Seed
    ) -> None:
        await seed([_bare(f"{'login' if number % 2 else 'other'} {number}", at=minutes(number)) for number in range(9)])
        first = await reader.list(SessionFilter(text="login"), limit=3)
        second = await reader.list(SessionFilter(text="login"), limit=3, after=first.next_cursor)
        assert described(first) + described(second) == ["login 7", "login 5", "login 3", "login 1"]
        assert second.next_cursor is None

    async def test_a_summary_counts_the_rows_below(self, reader: RunStateReader, seed: Seed) -> None:
        await seed([make_run(HERE, calls=3)])
        (summary,) = await reader.list()
        assert (summary.task_count, summary.tasks_done) == (1, 0)
        assert (summary.tool_call_count, summary.failed_calls, summary.artifact_count) == (3, 0, 5)
        assert summary.current_tool is None

    async def test_a_summary_names_the_call_under_way_and_why_the_state_changed(
        self, reader: RunStateReader, seed: Seed
    ) -> None:
        run = make_run(HERE, calls=3)
        (task,), (event,) = run.tasks, run.events
        (step,) = task.steps
        first, last, after = step.tool_calls
        began = {"created_at": minutes(3), "updated_at": minutes(3)}
        last = replace(last, tool_name="Bash", state=ToolCallState.EXECUTING, completed_at=None, **began)
        task = replace(task, steps=(replace(step, tool_calls=(first, last, after)),))
        later = replace(event, id=str(uuid.uuid4()), reason="approved [x]", timestamp=minutes(4))
        await seed([replace(run, tasks=(task,), events=(event, later))])
        (summary,) = await reader.list()
        assert (summary.current_tool, summary.current_tool_at) == ("Bash", minutes(3))
        assert summary.last_reason == "approved [x]"

    @pytest.mark.ac("AC-059")
    async def test_hostile_text_is_read_back_exactly(self, reader: RunStateReader, seed: Seed) -> None:
        text = "Robert'); DROP TABLE sessions;-- \u202e[/red] \x1b[31m ${x} %s \\ \" \U0001f480"
        run = _bare(text)
        await seed([run])
        assert (await reader.get(run.id)).task_description == text


def _bare(
    description: str,
    *,
    at: Any = T0,
    user: str | None = "ada",
    state: SessionState = SessionState.EXECUTING,
    workspace: str = HERE,
) -> SessionGraph:
    run = make_run(workspace, description=description, at=at, user=user, state=state)
    return msgspec.structs.replace(run, tasks=(), events=())


def _named(run: SessionGraph, name: str) -> SessionGraph:
    """The run with one task of that title and nothing below, so that only its description is searchable."""
    return msgspec.structs.replace(run, tasks=(msgspec.structs.replace(run.tasks[0], title=name, steps=()),))


def _content(graph: SessionGraph) -> Any:
    """The content of a run in the form that both databases store."""

    def stripped(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: stripped(item) for key, item in value.items() if key not in ("syncVersion", "content")}
        if isinstance(value, list):
            return [stripped(item) for item in value]
        return value

    return normal_form(stripped(to_plain(graph)))
