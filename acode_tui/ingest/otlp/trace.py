"""One trace put in order: which spans are turns and calls, which call belongs to which turn, how the run ended.

Everything here is a function of the set of spans: neither the order in which they arrived nor their batches matter.
A call belongs to the turn that asked for it by its id, else to the turn around it, else to the last one before it.
"""

from collections.abc import Iterable, Sequence

import msgspec

from acode_tui.ingest.otlp.messages import Messages, ToolRequest, messages_of
from acode_tui.ingest.otlp.names import AGENT_NAME, CALL_ID, TOOL_NAME, Kind, first_text, kind_of
from acode_tui.ingest.otlp.records import Span, SpanEvent

MAX_ANCESTORS = 200


class Turn(msgspec.Struct):
    """A call of a model. ``requests`` are the calls that it asked for, by id; ``agent`` is who made it."""

    span: Span
    messages: Messages
    agent: str = ""

    @property
    def requests(self) -> list[ToolRequest]:
        return [request for message in self.messages.said for request in message.requests]


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
        by_kind[Kind.TURN] = [span for span in by_kind[Kind.AGENT] if span.end and not _has_child(span, known)]
    turns = [Turn(span, messages_of(span), _agent_of(span, known)) for span in by_kind[Kind.TURN]]
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


def _has_child(span: Span, known: dict[str, Span]) -> bool:
    return any(
        other.parent == span.id and kind_of(other.name, other.attributes) is Kind.AGENT for other in known.values()
    )


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
            key = f"{trace}:{request.id}" if request.id else f"{turn.span.id}:{index}"
            if key in taken:
                key = f"{turn.span.id}:{request.id}:{index}"
            taken.add(key)
            call = Call(key, request.name, turn, request=request)
            calls.append(call)
            if request.id:
                open_by_id.setdefault(request.id, []).append(call)
            open_by_name.setdefault((turn.span.id, request.name), []).append(call)
    by_id = {turn.span.id: turn for turn in turns}
    for span in tools:
        name = first_text(span.attributes, TOOL_NAME) or span.name
        key = first_text(span.attributes, CALL_ID)
        around = _turn_of(span, turns, by_id, known)
        asked = _latest_before(open_by_id.get(key, []), span) if key else None
        if asked is None and not key and around is not None:
            asked = next((call for call in open_by_name.get((around.span.id, name), []) if call.span is None), None)
        if asked is not None:
            asked.span = span
            continue
        own = f"{trace}:{key}" if key else span.id
        if own in taken:
            own = span.id
        taken.add(own)
        calls.append(Call(own, name, around, span=span))
    _give_results(turns, open_by_id)
    return calls


def _latest_before(calls: Sequence[Call], span: Span) -> Call | None:
    """The latest of these calls that was asked for before the span began, and that no other span has taken."""
    free = [call for call in calls if call.span is None and call.turn is not None]
    before = [call for call in free if call.turn is not None and call.turn.span.start <= span.start]
    return before[-1] if before else (free[0] if free else None)


def _turn_of(span: Span, turns: Sequence[Turn], by_id: dict[str, Turn], known: dict[str, Span]) -> Turn | None:
    for around in _ancestors(span, known):
        if around.id in by_id:
            return by_id[around.id]
    before = [turn for turn in turns if turn.span.start <= span.start]
    siblings = [turn for turn in before if turn.span.parent == span.parent]
    return siblings[-1] if siblings else (before[-1] if before else None)


def _give_results(turns: Sequence[Turn], asked: dict[str, list[Call]]) -> None:
    """Give calls without a span what the messages of later turns say that they returned."""
    for turn in turns:
        for message in turn.messages.given:
            for key, content in message.results:
                for call in asked.get(key, []):
                    earlier = call.turn is not None and call.turn.span.start < turn.span.start
                    if call.span is None and call.result is None and earlier:
                        call.result, call.result_at = content, turn.span.start
                        break
