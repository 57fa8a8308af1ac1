"""The query language: what a text means, and that every text is a query or gives one clear error."""

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.errors import ValidationError
from acode_tui.domain.search.query import (
    FIELDS,
    MAX_CHARS,
    MAX_TERMS,
    Conditions,
    Query,
    Term,
    as_typed,
    parse_query,
    quote,
)
from acode_tui.domain.search.tokens import tokens
from acode_tui.domain.states import SessionState

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def parse(text: str) -> Query:
    return parse_query(text, now=NOW)


def terms(text: str) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(term.kind, term.text, term.tokens) for term in parse(text).terms]


def test_words_phrases_and_prefixes() -> None:
    assert terms('login "Add Input" pre* src/auth/login.ts src/* foo_ba*') == [
        ("word", "login", ("login",)),
        ("phrase", "Add Input", ("add", "input")),
        ("prefix", "pre", ("pre",)),
        ("word", "src/auth/login.ts", ("src", "auth", "login", "ts")),
        ("word", "src/*", ("src",)),
        ("prefix", "foo_ba", ("foo", "ba")),
    ]


def test_excluded_words_and_fields() -> None:
    query = parse('-word -"a phrase" -pre* -agent:codex -is:subagent -tool:Bash keep')
    assert [term.text for term in query.terms] == ["keep"]
    excluded = query.excluded
    assert [(term.kind, term.text) for term in excluded.terms] == [
        ("word", "word"),
        ("phrase", "a phrase"),
        ("prefix", "pre"),
    ]
    assert (excluded.agents, excluded.is_, excluded.tools) == (("codex",), ("subagent",), ("Bash",))


def test_fields_and_their_values() -> None:
    query = parse(
        'agent:claude-code agent:codex project:"my app" model:opus branch:fix/x user:ada state:failed '
        "state:awaiting-approval tool:mcp__git file:login.ts failed:timeout failed:refus* is:failed is:LIVE"
    )
    assert query.agents == ("claude-code", "codex")
    assert query.projects == ("my app",)
    assert (query.models, query.branches, query.users, query.tools) == (("opus",), ("fix/x",), ("ada",), ("mcp__git",))
    assert query.states == (SessionState.FAILED, SessionState.AWAITING_APPROVAL)
    assert query.files == (Term("word", "login.ts", ("login", "ts")),)
    assert query.failed == (Term("word", "timeout", ("timeout",)), Term("prefix", "refus", ("refus",)))
    assert query.is_ == ("failed", "live")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7d", NOW - timedelta(days=7)),
        ("12h", NOW - timedelta(hours=12)),
        ("30m", NOW - timedelta(minutes=30)),
        ("2w", NOW - timedelta(weeks=2)),
        ("2026-02-01", datetime(2026, 2, 1, tzinfo=UTC)),
        ("2026-02-01T10:30", datetime(2026, 2, 1, 10, 30, tzinfo=UTC)),
        ("2026-02-01T10:30:00+02:00", datetime(2026, 2, 1, 8, 30, tzinfo=UTC)),
        ('"2026-02-01 10:30"', datetime(2026, 2, 1, 10, 30, tzinfo=UTC)),
    ],
)
def test_moments(value: str, expected: datetime) -> None:
    assert parse(f"since:{value}").since == expected
    assert parse(f"before:{value}").before == expected


