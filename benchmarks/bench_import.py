"""The time of an import beside the time that msgspec needs to decode the same lines.

``python -m benchmarks.bench_import`` prints the rows; ``run()`` returns them. The transcripts are made here, from fixed
seeds, in the proportions of published ones: their lines a step, the bytes of each kind of line, the calls and texts a
step (``docs/benchmarks.md`` has the figures).

The target is that of a tree of transcripts, as it is first imported: opening the workspace is not counted, starting
the process that reads is. A single file is read and stored by one process, for information. Each of seven
imports follows a decoding of the same lines, and the pair of the median ratio is reported: a machine that is slower for
a while slows both, but the shorter of the two would find a quick moment sooner.
"""

import asyncio
import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec

from acode_tui.domain.clock import EPOCH
from acode_tui.domain.validation import Limits
from acode_tui.ingest import discover, import_transcripts
from acode_tui.ingest.format import ReadContext
from acode_tui.ingest.lines import WholeLines
from acode_tui.ingest.registry import format_named
from acode_tui.ingest.usage import Claims
from acode_tui.workspace import open_workspace
from benchmarks.result import Measure, at_most, within
from benchmarks.scale import sized

SEED = 20260105
STEPS = 250
FILES = 1_000
TREE = 24
LARGE, SMALL = 96, 2
"""Sizes in MiB of the files that grow; both are large enough to be read on."""
TAIL = 90
REPEATS = 7
START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
_SENTENCE = "the form validates input before it reaches the store and returns early on a blank field"
_COMMON = tuple(_SENTENCE.split())


def run() -> list[Measure]:
    """A floor is the decoding of the same lines in the same run."""
    return asyncio.run(_run())


async def _run() -> list[Measure]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        measures = []
        for name, lines in (("claude-code", claude_lines), ("codex", codex_lines)):
            tree = root / name
            tree.mkdir()
            # In a quick run there are just enough files for a reading process.
            paths = [
                write_transcript(tree, lines(STEPS, number))
                for number in range(sized(TREE, 5 if name == "codex" else 4))
            ]
            read = _best(partial(_read, paths[0], name))
            floor, stored = await _import(root / "ws" / name, paths[:1], REPEATS)
            measures.append(within(f"import {name}: read", read, "ms", floor, 8))
            measures.append(_beside(f"import {name}: one file read and stored", stored, floor))
            floor, stored = await _import(root / "ws" / f"{name}-tree", paths, sized(REPEATS, 3))
            measures.append(within(f"import {name}: {len(paths)} files read and stored", stored, "ms", floor, 8))
        measures.append(await _append(root / "grown", root / "ws" / "grown"))
        measures.append(await _recheck(root / "tree", root / "ws" / "tree"))
        return measures


def write_transcript(folder: Path, lines: list[bytes]) -> Path:
    """Write a transcript under the next name of a folder; its format is recognised by its lines."""
    path = folder / f"{len(list(folder.iterdir())):08d}-0000-4000-8000-000000000000.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def _beside(name: str, value: float, floor: float) -> Measure:
    return Measure(name=name, value=value, unit="ms").beside(floor)


