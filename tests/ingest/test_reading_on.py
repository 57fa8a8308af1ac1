"""Reading on after the last line: the rows are those of reading the whole file again, however the file grew."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.codec import encode_payload
from acode_tui.domain.entities import Artifact, SessionEvent
from acode_tui.ingest.draft import NeedsWholeFileError
from acode_tui.ingest.format import Parsed
from acode_tui.ingest.records import parse_any
from acode_tui.ingest.resume import MAX_BYTES, RECENT_STEPS
from acode_tui.ingest.timeline import Checkpoint
from acode_tui.ingest.usage import Claims, claim_key
from tests.ingest.builders import Claude, Codex, Transcript, read, stamp
from tests.ingest.test_growing_files import STORIES

OTHER = "99999999-2222-4333-8444-555555555555"
LONG = "A long prompt " * 90

_few = st.integers(0, 3)
_text = st.sampled_from(["yes", "no", " ", "", "a\nb", LONG])
_time = st.one_of(st.none(), st.sampled_from([..., "never", stamp(0), stamp(7), stamp(500)]))
_REJECTED = "The user doesn't want to proceed with this tool use"
_result = st.sampled_from(["ok", "Exit code 1", "execution error: no", _REJECTED])


def _claude_line(found: Claude, kind: str, n: int, m: int, text: str, at: Any, flag: bool) -> None:
    fields: dict[str, Any] = {} if at is None else {"timestamp": at}
    tools = ["Bash", "Task", "ExitPlanMode", "EnterPlanMode"]
    if kind == "prompt":
        found.user(f"{text} {n}", isSidechain=flag, **({"uuid": f"u{m}"} if m else {}), **fields)
    elif kind == "command":
        found.user(f"<command-name>/c{n}</command-name>", **fields)
    elif kind == "says":
        usage = {"input_tokens": n, "output_tokens": m + 1}
        model = "<synthetic>" if n == 3 else f"claude-{m % 2}"
        found.says(f"m{n}", text, usage=usage, model=model, isApiErrorMessage=flag and n == 3, **fields)
    elif kind == "calls":
        found.calls(f"m{n}", f"c{m}-{n}", tools[m], {"prompt": f"{text} {n}", "file_path": "a"}, **fields)
    elif kind == "result":
        details = {"toolUseResult": {"agentId": f"a{n}", "stdout": text}} if flag else {}
        found.result(f"c{m}-{n}", text, is_error=flag, **details, **fields)
    elif kind == "thinking":
        found.assistant(
            f"m{n}", {"type": "thinking", "thinking": text}, costUSD=n, usage={"output_tokens": m}, **fields
        )
    elif kind == "queue":
        found.queue(["enqueue", "remove", "remove", "popAll"][n], f"{text} {m}", **fields)
    elif kind == "attachment":
        if flag:
            found.attach("queued_command", prompt=f"{text} {m}", commandMode="prompt")
        else:
            found.attach(["hook_cancelled", "structured_output", "odd", "nested_memory"][n], data=text, content=text)
    elif kind == "injected":
        found.user(f"{text} {n}", isMeta=True, **fields)
    elif kind == "rewind":
        found.user(f"{text} {n}", parentUuid=f"{found.session[:8]}-{4 * n + m}", **fields)
    elif kind == "interrupted":
        found.user("[Request interrupted by user]", **fields)
    elif kind == "progress":
        data = {"type": "agent_progress", "agentId": f"a{m}"}
        found.record("progress", data=data, parentToolUseID=f"c1-{n}", **fields)
    elif kind == "summary":
        found.add({"type": "summary", "summary": text, "leafUuid": f"u{m}"})
    elif kind == "mode":
        found.record("permission-mode", permissionMode="plan" if flag else "default", **fields)
    elif kind == "title":
        found.record("ai-title", aiTitle=f"Title {n}", **fields)
    else:
        found.raw([b"", b"oops", b"[]", b'{"type":"system","subtype":"compact_boundary"}'][n])


def _codex_line(found: Codex, kind: str, n: int, m: int, text: str, at: Any, flag: bool) -> None:
    if kind == "prompt":
        found.prompt(f"{text} {n}")
    elif kind == "command":
        found.item("message", role="user", content=[{"type": "input_text", "text": f"{text} {n}"}])
    elif kind == "says":
        found.says(text)
    elif kind == "calls":
        found.calls(f"c{m}-{n}", "apply_patch" if flag else "shell")
    elif kind == "result":
        found.output(f"c{m}-{n}", text)
    elif kind == "thinking":
        found.item("reasoning", summary=[])
    elif kind == "interrupted":
        found.event("turn_aborted", reason="interrupted")
    elif kind == "progress":
        found.event("task_started" if flag else "task_complete", turn_id=f"t{n}")
    elif kind == "summary":
        found.item("web_search_call", status=["completed", "failed", None, "odd"][n], action={"query": text})
    elif kind == "mode":
        found.line("turn_context", model=f"gpt-{m}")
    elif kind == "title":
        found.tokens(m, n)
    else:
        found.raw([b"", b"oops", b"[]", b'{"type":"compacted","payload":{}}'][n])
    if at is not None:
        record = parse_any(found.lines[-1])
        if isinstance(record, dict):
            found.lines[-1] = json.dumps({**record, "timestamp": None if at is ... else at}).encode()


KINDS = ["prompt", "command", "says", "calls", "result", "thinking", "interrupted", "progress"]
KINDS += ["summary", "mode", "title", "other"]
NEWER_KINDS = ["queue", "attachment", "injected", "rewind"]
_rest = (_few, _few, st.one_of(_text, _result), _time, st.booleans())
_line = st.tuples(st.sampled_from(KINDS), *_rest)
_claude = st.tuples(st.sampled_from(KINDS + NEWER_KINDS), *_rest)


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    if draw(st.booleans()):
        claude = Claude()
        for line in draw(st.lists(_claude, max_size=24)):
            _claude_line(claude, *line)
        return claude
    codex = Codex()
    for line in draw(st.lists(_line, max_size=24)):
        _codex_line(codex, *line)
    return codex


class Rows:
    """What storage holds of the runs that were read, one import after the other."""

    def __init__(self, transcript: Transcript) -> None:
        self.lines = transcript.lines
        self.kind = "codex" if isinstance(transcript, Codex) else "claude-code"
        self.rows: dict[str, bytes] = {}
        self.claims = Claims()
        self.checkpoints: tuple[Checkpoint, ...] = ()
        self.claimed = b""
        self.resume = b""
        self.read = 0
        self.parts = 0

    def whole(self, cut: int, fresh: bool) -> Parsed:
        """Read the first ``cut`` lines from the first one on."""
        lines = self.lines[:cut]
        return self._store(
            read(lines, fresh=fresh, checkpoints=self.checkpoints, claims=self.claims, format=self.kind), cut
        )

    def on(self, cut: int, fresh: bool) -> Parsed:
        """Read up to ``cut`` lines, those from the last import on if that is possible."""
        if not self.resume:
            return self.whole(cut, fresh)
        try:
            parsed = read(
                self.lines[:cut],
                fresh=fresh,
                checkpoints=self.checkpoints,
                claims=self.claims,
                format=self.kind,
                resume=self.resume,
                claimed=self.claimed,
                before=self.read,
            )
        except NeedsWholeFileError:
            return self.whole(cut, fresh)
        assert parsed.expected is not None
        if not parsed.expected.holds(set(self.rows)):
            return self.whole(cut, fresh)
        self.parts += 1
        return self._store(parsed, cut)

    def _store(self, parsed: Parsed, cut: int) -> Parsed:
        for graph in parsed.graphs:
            for entity in graph.entities():
                if not (entity.id in self.rows and isinstance(entity, (SessionEvent, Artifact))):
                    self.rows[entity.id] = encode_payload(entity)
        self.checkpoints, self.claimed, self.resume, self.read = parsed.checkpoints, parsed.claimed, parsed.resume, cut
        return parsed


def check(transcript: Transcript, cuts: list[tuple[int, bool]]) -> int:
    """Import the transcript at these lengths in both ways. Returns how often only a part was read."""
    again, on = Rows(transcript), Rows(transcript)
    for cut, fresh in cuts:
        whole, part = again.whole(cut, fresh), on.on(cut, fresh)
        assert on.rows == again.rows
        assert (part.counts, part.skipped, part.until) == (whole.counts, whole.skipped, whole.until)
        assert part.unknown == whole.unknown
        assert (part.checkpoints, sorted(part.claimed)) == (whole.checkpoints, sorted(whole.claimed))
        assert [graph.id for graph in part.graphs] == [graph.id for graph in whole.graphs]
    return on.parts


def cuts_of(data: st.DataObject, transcript: Transcript) -> list[tuple[int, bool]]:
    count = len(transcript.lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, count), max_size=6)))
    return [(cut, data.draw(st.booleans())) for cut in [*cuts, count]]


@pytest.mark.parametrize("recent", [1, 2, 16])
@given(st.one_of(transcripts(), st.sampled_from(STORIES)), st.data())
def test_reading_on_gives_the_rows_of_reading_the_whole_file_again(
    recent: int, transcript: Transcript, data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("acode_tui.ingest.resume.RECENT_STEPS", recent)
        check(transcript, cuts_of(data, transcript))


@pytest.mark.parametrize("transcript", STORIES)
def test_a_file_that_grows_line_by_line_is_read_on_nearly_always(transcript: Transcript) -> None:
    lengths = [(cut, False) for cut in range(len(transcript.lines) + 1)]
    assert check(transcript, lengths) >= len(lengths) - 6


def lengths(transcript: Transcript) -> list[tuple[int, bool]]:
    return [(cut, False) for cut in range(1, len(transcript.lines) + 1)]


def test_a_call_far_back_that_has_no_result_yet_is_kept() -> None:
    found = Claude()
    found.user("Go")
    found.calls("m0", "c0", "Task", {"prompt": "look", "file_path": "far.py"})
    for number in range(1, 2 * RECENT_STEPS):
        found.says(f"m{number}", "on")
    before = len(found.lines)
    found.result("c0", "late", toolUseResult={"agentId": "a1"})
    assert check(found, [(before, False), (before + 1, False)]) == 1


def test_too_many_calls_without_a_result_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acode_tui.ingest.resume.MAX_OPEN_CALLS", 2)
    found = Claude()
    found.user("Go")
    for number in range(3):
        found.calls("m0", f"c{number}", "Bash")
    assert [bool(read(found.lines[:cut]).resume) for cut in (3, 4)] == [True, False]
    for number in range(3):
        found.result(f"c{number}", "ok")
    check(found, lengths(found))


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_what_is_kept_is_bounded(size: int) -> None:
    found = Claude()
    found.user("Go")
    found.calls("m0", "c0", "Write", {"content": "x" * size})
    assert len(read(found).resume) <= MAX_BYTES
    assert bool(read(found).resume) == (size < MAX_BYTES)


def test_what_is_kept_does_not_grow_with_the_file() -> None:
    found = Claude()
    sizes = []
    for task in range(40):
        found.user(f"Task {task}")
        for step in range(20):
            found.calls(f"m{task}-{step}", f"c{task}-{step}", "Bash", {"command": "x" * 200})
            found.result(f"c{task}-{step}", "y" * 200)
        sizes.append(len(read(found).resume))
    assert max(sizes) < 1.2 * sizes[1]


def _repeated_result(found: Claude) -> None:
    for _ in range(2):
        found.result("gone", "the same", timestamp=stamp(3))


def _call_after_its_result(found: Claude) -> None:
    found.result("c5", "early")
    found.calls("m5", "c5", "Bash")


def _call_long_after_its_result(found: Claude) -> None:
    found.result("c5", "early")
    for number in range(2 * RECENT_STEPS):
        found.says(f"m{number}", "on")
    found.calls("m50", "c5", "Bash")


def _second_result(found: Claude) -> None:
    found.calls("m5", "c5", "Bash")
    for _ in range(2):
        found.result("c5", "ok", timestamp=stamp(9))


def _summary(found: Claude) -> None:
    found.user("Look", uuid="u1")
    found.add({"type": "summary", "summary": "Of this session", "leafUuid": "u1"})


def _summary_before_its_leaf(found: Claude) -> None:
    found.add({"type": "summary", "summary": "Of this session", "leafUuid": "u1"})
    found.says("m1", "Yes", uuid="u1")
    found.says("m2", "On")


def _progress_after_the_result(found: Claude) -> None:
    found.calls("m5", "c5", "Task", {"prompt": "look"})
    found.result("c5", "done")
    found.record("progress", data={"type": "agent_progress", "agentId": "a1"}, parentToolUseID="c5")


def _message_of_long_ago(found: Claude) -> None:
    for number in range(2 * RECENT_STEPS):
        found.says(f"m{number}", "on")
    found.says("m0", "again")


def _prompt_of_long_ago(found: Claude) -> None:
    for text in ("First", "Second", "First", "Third"):
        found.user(text, uuid="u7")


def _late_result_dated_before(found: Claude) -> None:
    found.calls("m5", "c5", "Bash")
    found.user("Another thing")
    found.result("c5", "ok", timestamp=stamp(0))


def _times_that_begin_late(found: Claude) -> None:
    for number in range(3):
        found.says(f"m{number}", "on", timestamp=...)
    found.says("m9", "now")


@pytest.mark.parametrize(
    "add",
    [
        _repeated_result,
        _call_after_its_result,
        _call_long_after_its_result,
        _second_result,
        _summary,
        _summary_before_its_leaf,
        _progress_after_the_result,
        _message_of_long_ago,
        _prompt_of_long_ago,
        _late_result_dated_before,
        _times_that_begin_late,
    ],
)
@pytest.mark.parametrize("prompt", [None, "Go"])
def test_lines_that_reach_back_give_the_same_rows_too(add: Callable[[Claude], None], prompt: str | None) -> None:
    found = Claude()
    if add is _times_that_begin_late:
        found.common["timestamp"] = None
    if prompt is not None:
        found.user(prompt)
    found.common.pop("timestamp", None)
    add(found)
    found.user("More")
    found.says("m77", "Yes")
    check(found, lengths(found))


def test_a_rollout_without_wrappers_is_read_from_its_first_line() -> None:
    found = Codex(meta=False)
    for text in ("First", "Second"):
        content = [{"type": "input_text", "text": text}]
        found.add({"type": "message", "role": "user", "content": content, "timestamp": found.now})
    assert read(found).resume == b""
    assert len(read(found).graphs[0].tasks) == 1


def test_tokens_that_another_session_counts_are_not_counted_by_reading_on() -> None:
    found = Claude()
    found.user("Go")
    for number in range(3 * RECENT_STEPS):
        found.says(f"m{number}", "on", usage={"output_tokens": 10})
    again, on = Rows(found), Rows(found)
    for rows in (again, on):
        replayed = [claim_key(f"m{number}", f"req-m{number}") for number in range(RECENT_STEPS)]
        rows.claims.note("another", b"".join(replayed))
    for cut in (len(found.lines) - 5, len(found.lines)):
        whole, part = again.whole(cut, False), on.on(cut, False)
        assert (part.graphs[0].metadata or {})["tokens"] == (whole.graphs[0].metadata or {})["tokens"]
        assert part.claimed == whole.claimed
    assert on.parts == 1


def test_a_native_id_that_cannot_be_encoded_is_not_kept() -> None:
    found = Claude()
    found.user("Go")
    found.calls("m0", "c\ud800", "Bash")
    assert read(found).resume == b""
    found.result("c\ud800", "ok")
    check(found, lengths(found))