def test_a_date_is_a_day_where_the_user_is_and_the_narrowest_moments_count() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=5)))
    query = parse_query("since:2026-02-01 since:2026-02-03 before:2026-02-20 before:2026-02-10", now=there)
    assert query.since == datetime(2026, 2, 2, 19, tzinfo=UTC)
    assert query.before == datetime(2026, 2, 9, 19, tzinfo=UTC)
    assert parse_query("since:2026-02-03T04:30", now=there).since == datetime(2026, 2, 2, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("http://x.org/y", "https://a", "C:\\temp\\x", "c:\\x", "12:30", "std::move", "path.py:12", "localhost:8080"),
        *(
            "file://etc/x",
            "tool::x",
            "TypeError:message",
            "error:",
            "src:12:3",
            "foo:bar:baz",
            "--verbose",
            "a:b",
            "x=y:z",
        ),
        *("AND", "OR", "NOT", "NEAR(a,b)", "(a)", "^a", "a\x00b", "🎉a", "a*b*", "ab:*", "note:/x", "don't"),
    ],
)
def test_what_is_no_field_is_a_word(text: str) -> None:
    query = parse(text)
    assert [term.tokens for term in query.terms] == [tokens(text.rstrip("*"))]
    assert query == Query(terms=query.terms, now=NOW)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("colour:red", "colour: is no field"),
        ("-colour:red", "colour: is no field"),
        ('colour:"red"', "colour: is no field"),
        ("state:done", "state:"),
        ("is:broken", "is:"),
        ("since:yesterday", "since: is no moment"),
        ("before:2026-13-01", "before: is no moment"),
        ("since:999999999w", "since: is no moment"),
        ("since:0001-01-01T00:00+23:00", "since: is no moment"),
        ("-since:7d", "since: cannot be excluded"),
        ("agent:", "agent: needs a value"),
        ('project:""', "project: needs a value"),
        ("file:*", "file: needs a value with a letter or digit"),
        ("-", "no letter or digit"),
        ('"', "no letter or digit"),
        ("🎉", "no letter or digit"),
        ("( ) ^ * : \x00", "no letter or digit"),
        ("x" * (MAX_CHARS + 1), "4,097 characters"),
        ("x " * 2_000, ""),
        (" ".join(f"w{number}" for number in range(MAX_TERMS + 1)), "65 conditions"),
    ],
)
def test_errors_say_what_is_wrong_in_one_sentence(text: str, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse(text)
    assert says in caught.value.message
    assert caught.value.field == "query"
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_error_of_an_unknown_field_names_those_that_there_are() -> None:
    with pytest.raises(ValidationError) as caught:
        parse("colour:red")
    assert all(field in caught.value.hint for field in FIELDS)


def test_an_open_quote_runs_to_the_end_and_symbols_beside_words_are_left_out() -> None:
    assert terms('a "b c') == [("word", "a", ("a",)), ("phrase", "b c", ("b", "c"))]
    assert terms('a -> - b && "" * c') == [("word", word, (word,)) for word in "abc"]
    assert terms('"a"b "c"*') == [("phrase", "a", ("a",)), ("word", "b", ("b",)), ("phrase", "c", ("c",))]


def test_an_empty_query_has_no_condition() -> None:
    assert parse("").is_empty
    assert parse("  \n ").is_empty
    assert not parse("a").is_empty
    assert not parse("-a").is_empty
    assert not parse("since:1d").is_empty


@given(st.text(max_size=80))
def test_any_text_is_a_query_or_a_validation_error(text: str) -> None:
    try:
        query = parse(text)
    except ValidationError:
        return
    assert isinstance(query, Query)
    assert all(term.tokens for term in (*query.texts, *query.files, *query.excluded.texts, *query.excluded.files))


@given(st.lists(st.sampled_from([*(f"{field}:" for field in FIELDS), "-", '"', "*", "a", "7d", " ", ":", "é", "\x00"])))
def test_any_pieces_of_the_language_are_a_query_or_a_validation_error(pieces: list[str]) -> None:
    with contextlib.suppress(ValidationError):
        parse("".join(pieces))


def test_a_quote_within_quotes_is_doubled_and_a_condition_counts_once() -> None:
    assert terms('"say ""hi"" twice"') == [("phrase", 'say "hi" twice', ("say", "hi", "twice"))]
    assert parse('project:"a ""b"""').projects == ('a "b"',)
    assert terms("login login LOGIN") == [("word", "login", ("login",)), ("word", "LOGIN", ("login",))]
    assert parse("agent:x agent:x").agents == ("x",)


@given(st.text(min_size=1, max_size=30))
def test_a_quoted_text_is_one_phrase_or_value_with_exactly_that_text(text: str) -> None:
    if tokens(text):
        assert parse(quote(text)).terms == (Term("phrase", text, tokens(text)),)
        assert parse(f"-file:{quote(text)}").excluded.files == (Term("phrase", text, tokens(text)),)
    if text.strip():
        query = parse(f"project:{quote(text)} agent:x")
        assert (query.projects, query.agents) == ((text,), ("x",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("logi", "logi*"), ("fix logi", "fix logi*"), ("src/au", "src/au*"), ("认", "认*"), ("file:lo", "file:lo*")),
        *(("", ""), ("logi ", "logi "), ("lo*", "lo*"), ('"lo', '"lo'), ('"lo"', '"lo"'), ("agent:cl", "agent:cl")),
        *(("a", "a"), ("x a", "x a"), ("-lo", "-lo"), ("lo/", "lo/"), ("since:7d", "since:7d"), ("🎉", "🎉")),
    ],
)
def test_the_last_word_is_a_beginning_while_it_is_typed(text: str, expected: str) -> None:
    assert as_typed(text) == expected


def test_every_token_that_a_matching_run_must_have() -> None:
    query = parse('login "add input" pre* file:a.ts failed:timeout tool:read_file -not agent:x')
    assert dict(query.index_tokens) == {
        **dict.fromkeys(["login", "add", "input", "a", "ts", "timeout", "read", "file"], False),
        "pre": True,
    }
    assert parse("agent:x").index_tokens == ()
    assert Conditions().has_places is False
