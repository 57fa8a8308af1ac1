"""Pages of sessions equal a sorted list: any filter, any size, forward and back, while others write."""

import base64
import sqlite3
import unicodedata
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acode_tui.domain.clock import MonotonicClock
from acode_tui.domain.entities import SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.ids import imported_id
from acode_tui.domain.search.facts import facts_of
from acode_tui.domain.search.hits import hits_of_run
from acode_tui.domain.search.places import places_of_run
from acode_tui.domain.search.query import Query, parse_query
from acode_tui.domain.states import SessionState, ToolCallState, WorkState
from acode_tui.storage.cursors import FIGURES, SortKey, cursor_above, decode_cursor, encode_cursor
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import SessionFilter, SessionPage
from acode_tui.storage.sqlite.migrate import migrate
from acode_tui.storage.sqlite.runs.save_graph import save_graph
from acode_tui.storage.sqlite.search import documents, words
from acode_tui.storage.sqlite.search.index import step
from acode_tui.storage.sqlite.sessions import matches, pages, ranges
from tests.clocks import NOON, TurnedClock
from tests.storage.sqlite.parts import Parts
from tests.storage.sqlite.runs.runs import make_run

WORDS = ["login", "logic", "form", "café", "Ärger", "x", "read", "reads", "2026", "日本", "naïve"]
MOMENTS = [NOON + timedelta(seconds=n) for n in range(6)]
USERS = ["ada", "bob", None]
WORKSPACES = [f"0190d6a1-0000-7000-8000-00000000000{n}" for n in (1, 2)]


class Row(NamedTuple):
    """A session as the model knows it; ``texts`` are the texts that a search reads."""

    id: str
    state: SessionState
    created: datetime
    updated: datetime
    user: str | None
    workspace: str
    agent: str | None
    texts: tuple[str, ...]


phrases = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)


@st.composite
def session_rows(draw: st.DrawFn) -> list[Row]:
    found = []
    for number in range(draw(st.integers(0, 25))):
        created, updated = sorted((draw(st.sampled_from(MOMENTS)), draw(st.sampled_from(MOMENTS))))
        found.append(
            Row(
                imported_id("model", str(number)),
                draw(st.sampled_from([SessionState.CREATED, SessionState.EXECUTING, SessionState.FAILED])),
                created,
                updated,
                draw(st.sampled_from(USERS)),
                draw(st.sampled_from(WORKSPACES)),
                draw(st.sampled_from(["codex", "claude-code", None])),
                tuple(draw(st.lists(phrases, min_size=1, max_size=4))),
            )
        )
    return found


@st.composite
def terms(draw: st.DrawFn) -> str:
    """A word, the beginning of one, a phrase, or none of these."""
    word = draw(st.sampled_from(WORDS))
    shape = draw(st.sampled_from(["{}", "{}", "{}*", '"{} {}"', "-{}", '-"{} {}"']))
    if shape == "{}*":
        word = word[: draw(st.integers(1, len(word)))]
    return shape.format(draw(st.sampled_from([word, word.upper()])), draw(st.sampled_from(WORDS)))


conditions = terms() | st.sampled_from(
    [
        *("state:failed", "-state:created", "user:ADA", "-user:bob", "tool:read", "-tool:read"),
        *("agent:codex", "-agent:codex", "agent:claude", "agent:nobody"),
    ]
)


@st.composite
def filters(draw: st.DrawFn, *, text: bool) -> SessionFilter:
    query = " ".join(draw(st.lists(conditions, min_size=1, max_size=3))) if text else None
    since, until = draw(
        st.sampled_from([(None, None), (MOMENTS[1], None), (None, MOMENTS[4]), (MOMENTS[1], MOMENTS[5])])
    )
    return SessionFilter(
        states=draw(st.lists(st.sampled_from(SessionState), max_size=3)),
        text=query,
        user=draw(st.sampled_from([None, None, "ada", "nobody"])),
        workspace=draw(st.sampled_from([None, None, WORKSPACES[0]])),
        since=since,
        until=until,
        sort=draw(st.sampled_from(["updated", "created"])),
    )


def model(rows: list[Row], given: SessionFilter) -> list[str]:
    """The ids that the filter's pages hold, in order."""

    def stamp(row: Row) -> datetime:
        return row.updated if given.sort == "updated" else row.created

    fitting = [
        row
        for row in rows
        if (not given.states or row.state in given.states)
        and (given.user is None or row.user == given.user)
        and (given.workspace is None or row.workspace == given.workspace)
        and (given.since is None or stamp(row) >= given.since)
        and (given.until is None or stamp(row) < given.until)
        and (given.text is None or _is_found(row, parse_query(given.text, now=NOON)))
    ]
    return [row.id for row in sorted(fitting, key=lambda row: (stamp(row), row.id), reverse=True)]


