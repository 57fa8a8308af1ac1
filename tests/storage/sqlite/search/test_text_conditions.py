"""A text that has the words of a query meets the conditions of SQL, whatever stands around them and however stored."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acode_tui.domain.codec import encode_plain
from acode_tui.domain.search.match import contains
from acode_tui.domain.search.places import json_texts
from acode_tui.domain.search.query import Term
from acode_tui.domain.search.text_filter import TextFilter
from acode_tui.domain.search.tokens import tokens
from acode_tui.storage.sqlite.contents import pack
from acode_tui.storage.sqlite.search.text_conditions import content_may_hold, may_hold
from tests.domain.search.texts import texts


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        opened.execute("CREATE TABLE row (first TEXT NOT NULL, second TEXT)")
        opened.execute("CREATE TABLE artifact (name TEXT, content BLOB, content_type TEXT, size INTEGER)")
        yield opened


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.data(), texts, st.none() | texts)
def test_what_passes_meets_the_condition(
    connection: sqlite3.Connection, data: st.DataObject, first: str, second: str | None
) -> None:
    stored = None if second is None else encode_plain({"key": second}).decode()
    whole = "\n".join([first, *([] if second is None else json_texts({"key": second}))])
    every = tokens(whole)
    at = data.draw(st.integers(0, max(0, len(every) - 1)))
    term = Term("phrase", "", every[at : at + data.draw(st.integers(1, 4))])
    if not contains(term, whole):
        return
    held, values = may_hold([TextFilter([term])], [["first", "second"]], json=["second"])
    connection.execute("INSERT INTO row VALUES (?, ?)", (first, stored))
    assert connection.execute(f"SELECT count(*) FROM row AS t WHERE 1{held}", values).fetchone() == (1,)
    connection.execute("DELETE FROM row")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.data(), texts, st.booleans())
def test_a_content_that_has_the_words_meets_the_condition(
    connection: sqlite3.Connection, data: st.DataObject, text: str, is_packed: bool
) -> None:
    every = tokens(text)
    at = data.draw(st.integers(0, max(0, len(every) - 1)))
    term = Term("phrase", "", every[at : at + data.draw(st.integers(1, 4))])
    if not contains(term, text):
        return
    content = text.encode("utf-8", "replace")
    held, values = content_may_hold([TextFilter([term])], 4_096)
    stored = pack(content * 20) if is_packed else content
    size = len(content) * 20 if is_packed else len(content)
    connection.execute("INSERT INTO artifact VALUES ('out', ?, 'text/plain', ?)", (stored, size))
    assert connection.execute(f"SELECT count(*) FROM artifact AS t WHERE 1{held}", values).fetchone() == (1,)
    connection.execute("DELETE FROM artifact")


def test_most_of_what_has_not_the_words_does_not_meet_it(connection: sqlite3.Connection) -> None:
    held, values = may_hold([TextFilter([Term("phrase", "", ("returns", "early"))])], [["first", "second"]])
    rows = [
        ("early it returns", None),
        ("it returns", "{}"),
        ("late", "returns late"),
        ("Returns Early", None),
        ("it returns", '{"then":"early"}'),
    ]
    connection.executemany("INSERT INTO row VALUES (?, ?)", rows)
    met = connection.execute(f"SELECT rowid FROM row AS t WHERE 1{held} ORDER BY rowid", values).fetchall()
    assert met == [(2,), (4,), (5,)]
    connection.execute("DELETE FROM row")
