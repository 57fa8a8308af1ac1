"""The order in which spans arrive, their batches and their repetition change nothing; nor does what a span holds."""

import json
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from acode_tui.domain.codec import encode_payload
from acode_tui.domain.entities import SessionEvent
from acode_tui.domain.states import ToolCallState
from acode_tui.ingest.format import Parsed
from acode_tui.ingest.otlp.agent_logs import taken
from acode_tui.ingest.otlp.format import Otlp
from acode_tui.ingest.otlp.records import log_records_of, spans_of, stored
from acode_tui.storage.sqlite.span_reader import SpanReader
from acode_tui.storage.sqlite.span_store import SpanStore
from acode_tui.storage.transcript_ports import SPANS_FILE, StoredSpan
from tests.ingest.builders import LATER, START, calls_of, context_for, read
from tests.ingest.otlp.builder import agent, chat, log, log_request, request, run, tool
from tests.ingest.test_hostile import assert_storable


def story() -> list[dict[str, Any]]:
    """Requests of one span each: two traces of a conversation, one without, a run in log records."""
    other = "b" * 32
    spans = [
        *run(),
        tool(8, 3, "c1", parent=1, ended=False),
        chat(6, 3.2, given="Count", said="1", parent=5, gen_ai__agent__name="counter"),
        agent(5, 3.1, 0.8, parent=3),
        chat(2, 21, given="And now?", said="Nothing.", parent=1, trace=other),
        tool(3, 21, parent=2, trace=other),
        agent(1, 20, 5, trace=other, gen_ai__conversation__id="talk-1"),
        chat(7, 40, given="Alone?", said="Yes.", trace="c" * 32),
    ]
    logs = [
        log(1, "claude_code.user_prompt", session__id="s-1", prompt="Fix it"),
        log(3, "claude_code.api_request", session__id="s-1", model="model-a", input_tokens=5, duration_ms=1500),
        log(5, "claude_code.tool_result", session__id="s-1", tool_name="Bash", success="true", duration_ms=9),
    ]
    return [*(request(span) for span in spans), *(log_request(record) for record in logs)]


STORY = story()
ARRIVALS = st.lists(st.integers(0, len(STORY) - 1), max_size=4).flatmap(
    lambda repeated: st.permutations([*range(len(STORY)), *repeated])
)


def rows(parsed: Parsed) -> list[bytes]:
    return sorted(
        encode_payload(entity) for graph in parsed.graphs for entity in graph.entities()
        if not isinstance(entity, SessionEvent)
    )  # fmt: skip


def received(given: dict[str, Any]) -> list[StoredSpan]:
    logs = (span for record in log_records_of(given) if (span := taken(record)) is not None)
    return [stored(span) for span in (*spans_of(given), *logs)]


EXPECTED = read([json.dumps(each).encode() for each in STORY], format="otlp", path="/t/spans.db", fresh=True)


@settings(max_examples=25, deadline=None)
@given(ARRIVALS)
def test_a_file_s_order_and_its_repetitions_change_nothing(arrivals: list[int]) -> None:
    lines = [json.dumps(STORY[index]).encode() for index in arrivals]
    assert rows(read(lines, format="otlp", path="/t/spans.db", fresh=True)) == rows(EXPECTED)


@settings(max_examples=5, deadline=None)
@given(ARRIVALS, st.lists(st.integers(1, 5), min_size=20, max_size=20))
def test_the_store_gives_the_same_sessions_however_the_spans_arrive(arrivals: list[int], sizes: list[int]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, ".agent", "otlp", SPANS_FILE)
        store = SpanStore(path)
        rest = arrivals
        for size in sizes:
            store.add([span for index in rest[:size] for span in received(STORY[index])], now=0)
            rest = rest[size:]
        assert not store.add([span for each in STORY for span in received(each)], now=0)
        context = context_for(path)
        assert rows(Otlp().read(Otlp().parts(path, context), context)) == rows(EXPECTED)
        store.close()


def test_the_ended_version_of_a_span_counts_and_the_earliest_conversation_of_a_trace(tmp_path: Path) -> None:
    """An agent within an agent may name a conversation of its own."""
    ended = tool(3, 3, "c1", parent=1, gen_ai__conversation__id="talk-1")
    inner = chat(4, 4, given="Count", said="1", parent=5, gen_ai__conversation__id="a-talk-of-its-own")
    sent = [ended, {**ended, "endTimeUnixNano": "0", "attributes": []}, inner, *run()[:1]]
    for number, spans in enumerate((sent, sent[::-1])):
        path = tmp_path / str(number) / ".agent" / "otlp" / SPANS_FILE
        store = SpanStore(path)
        for each in spans:
            store.add(received(request(each)), now=0)
        context = context_for(path)
        (graph,) = Otlp().read(Otlp().parts(path, context), context).graphs
        assert (graph.metadata or {})["nativeId"] == "talk-1"
        assert [call.state for call in calls_of(graph)] == [ToolCallState.SUCCEEDED]
        store.close()


def test_only_sessions_with_new_spans_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / ".agent" / "otlp" / SPANS_FILE
    store = SpanStore(path)
    for each in STORY[:-1]:
        store.add(received(each), now=0)
    context = context_for(path, idle=LATER - START)
    first = Otlp().read(Otlp().parts(path, context), context)
    assert len(first.graphs) == 3
    store.add(received(STORY[-1]), now=0)
    context = context_for(path, idle=LATER - START, seen=first.seen)
    (graph,) = Otlp().read(Otlp().parts(path, context), context).graphs
    assert graph.metadata is not None
    assert graph.metadata["nativeId"] == "s-1"
    store.close()


