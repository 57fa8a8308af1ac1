"""The format of OTLP: files of requests in its JSON form, and the spans that ``acode-tui receive`` has stored."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from acode_tui.domain.entities import SessionGraph
from acode_tui.ingest.counts import Counts, SkippedLines
from acode_tui.ingest.format import FileStat, Layout, Parsed, ReadContext, TranscriptFormat
from acode_tui.ingest.otlp import stored_spans
from acode_tui.ingest.otlp.agent_logs import taken
from acode_tui.ingest.otlp.names import CONVERSATION, first_text
from acode_tui.ingest.otlp.reader import read_session
from acode_tui.ingest.otlp.records import Span, log_records_of, merged, restored, spans_of
from acode_tui.ingest.records import parse_any
from acode_tui.ingest.timeline import Checkpoint
from acode_tui.storage.transcript_ports import SPANS_FILE

NAME = "otlp"
MAX_BYTES = 64 * 1024 * 1024
"""So many bytes of stored spans are read at once, and then the next: memory is bounded by them."""

_TOO_LONG = "a session of more than 256 MiB"
_NO_REQUEST = "not a request of OTLP as JSON"
_SPANS = re.compile(rf"/\.agent/otlp/{re.escape(SPANS_FILE)}$")
_checkpoints = msgspec.msgpack.Decoder(tuple[Checkpoint, ...])


class Seen(msgspec.Struct, array_like=True):
    """What is kept of a session that was read: what shows that it has changed, and until when its states hold."""

    key: str
    until: int
    checkpoints: bytes


class StoredSession(msgspec.Struct, array_like=True):
    """A session of the store. With ``is_end`` it is none, and says that there are more to be read; with ``gone`` it is
    none, and names those that the store has no more.
    """

    native: str
    key: str
    bodies: list[bytes]
    is_end: bool = False
    gone: list[str] = []


_seen = msgspec.msgpack.Decoder(dict[str, Seen])
_stored = msgspec.msgpack.Decoder(StoredSession)


class Otlp(TranscriptFormat):
    """OpenTelemetry's protocol."""

    name = NAME

    def recognises(self, records: Sequence[Mapping[str, Any]]) -> bool:
        return any(
            isinstance(record.get(name), list) for record in records[:1] for name in ("resourceSpans", "resourceLogs")
        )

    def hints(self, path: Path) -> bool:
        return _SPANS.search(path.as_posix()) is not None or path.name.endswith((".otlp.json", ".otlp.jsonl"))

    def roots(self, environ: Mapping[str, str], home: Path) -> list[Path]:
        # Exporters write to any path.
        return []

    def layout(self, path: Path) -> Layout:
        return Layout.PARTS if _SPANS.search(path.as_posix()) is not None else super().layout(path)

    def stat(self, path: Path) -> FileStat:
        return stored_spans.stat(path) if self.layout(path) is Layout.PARTS else super().stat(path)

    def parts(self, path: Path, context: ReadContext) -> Iterator[tuple[int, bytes | None]]:
        """The stored sessions that have changed since they were read, or whose states do not hold any more."""
        seen = _seen_of(context.seen)
        now = context.now.timestamp()
        left = MAX_BYTES
        number = 0
        with stored_spans.opened(path) as opened:
            sessions = opened.sessions(now)
            gone = seen.keys() - {native for native, _ in sessions}
            if gone:
                yield 0, msgspec.msgpack.encode(StoredSession("", "", [], gone=sorted(gone)))
            for native, key in sessions:
                kept = seen.get(native)
                if kept is not None and kept.key == key and not 0 < kept.until <= now:
                    continue
                number += 1
                size = opened.size(native)
                if size > stored_spans.MAX_SESSION_BYTES:
                    yield number, None
                    continue
                if left <= 0:
                    yield number, msgspec.msgpack.encode(StoredSession("", "", [], is_end=True))
                    return
                left -= size
                bodies = list(opened.bodies(native))
                yield number, msgspec.msgpack.encode(StoredSession(native, key, bodies))

    def read(self, lines: Iterable[tuple[int, bytes | None]], context: ReadContext) -> Parsed:
        whole = _Whole(context)
        if self.layout(context.path) is Layout.PARTS:
            whole.read_stored(lines)
        else:
            whole.read_requests(lines)
        return whole.parsed()


class _Whole:
    """The sessions of one file under construction."""

    def __init__(self, context: ReadContext) -> None:
        self._context = context
        self._seen = _seen_of(context.seen)
        self._graphs: list[SessionGraph] = []
        self._found = Parsed(counts=Counts(), skipped=SkippedLines())

    def read_stored(self, lines: Iterable[tuple[int, bytes | None]]) -> None:
        for number, line in lines:
            if line is None:
                self._found.skipped.add(number, _TOO_LONG)
                continue
            session = _stored.decode(line)
            for native in session.gone:
                self._seen.pop(native, None)
            if session.gone:
                continue
            if session.is_end:
                self._found.is_partial = True
            else:
                self._add(session.native, session.key, [restored(body) for body in session.bodies])

    def read_requests(self, lines: Iterable[tuple[int, bytes | None]]) -> None:
        spans: list[Span] = []
        for number, line in lines:
            request = parse_any(line) if line is not None else None
            if isinstance(request, dict):
                spans += spans_of(request)
                spans += [span for record in log_records_of(request) if (span := taken(record)) is not None]
            elif line is None or line.strip():
                self._found.skipped.add(number, "line too long" if line is None else _NO_REQUEST)
        for native, found in by_session(merged(spans)).items():
            self._add(native, "", found)

    def _add(self, native: str, key: str, spans: list[Span]) -> None:
        kept = self._seen.get(native) or Seen("", 0, b"")
        checkpoints = _checkpoints.decode(kept.checkpoints) if kept.checkpoints else ()
        parsed = read_session(native, spans, msgspec.structs.replace(self._context, checkpoints=checkpoints))
        until = int(parsed.until.timestamp()) + 1 if parsed.until is not None else 0
        self._seen[native] = Seen(key, until, msgspec.msgpack.encode(parsed.checkpoints))
        self._graphs += parsed.graphs
        self._found.counts.add(parsed.counts)

    def parsed(self) -> Parsed:
        ends = [kept.until for kept in self._seen.values() if kept.until]
        return msgspec.structs.replace(
            self._found,
            graphs=tuple(self._graphs),
            until=datetime.fromtimestamp(min(ends), UTC) if ends else None,
            seen=msgspec.msgpack.encode(self._seen),
        )


def by_session(spans: Iterable[Span]) -> dict[str, list[Span]]:
    """Spans by their session: the conversation that the earliest span of their trace names, else the trace."""
    traces: dict[str, list[Span]] = {}
    for span in spans:
        traces.setdefault(span.trace, []).append(span)
    found: dict[str, list[Span]] = {}
    for trace, own in traces.items():
        named = [(span.start, span.id, first_text(span.attributes, CONVERSATION)) for span in own]
        conversation = min((each for each in named if each[2]), default=(0, "", ""))[2]
        found.setdefault(conversation or trace, []).extend(own)
    return dict(sorted(found.items()))


def _seen_of(data: bytes) -> dict[str, Seen]:
    try:
        return _seen.decode(data) if data else {}
    except msgspec.MsgspecError:
        return {}
