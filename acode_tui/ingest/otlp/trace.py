"""One trace put in order: which spans are turns and calls, which call belongs to which turn, how the run ended.

Everything here is a function of the set of spans: neither the order in which they arrived nor their batches matter.
A call belongs to the turn that asked for it by its id, else to the turn around it, else to the last one before it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import msgspec

from acode_tui.ingest.otlp.messages import Message, ToolRequest, given_to, said_in
from acode_tui.ingest.otlp.names import AGENT_NAME, CALL_ID, OWN_TASK, TOOL_NAME, Kind, first_text, kind_of
from acode_tui.ingest.otlp.records import Span, SpanEvent

MAX_ANCESTORS = 200


class Turn(msgspec.Struct):
    """A call of a model: what it said, and the agent that made it."""

    span: Span
    said: list[Message]
    agent: str = ""

    @property
    def requests(self) -> list[ToolRequest]:
        """The calls that it asked for."""
        return [request for message in self.said for request in message.requests]


class Call(msgspec.Struct):
    """A tool call. ``span`` is its own, if it has one; ``request`` is what the model asked for, if that is known."""

    key: str
    name: str
    turn: Turn | None
    span: Span | None = None
    request: ToolRequest | None = None
    result: str | None = None
    """What a later message says that it returned."""
    result_at: int = 0


class Trace(msgspec.Struct):
    """The parts of one trace, each in the order of time. ``top`` is the outermost span of an agent, or of anything."""

    id: str
    prompts: list[Span]
    turns: list[Turn]
    calls: list[Call]
    agents: list[Span]
    others: int
    root: Span | None
    top: Span | None

    @property
    def start(self) -> int:
        """When the first part of the run began. The spans around it do not count: they come last."""
        starts = [span.start for span in self.prompts]
        starts += [turn.span.start for turn in self.turns]
        starts += [call.span.start for call in self.calls if call.span is not None]
        return min(starts, default=self.top.start if self.top is not None else 0)

    @property
    def end(self) -> int:
        """When the last part of the run ended."""
        ends = [self.top.end] if self.top is not None else []
        ends += [span.end for span in self.prompts]
        ends += [turn.span.end for turn in self.turns]
        ends += [call.span.end for call in self.calls if call.span is not None]
        return max(ends, default=0)


def ordered(trace: str, spans: Iterable[Span]) -> Trace:
    """The trace of these spans, each of them once."""
    known = {span.id: span for span in _with_log_events(spans)}
    by_kind: dict[Kind, list[Span]] = {kind: [] for kind in Kind}
    for span in sorted(known.values(), key=_moment):
        by_kind[kind_of(span.name, span.attributes)].append(span)
    if not by_kind[Kind.TURN]:
        # An agent that reports no calls of its model is a turn itself, once it has ended.
        by_kind[Kind.TURN] = _leaves(by_kind[Kind.AGENT])
    turns = [Turn(span, said_in(span), _agent_of(span, known)) for span in by_kind[Kind.TURN]]
    roots = sorted((span for span in known.values() if not span.parent and not span.is_log), key=_moment)
    agents = by_kind[Kind.AGENT]
    return Trace(
        id=trace,
        prompts=by_kind[Kind.PROMPT],
        turns=turns,
        calls=_calls(trace, turns, by_kind[Kind.TOOL], known),
        agents=agents,
        others=len(by_kind[Kind.OTHER]),
        root=roots[0] if roots else None,
        top=_top(agents, known) or (roots[0] if roots else None),
    )


def _moment(span: Span) -> tuple[int, str]:
    return span.start, span.id


def _with_log_events(spans: Iterable[Span]) -> list[Span]:
    """Spans with the log records that belong to them as their events; records of agents are spans themselves."""
    found: list[Span] = []
    records: dict[str, list[Span]] = {}
    for span in spans:
        if span.is_log and span.parent:
            records.setdefault(span.parent, []).append(span)
        else:
            found.append(span)
    if not records:
        return found
    return [
        msgspec.structs.replace(
            span,
            events=(
                *span.events,
                *(SpanEvent(each.name, each.start, each.attributes) for each in sorted(records[span.id], key=_moment)),
            ),
        )
        if span.id in records
        else span
        for span in found
    ]


def _leaves(agents: Sequence[Span]) -> list[Span]:
    """Ended spans of agents that no other agent's span lies in, without those that an export made of tasks."""
    around = {span.parent for span in agents}
    return [span for span in agents if span.end and span.id not in around and OWN_TASK not in span.attributes]