def _is_found(row: Row, query: Query) -> bool:
    graph = _graph(row)
    return hits_of_run(query, facts_of(graph), places_of_run(graph.entities())) is not None


_template: list[sqlite3.Connection] = []


@pytest.fixture(scope="module", autouse=True)
def _empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, packaged("sqlite"), lock_path=tmp_path_factory.mktemp("locks") / "migrate.lock")
    _template.append(connection)
    yield
    _template.pop().close()


@contextmanager
def stored(rows: list[Row]) -> Iterator[sqlite3.Connection]:
    """A database of these sessions; texts go to the description, a task, a step and a tool, in this order."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        _template[0].backup(connection)
        clock = MonotonicClock(TurnedClock())
        for row in rows:
            save_graph(connection, _graph(row), clock)
        while step(connection):
            pass
        yield connection


def _graph(row: Row) -> SessionGraph:
    return make_run(
        0,
        id=row.id,
        description=row.texts[0],
        state=row.state,
        user_id=row.user,
        workspace_id=row.workspace,
        metadata=None if row.agent is None else {"agent": row.agent},
        created_at=row.created,
        updated_at=row.updated,
        events=(),
        tasks=_tasks(row),
    )


def _tasks(row: Row) -> tuple[TaskGraph, ...]:
    times: dict[str, Any] = {"created_at": row.created, "updated_at": row.created, "session_id": row.id, "order": 0}
    if len(row.texts) < 2:
        return ()
    title, name, tool = (*row.texts[1:], "", "")[:3]
    ids = [imported_id("model", row.id, kind) for kind in ("task", "step", "call")]
    call = ToolCallGraph(id=ids[2], step_id=ids[1], tool_name=tool, parameters={}, state=ToolCallState.PENDING, **times)
    step = StepGraph(
        id=ids[1],
        task_id=ids[0],
        name=name,
        state=WorkState.PENDING,
        tool_calls=(call,) if tool else (),
        **times,
    )
    return (TaskGraph(id=ids[0], title=title, state=WorkState.PENDING, steps=(step,) if name else (), **times),)


def page(connection: sqlite3.Connection, given: SessionFilter, limit: int, **cursor: str | None) -> SessionPage:
    return pages.read_page(
        connection, given, limit=limit, after=cursor.get("after"), before=cursor.get("before"), query=query_of(given)
    )


def query_of(given: SessionFilter) -> Query | None:
    return None if given.text is None else parse_query(given.text, now=NOON)


def ids(found: SessionPage) -> list[str]:
    return [session.id for session in found]


def assert_pages_equal(connection: sqlite3.Connection, given: SessionFilter, wanted: list[str], limit: int) -> None:
    """Walk to the end and back again; count on the way."""
    found = page(connection, given, limit)
    assert found.previous_cursor is None
    seen: list[str] = []
    read = [found]
    while True:
        seen += ids(found)
        assert found.total in (None, len(wanted))
        assert len(found) == limit or found.next_cursor is None
        if found.next_cursor is None:
            break
        found = page(connection, given, limit, after=found.next_cursor)
        assert found.previous_cursor is not None
        read.append(found)
    assert seen == wanted
    for earlier in reversed(read[:-1]):
        found = page(connection, given, limit, before=found.previous_cursor)
        assert ids(found) == ids(earlier)
    assert found.previous_cursor is None or len(read) > 1 or not wanted
    assert pages.count(connection, given, query_of(given)) == len(wanted)


@pytest.mark.ac("AC-056")
@given(rows=session_rows(), chosen=filters(text=False), limit=st.integers(1, 9), few=st.sampled_from([0, 3, 1_200]))
def test_any_page_of_any_filter_is_a_slice_of_the_sorted_sessions(
    rows: list[Row], chosen: SessionFilter, limit: int, few: int
) -> None:
    with stored(rows) as connection, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "FEW", few)
        assert_pages_equal(connection, chosen, model(rows, chosen), limit)


WAYS: dict[str, dict[str, int]] = {
    "looked up and sorted": {},
    "looked up, tested as far as the page needs": {"TESTED": 0, "_CHUNK": 1},
    "walked and tested": {"RARE": -1, "FEW": -1, "COLLECTED": -1, "FAILING": -1, "_CHUNK": 1},
    "walked, those collected tested": {"RARE": -1, "WALKED": 0, "PASSED": 100, "_CHUNK": 1},
    "walked, then looked up": {
        **{"RARE": -1, "FEW": -1, "BEGUN": 0, "NEAR": -1},
        **{"WALKED": 1, "PASSED": 0, "_CHUNK": 1},
    },
    "prefixes in the texts": {"RARE": -1, "MAX_WORDS": 0, "MAX_DOCUMENTS": 0},
    "prefixes at once": {"MAX_WORDS": 0},
    "documents of one row": {"MAX_CHARS": 1, "RARE": -1},
}


@pytest.mark.ac("AC-056")
@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=15)
@given(rows=session_rows(), chosen=filters(text=True), limit=st.integers(1, 5))
def test_a_search_finds_the_same_pages_in_both_directions(
    way: str, rows: list[Row], chosen: SessionFilter, limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in WAYS[way].items():
            (module,) = (module for module in (documents, matches, words) if hasattr(module, name))
            patch.setattr(module, name, value)
        with stored(rows) as connection:
            assert_pages_equal(connection, chosen, model(rows, chosen), limit)


@given(rows=session_rows(), limit=st.integers(1, 4), data=st.data())
def test_rows_that_move_meanwhile_never_hide_or_repeat_one_that_does_not(
    rows: list[Row], limit: int, data: st.DataObject
) -> None:
    with stored(rows) as connection:
        moved: set[str] = set()
        seen: list[str] = []
        found = page(connection, SessionFilter(), limit)
        while True:
            seen += ids(found)
            if found.next_cursor is None:
                break
            if data.draw(st.booleans()) and rows:
                chosen = data.draw(st.sampled_from(rows)).id
                moved.add(chosen)
                stamp = f"2026-01-06T00:00:00.{len(moved):06}Z"
                connection.execute("UPDATE sessions SET updated_at = ? WHERE id = ?", (stamp, chosen))
            found = page(connection, SessionFilter(), limit, after=found.next_cursor)
        untouched = [row.id for row in rows if row.id not in moved]
        assert sorted(each for each in seen if each not in moved) == sorted(untouched)


def _queries(text: str) -> list[str]:
    return [
        f"{text}",
        f"{text.upper()}",
        f"{text[:4]}*",
        f"  {text}  ",
        f'"{text}"',
        f"{text}*",
        f"({text}",
        f"^{text}",
    ]


@pytest.mark.ac("AC-059")
@pytest.mark.parametrize(
    ("text", "query", "fits"),
    [
        *(("Add input validation", each, True) for each in _queries("validation")),
        ("Add input validation", "input add", True),
        ("Add input validation", '"input add"', False),
        ("Add input validation", "add output", False),
        ("Add input validation", "alid*", False),
        ("the café on Ärgerstraße", "cafe arger*", True),
        ("the cafe on Argerstr", "café ÄRGER*", True),
        ("the café", unicodedata.normalize("NFD", "café"), True),
        (unicodedata.normalize("NFD", "cafés"), "cafés", True),
        ("日本語のテスト", "日本", True),
        ("fix parse_args in cli.py", "parse_args", True),
        ("fix parse_args in cli.py", "args", True),
        ("fix parse_args in cli.py", "cli.py", True),
        ("call withCookie", "cookie", True),
        ("plan b", "b", True),
        ("plan beta", "b", False),
        ("anything", '" OR 1=1 --', False),
        ("a OR b", "a OR b", True),
        ("alpha", "alpha NOT beta", False),
        ("alpha", "alpha -alpha", False),
        ("alpha beta", "NEAR(alpha beta)", False),
        ("alpha", "alpha \x00 beta", False),
        ("alpha", "alpha \udc80", True),
        ("100% sure_thing", "100%", True),
        ("rocket 🚀 launch", "🚀 launch", True),
    ],
)
async def test_search_input_is_matched_as_words_never_as_syntax(
    parts: Parts, text: str, query: str, fits: bool
) -> None:
    await parts.store.create_session(text)
    await parts.store.create_session("something else entirely")
    given = SessionFilter(text=query)
    assert [each.task_description for each in await parts.store.list(given)] == ([text] if fits else [])
    assert await parts.store.count(given) == fits


async def test_a_blank_search_is_no_search(parts: Parts) -> None:
    await parts.store.create_session("x")
    assert (await parts.store.list(SessionFilter(text="  \n"))).total == 1


@pytest.mark.parametrize("query", ["word " * 20_000, "w" * 100_000, "-", "!!! --- ***", "colour:red", "is:odd"])
async def test_what_is_no_query_is_refused_in_one_sentence(parts: Parts, query: str) -> None:
    await parts.store.create_session("x")
    with pytest.raises(ValidationError):
        await parts.store.list(SessionFilter(text=query))
    with pytest.raises(ValidationError):
        await parts.store.count(SessionFilter(text=query))


async def test_a_changed_text_is_found_by_its_new_words_only(parts: Parts) -> None:
    await parts.store.save(make_run(1, description="alpha"))
    await parts.store.save(make_run(1, description="beta"))
    assert len(await parts.store.list(SessionFilter(text="alpha"))) == 0
    assert len(await parts.store.list(SessionFilter(text="beta"))) == 1


@pytest.mark.parametrize("limit", [0, -1, 201, 10**9])
async def test_a_page_holds_1_to_200(parts: Parts, limit: int) -> None:
    with pytest.raises(ValidationError, match="1 to 200"):
        await parts.store.list(limit=limit)


async def test_a_session_of_any_year_is_on_a_page(parts: Parts) -> None:
    for number, year in enumerate((1, 999, 1970, 9000, 9999)):
        await parts.store.save(make_run(number, at=datetime(year, 6, 1, tzinfo=UTC)))
    for sort in ("updated", "created"):
        found = await parts.store.list(SessionFilter(sort=sort))
        assert [each.created_at.year for each in found] == [9999, 9000, 1970, 999, 1]


def _cursor(value: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode().rstrip("=")


STAMP = "2026-01-05T12:00:00.000000Z"
TAMPERED = [
    "",
    "x",
    "!!!!",
    "é",
    "\udc80",
    "a" * 10_000,
    _cursor(None),
    _cursor(["updated", STAMP]),
    _cursor(["deleted", STAMP, "id"]),
    _cursor(["updated", "yesterday", "id"]),
    _cursor(["updated", "2026-01-05T12:00:00", "id"]),
    _cursor(["updated", "0001-01-01T00:00:00+14:00", "id"]),
    _cursor(["updated", STAMP, 7]),
    _cursor(["created", STAMP, "id"]),
    _cursor({"sort": "updated", "stamp": STAMP, "id": "x"}),
    base64.urlsafe_b64encode(b'["updated","' + STAMP.encode() + b'","\\ud800"]').decode(),
    base64.urlsafe_b64encode(b"\xff\xfe").decode(),
]


@pytest.mark.parametrize("cursor", TAMPERED, ids=range(len(TAMPERED)))
async def test_a_cursor_that_no_page_gave_out_is_refused(parts: Parts, cursor: str) -> None:
    await parts.store.create_session("x")
    for way in ("after", "before"):
        with pytest.raises(ValidationError) as refused:
            await parts.store.list(**{way: cursor})  # type: ignore[arg-type]
        assert refused.value.field == "cursor"


async def test_after_and_before_together_are_refused(parts: Parts) -> None:
    cursor = encode_cursor("updated", NOON, "x")
    with pytest.raises(ValidationError, match="together"):
        await parts.store.list(after=cursor, before=cursor)


@given(st.sampled_from(["updated", "created"]), st.datetimes(timezones=st.just(UTC)), st.text())
def test_a_cursor_is_decoded_to_the_position_it_encodes(sort: Any, stamp: datetime, row_id: str) -> None:
    try:
        row_id.encode()
    except UnicodeEncodeError:
        return
    cursor = encode_cursor(sort, stamp, row_id)
    place = decode_cursor(cursor, sort)
    assert (place.sort, place.id) == (sort, row_id)
    assert encode_cursor(sort, datetime.fromisoformat(place.stamp), place.id) == cursor
    assert cursor.isascii()
    assert not set("=+/ &?") & set(cursor)


async def test_a_place_too_far_from_both_ends_is_not_counted(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        await parts.store.create_session(f"run {number}")
    monkeypatch.setattr(pages, "MAX_POSITION_ENTRIES", 3)
    for sort in set(get_args(SortKey)) - set(FIGURES):
        every = SessionFilter(sort=sort)
        cursors = [cursor_above(sort, session) for session in await parts.store.list(every)]
        places = [await parts.store.count_before(every, cursor) for cursor in cursors]
        assert places == [0, 1, 2, 3, None, None, 6, 7, 8]
