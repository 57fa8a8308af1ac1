"""CPU of reading one session of 200 steps in each format without a scenario of its own, beside decoding the same."""

import gc
import time
from pathlib import Path

import msgspec

from acode_tui.ingest.registry import format_named
from benchmarks.bench_import import REPEATS, context_of
from benchmarks.result import Measure, within
from benchmarks.transcripts import FORMATS, lines_of


def run() -> list[Measure]:
    return [_read_of(name, lines_of(name)) for name in FORMATS]


def _read_of(name: str, lines: list[bytes]) -> Measure:
    """The pair of the median ratio. Without a garbage collector, as in the process that reads for an import."""
    decode = msgspec.json.Decoder().decode
    context = context_of(Path("session.jsonl"))
    pairs = []
    gc.disable()
    try:
        for _ in range(REPEATS):
            gc.collect()
            started = time.process_time()
            for line in lines * 5:
                decode(line)
            decoded = time.process_time()
            for _ in range(5):
                format_named(name).read(enumerate(lines, 1), context)
            pairs.append(((decoded - started) * 200, (time.process_time() - decoded) * 200))
    finally:
        gc.enable()
    floor, read = sorted(pairs, key=lambda pair: pair[1] / pair[0])[REPEATS // 2]
    return within(f"import {name}: read", read, "ms", floor, 8)