def _ancestors(span: Span, known: dict[str, Span]) -> Iterable[Span]:
    """The spans around a span, the nearest first. Spans that are each other's parents end it."""
    for _ in range(MAX_ANCESTORS):
        parent = known.get(span.parent)
        if parent is None:
            return
        yield parent
        span = parent


def _agent_of(span: Span, known: dict[str, Span]) -> str:
    own = first_text(span.attributes, ("gen_ai.agent.name",))
    if own:
        return own
    for around in _ancestors(span, known):
        if kind_of(around.name, around.attributes) is Kind.AGENT:
            return first_text(around.attributes, AGENT_NAME) or around.name
    return ""


def _top(agents: Sequence[Span], known: dict[str, Span]) -> Span | None:
    """The agent that no other agent's span lies around; of several the first."""
    inner = {kind.id for kind in agents}
    for span in agents:
        if not any(around.id in inner for around in _ancestors(span, known)):
            return span
    return None


def _calls(trace: str, turns: Sequence[Turn], tools: Sequence[Span], known: dict[str, Span]) -> list[Call]:
    calls: list[Call] = []
    taken: set[str] = set()
    open_by_id: dict[str, list[Call]] = {}
    open_by_name: dict[tuple[str, str], list[Call]] = {}
    for turn in turns:
        for index, request in enumerate(turn.requests):
            key = f"{trace}:{request.id}" if request.id else f"{trace}:{turn.span.id}:{index}"
            if key in taken:
                key = f"{trace}:{turn.span.id}:{request.id}:{index}"
            taken.add(key)
            call = Call(key, request.name, turn, request=request)
            calls.append(call)
            if request.id:
                open_by_id.setdefault(request.id, []).append(call)
            open_by_name.setdefault((turn.span.id, request.name), []).append(call)
    order = _Order(turns, known)
    for span in tools:
        name = first_text(span.attributes, TOOL_NAME) or span.name
        key = first_text(span.attributes, CALL_ID)
        around = order.turn_of(span)
        asked = _latest_before(open_by_id.get(key, []), span) if key else None
        if asked is None and not key and around is not None:
            asked = next((call for call in open_by_name.get((around.span.id, name), []) if call.span is None), None)
        if asked is not None:
            asked.span = span
            continue
        own = f"{trace}:{key}" if key else f"{trace}:{span.id}"
        if own in taken:
            own = f"{trace}:{span.id}"
        taken.add(own)
        calls.append(Call(own, name, around, span=span))
    _give_results(turns, open_by_id)
    return calls


def _latest_before(calls: Sequence[Call], span: Span) -> Call | None:
    """The latest of these calls that was asked for before the span began, and that no other span has taken."""
    free = [call for call in calls if call.span is None and call.turn is not None]
    before = [call for call in free if call.turn is not None and call.turn.span.start <= span.start]
    return before[-1] if before else (free[0] if free else None)


class _Order:
    """The turns of a trace in the order of time: which of them a tool's span belongs to."""

    def __init__(self, turns: Sequence[Turn], known: dict[str, Span]) -> None:
        self._known = known
        self._by_id = {turn.span.id: turn for turn in turns}
        self._all = _Starts()
        self._by_parent: dict[str, _Starts] = {}
        for turn in turns:
            self._all.add(turn)
            self._by_parent.setdefault(turn.span.parent, _Starts()).add(turn)

    def turn_of(self, span: Span) -> Turn | None:
        """The turn around the span, else the last one before it with the same parent, else the last one before it."""
        for around in _ancestors(span, self._known):
            if around.id in self._by_id:
                return self._by_id[around.id]
        siblings = self._by_parent.get(span.parent)
        return (siblings.last_before(span) if siblings is not None else None) or self._all.last_before(span)


class _Starts:
    def __init__(self) -> None:
        self._starts: list[int] = []
        self._turns: list[Turn] = []

    def add(self, turn: Turn) -> None:
        self._starts.append(turn.span.start)
        self._turns.append(turn)

    def last_before(self, span: Span) -> Turn | None:
        count = bisect_right(self._starts, span.start)
        return self._turns[count - 1] if count else None


def _give_results(turns: Sequence[Turn], asked: dict[str, list[Call]]) -> None:
    """Give calls without a span what the messages of later turns say that they returned."""
    left = {key: open_ for key, calls in asked.items() if (open_ := [call for call in calls if call.span is None])}
    for turn in turns if left else ():
        for key, content in (result for message in given_to(turn.span) for result in message.results):
            for call in left.get(key, []):
                earlier = call.turn is not None and call.turn.span.start < turn.span.start
                if call.result is None and earlier:
                    call.result, call.result_at = content, turn.span.start
                    break