def _best(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Milliseconds of the quickest run."""
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best * 1_000


def _decode(paths: Sequence[Path]) -> None:
    decode = msgspec.json.Decoder().decode
    for path in paths:
        with open(path, "rb") as source:
            for line in source:
                decode(line)


def context_of(path: Path) -> ReadContext:
    """What a reader of the file is given."""
    return ReadContext(
        path=path,
        workspace_id="00000000-0000-4000-8000-000000000000",
        user_id=None,
        limits=Limits(),
        now=datetime.now(UTC),
        written_at=EPOCH,
        claims=Claims(),
    )


def _read(path: Path, name: str) -> None:
    context = context_of(path)
    with open(path, "rb") as source:
        format_named(name).read(WholeLines(source, path.stat().st_size), context)


async def _import(workspace: Path, paths: Sequence[Path], repeats: int) -> tuple[float, float]:
    """Milliseconds of decoding, and of reading and storing into a new workspace: the pair of the median ratio."""
    pairs = []
    for index in range(repeats):
        floor = _best(partial(_decode, paths), 1)
        async with open_workspace(workspace / str(index)) as ws:
            found = await discover(paths)
            started = time.perf_counter()
            await import_transcripts(ws.transcripts, found, workspace_id=ws.workspace_id)
            pairs.append((floor, (time.perf_counter() - started) * 1_000))
        shutil.rmtree(workspace / str(index))
    return sorted(pairs, key=lambda pair: pair[1] / pair[0])[len(pairs) // 2]


async def _append(folder: Path, workspace: Path) -> Measure:
    """CPU of an import of ten lines appended to a large file; the floor is that of the same lines after a small one."""
    sizes = (sized(LARGE, 16), SMALL)
    lines = claude_lines(sizes[0] * STEPS // 3)
    tail = lines[-TAIL:]
    spent: list[list[float]] = [[], []]
    async with open_workspace(workspace) as ws:
        paths = []
        for number, size in enumerate(sizes):
            folder.joinpath(str(number)).mkdir(parents=True)
            path = folder / str(number) / f"{number:08d}-0000-4000-8000-000000000000.jsonl"
            head = b"".join(line + b"\n" for line in lines[:-TAIL])[: size * 1024 * 1024]
            path.write_bytes(head[: head.rindex(b"\n") + 1])
            paths.append(path)
        del lines, head
        await import_transcripts(ws.transcripts, await discover(paths), workspace_id=ws.workspace_id)
        for start in range(0, TAIL, 10):
            for path, found in zip(paths, spent, strict=True):
                with path.open("ab") as file:
                    file.write(b"".join(line + b"\n" for line in tail[start : start + 10]))
                started = time.process_time()
                report = await import_transcripts(ws.transcripts, await discover([path]), workspace_id=ws.workspace_id)
                found.append((time.process_time() - started) * 1_000)
                assert report.written < 40
    large, small = (sorted(found)[len(found) // 2] for found in spent)
    return within(f"import: 10 lines appended to {sizes[0]} MiB", large, "ms", small, 2)


async def _recheck(tree: Path, workspace: Path) -> Measure:
    tree.mkdir()
    for index in range(FILES):
        native = f"{index:08d}-0000-4000-8000-000000000000"
        path = tree / f"{native}.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in claude_lines(1, index)))
        os.utime(path, (START.timestamp(), START.timestamp()))
    async with open_workspace(workspace) as ws:
        await import_transcripts(ws.transcripts, await discover([tree]), workspace_id=ws.workspace_id)
        best = float("inf")
        for _ in range(REPEATS):
            started = time.perf_counter()
            report = await import_transcripts(ws.transcripts, await discover([tree]), workspace_id=ws.workspace_id)
            best = min(best, time.perf_counter() - started)
            assert report.unchanged == FILES
    return at_most(f"import: re-check of {FILES} unchanged files", best * 1_000, "ms", 1_000)


def _vocabulary() -> tuple[str, ...]:
    """Some four thousand words: common ones, made ones of two to four syllables, and identifiers made of those."""
    source = random.Random(SEED)
    syllables = [first + vowel for first in "bdfgklmnprstvz" for vowel in ("a", "e", "i", "o", "u", "an", "er", "il")]
    made = list({"".join(source.choices(syllables, k=source.randint(2, 4))) for _ in range(3_000)})
    made.sort()
    pairs = [source.sample(made, 2) for _ in range(1_000)]
    names = [f"{one}_{other}" if place % 2 else one + other.title() for place, (one, other) in enumerate(pairs)]
    return (*_COMMON, *made, *names)


_WORDS = _vocabulary()
_WEIGHTS = list(accumulate((place + 5) ** -1.2 for place in range(len(_WORDS))))
"""A word's frequency falls with its rank, as in any language: compression and the index live on that."""


class _Writer:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines: list[bytes] = []

    def text(self, words: int) -> str:
        return " ".join(self.random.choices(_WORDS, cum_weights=_WEIGHTS, k=words))

    def code(self, lines: int) -> str:
        """Lines of which a quarter repeat an earlier one: zlib then leaves 0.38 of them, as of published outputs."""
        made: list[str] = []
        for _ in range(lines):
            repeats = made and self.random.random() < 0.25
            made.append(self.random.choice(made) if repeats else f'    {self.text(4)} = "{self.text(5)}"')
        return "\n".join(made)

    @property
    def stamp(self) -> str:
        at = START + timedelta(seconds=len(self.lines))
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def add(self, record: dict[str, Any]) -> None:
        self.lines.append(json.dumps(record, separators=(",", ":")).encode())


def claude_lines(steps: int, number: int = 0) -> list[bytes]:
    """A Claude Code session of about fourteen kilobytes a step; each number is another session."""
    session = f"{number:08d}-0000-4000-8000-000000000000"
    writer = _Writer(SEED + number)

    def line(kind: str, **fields: Any) -> None:
        common = {
            "parentUuid": f"{len(writer.lines) - 1:032x}",
            "isSidechain": False,
            "userType": "external",
            "cwd": "/home/dev/src/shop",
            "sessionId": session,
            "version": "2.1.39",
            "gitBranch": "main",
            "slug": "quiet-running-example",
            "type": kind,
            "uuid": f"{len(writer.lines):032x}",
            "timestamp": writer.stamp,
        }
        writer.add(common | fields)

    for step in range(steps):
        if step % 20 == 0:
            line("user", message={"role": "user", "content": writer.text(30)})
        message_id = f"msg_{number:08d}{step:016d}"
        usage: dict[str, Any] = {"input_tokens": 3, "cache_read_input_tokens": 50_000, "output_tokens": step % 200}
        usage["cache_creation"] = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 900}
        usage |= {"cache_creation_input_tokens": 900, "service_tier": "standard", "inference_geo": "not_available"}

        def say(block: dict[str, Any], step: int = step, id_: str = message_id, usage: dict[str, Any] = usage) -> None:
            message = {"id": id_, "type": "message", "role": "assistant", "model": "claude-a", "content": [block]}
            line("assistant", message=message | {"usage": usage, "stop_reason": None}, requestId=f"req_{step}")

        if step % 10 < 7:
            say({"type": "text", "text": writer.text(20)})
        for call in range(2 if step % 5 == 0 else 1):
            _call(writer, line, say, step, f"toolu_{number:08d}{step:012d}{call:02d}")
    line("assistant", message={"id": "msg_last", "model": "claude-a", "content": [{"type": "text", "text": "Done."}]})
    return writer.lines