def test_a_trace_waits_for_the_span_that_says_where_it_belongs_but_not_for_long(tmp_path: Path) -> None:
    path = tmp_path / ".agent" / "otlp" / SPANS_FILE
    store = SpanStore(path)
    now = int(START.timestamp())
    store.add(received(request(chat(2, 1, given="Go", said="Yes", parent=1))), now=now)

    def natives(idle: timedelta) -> list[str]:
        context = context_for(path, idle=idle)
        return [
            str((graph.metadata or {})["nativeId"])
            for graph in Otlp().read(Otlp().parts(path, context), context).graphs
        ]

    assert natives(timedelta(seconds=29)) == []
    assert len(natives(timedelta(seconds=30))) == 1
    store.add(received(request(agent(1, gen_ai__conversation__id="talk-9"))), now=now)
    assert natives(timedelta()) == ["talk-9"]
    store.close()


def natives(path: Path) -> list[str]:
    with SpanReader(path) as reader:
        return sorted(native for native, _ in reader.sessions(now=2**40))


def test_spans_of_a_session_are_deleted_after_thirty_quiet_days(tmp_path: Path) -> None:
    store = SpanStore(tmp_path / SPANS_FILE)
    day = 24 * 60 * 60
    store.add(received(STORY[3]), now=0)
    store.add(received(STORY[-1]), now=10 * day)
    assert store.prune(now=30 * day) == 0
    assert store.prune(now=31 * day) == 1
    # The conversation goes on: its run is stored, and is not replaced by one of the new spans alone.
    later = chat(1, 90, given="More", said="Yes", trace="d" * 32, gen_ai__conversation__id="talk-1")
    store.add(received(request(later)), now=31 * day)
    assert natives(tmp_path / SPANS_FILE) == ["s-1", f"talk-1/{'d' * 32}"]
    assert store.prune(now=41 * day) == 1
    store.close()


def test_what_is_kept_of_a_session_goes_with_its_spans(tmp_path: Path) -> None:
    path = tmp_path / ".agent" / "otlp" / SPANS_FILE
    store = SpanStore(path)
    store.add(received(STORY[3]), now=0)
    context = context_for(path)
    first = Otlp().read(Otlp().parts(path, context), context)
    store.prune(now=31 * 24 * 60 * 60)
    context = context_for(path, seen=first.seen)
    assert len(Otlp().read(Otlp().parts(path, context), context).seen) < len(first.seen)
    store.close()


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    (
        *("gen_ai.operation.name", "openinference.span.kind", "gen_ai.input.messages", "gen_ai.output.messages"),
        *("gen_ai.tool.call.id", "gen_ai.tool.call.arguments", "gen_ai.usage.input_tokens", "gen_ai.usage.cost"),
        *(
            "gen_ai.conversation.id",
            "gen_ai.prompt.0.content",
            "llm.output_messages.0.message.tool_calls.0.tool_call.id",
        ),
        *("gen_ai.agent.name", "gen_ai.tool.name", "input.value", "event.name", "session.id", "prompt", "duration_ms"),
    )
)
MESSAGES = ANY.map(
    lambda value: json.dumps([{"role": "user", "parts": [{"type": "text", "content": value}, value]}, value])
)
VALUES = (
    st.sampled_from(("chat", "invoke_agent", "execute_tool", "LLM", "TOOL", "claude_code.user_prompt")) | ANY | MESSAGES
)
PAIRS = st.lists(
    st.fixed_dictionaries(
        {
            "key": NAMES | st.text(max_size=5),
            "value": st.fixed_dictionaries({"stringValue": VALUES})
            | st.dictionaries(
                st.sampled_from(("intValue", "doubleValue", "arrayValue", "kvlistValue")), ANY, max_size=1
            ),
        }
    )
    | ANY,
    max_size=8,
)
IDS = st.sampled_from(("1" * 16, "2" * 16, "3" * 16, "", "x"))
SPANS = st.fixed_dictionaries(
    {"traceId": st.sampled_from(("1" * 32, "2" * 32)), "spanId": IDS, "attributes": PAIRS},
    optional={
        "parentSpanId": IDS,
        "name": ANY,
        "startTimeUnixNano": st.integers(0, 2**64) | ANY,
        "endTimeUnixNano": st.integers(0, 2**64) | ANY,
        "status": ANY | st.just({"code": 2, "message": "x"}),
        "events": st.lists(st.fixed_dictionaries({"name": ANY, "attributes": PAIRS}) | ANY, max_size=2),
    },
)


@settings(max_examples=25, deadline=None)
@given(st.lists(SPANS | ANY, max_size=5), ANY)
def test_no_span_raises_and_its_entities_can_be_stored(spans: list[Any], resource: Any) -> None:
    group = {"resource": resource, "scopeSpans": [{"spans": spans}]}
    logs = {"resource": resource, "scopeLogs": [{"logRecords": [*spans]}]}
    line = json.dumps({"resourceSpans": [group], "resourceLogs": [logs]}).encode()
    assert_storable(read([line], format="otlp"))