def _call(writer: _Writer, line: Callable[..., None], say: Callable[..., None], step: int, call_id: str) -> None:
    """A call of Claude Code: the request, the progress of hooks and command, the result."""
    arguments: dict[str, Any] = {"file_path": f"/home/dev/src/shop/file{step}.ts"}
    tool = ("Read", "Edit", "Bash")[step % 3]
    if tool == "Edit":
        arguments |= {"old_string": writer.code(8), "new_string": writer.code(12)}
    elif tool == "Bash":
        arguments = {"command": writer.text(25), "description": writer.text(6)}
    say({"type": "tool_use", "id": call_id, "name": tool, "input": arguments})
    for _ in range(5):
        data = {"type": "hook_progress", "hookEvent": "PostToolUse", "command": writer.text(25)}
        line("progress", data=data, parentToolUseID=call_id, toolUseID=call_id)
    if step % 3:
        data = {"type": "bash_progress", "output": writer.text(50), "fullOutput": writer.text(60)}
        line("progress", data=data, parentToolUseID=call_id, toolUseID=call_id)
    output = writer.code(25)
    details: dict[str, Any] = {"stdout": output, "stderr": "", "interrupted": False, "isImage": False}
    if tool == "Read":
        details = {"type": "text", "file": {"filePath": arguments["file_path"], "content": output, "numLines": 25}}
    elif tool == "Edit":
        patch = [{"oldStart": 1, "oldLines": 8, "newStart": 1, "newLines": 12, "lines": ["-a", "+b"] * 10}]
        details = {"filePath": arguments["file_path"], "structuredPatch": patch, "originalFile": writer.code(140)}
    block = {"type": "tool_result", "tool_use_id": call_id, "content": output}
    line("user", message={"role": "user", "content": [block]}, toolUseResult=details)


def codex_lines(steps: int, number: int = 0) -> list[bytes]:
    """A Codex rollout of about nine kilobytes a step; each number is another session."""
    session = f"{number:08d}-0000-4000-8000-000000000001"
    writer = _Writer(SEED + number)

    def line(kind: str, **payload: Any) -> None:
        writer.add({"timestamp": writer.stamp, "type": kind, "payload": payload})

    line("session_meta", id=session, cwd="/home/dev/src/shop", cli_version="0.104.0")
    for step in range(steps):
        if step % 11 == 0:
            prompt = writer.text(900)
            content = [{"type": "input_text", "text": prompt}]
            line("response_item", type="message", role="user", content=content)
            line("event_msg", type="user_message", message=prompt)
        policy = {"approval_policy": "on-request", "sandbox_policy": {"mode": "read-only"}}
        line("turn_context", cwd="/home/dev/src/shop", model="gpt-a", effort="high", summary="auto", **policy)
        line("event_msg", type="agent_reasoning", text=writer.text(20))
        counts = {"input_tokens": step * 1_000, "cached_input_tokens": step * 900, "output_tokens": step}
        total = counts | {"reasoning_output_tokens": step, "total_tokens": step * 1_001}
        info = {"total_token_usage": total, "last_token_usage": total, "model_context_window": 272_000}
        limits = {"used_percent": 1.5, "window_minutes": 300, "resets_in_seconds": 9_000}
        line("event_msg", type="token_count", info=info, rate_limits={"primary": limits, "secondary": limits})
        summary = [{"type": "summary_text", "text": writer.text(8)}]
        line("response_item", type="reasoning", summary=summary, encrypted_content="gAAAAA" + "x" * 3_650)
        arguments = json.dumps({"command": ["bash", "-lc", writer.text(75)], "workdir": "/home/dev/src/shop"})
        line("response_item", type="function_call", name="shell", arguments=arguments, call_id=f"call_{step}")
        output = json.dumps({"output": writer.code(27), "metadata": {"exit_code": 0, "duration_seconds": 0.2}})
        line("response_item", type="function_call_output", call_id=f"call_{step}", output=output)
    content = [{"type": "output_text", "text": "Done."}]
    line("response_item", type="message", role="assistant", content=content)
    return writer.lines


if __name__ == "__main__":
    for measure in run():
        print(msgspec.json.encode(measure).decode())
