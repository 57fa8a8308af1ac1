"""Redaction: ordinary tool output in pieces of some kilobytes, as one text, as values of JSON; and hostile texts."""

import json
import random
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time

from acode_tui.domain.secrets.redactor import Redactor
from benchmarks.result import Measure, at_most, no_less
from benchmarks.scale import sized

_WANTED = 40
"""Megabytes a second of ordinary tool output: a redacted sync then keeps 0.85 of the rate of one that is not."""

HOSTILE = (
    *(
        "password=",
        "password:'",
        'password="a',
        "pass:",
        "key=",
        "token: ",
        "--token ",
        "?key=",
        "api key ",
        "secret, ",
    ),
    *(
        "curl -u ",
        "curl -b s=",
        "secret --from-literal=a=",
        "curl x\n",
        "mysql -p",
        "echo a | sudo -S ",
        "docker login ",
        "machine a login b password ",
        "x:5432:",
    ),
    *("kind: Secret\ndata:\n  a: b\n", "user password '", "password is ", "PASSWORD,\n value=", "<password>"),
    *("Cookie: a=", "Authorization: Basic ", "bearer ", "https://u:", "://a:b", "hooks.slack.com/services/"),
    *("-----BEGIN RSA PRIVATE KEY-----\n", "KEY-----", "$6$", "heroku=", "8Q~", "aws " + "aB3" * 13 + "a "),
    *("sk-", "-eyJ", "eyJaaaaaaaaaaaaaaaaaaaa.", "glpat-", "[31m", "xoxb-", "A", "A" * 76 + "\n", "a@", "/home/"),
    *("\\", '\\"', "\\n", "%20", "%2525", "\\\\%5C", "&amp;amp;", "[redacted:x]"),
)
"""Texts that make a pattern without bounds read to the end again and again."""


def _sources(size: int) -> list[str]:
    """Modules of the standard library, without its tests."""
    texts: list[str] = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        if {"test", "tests", "site-packages", "idlelib"}.isdisjoint(path.parts) and sum(map(len, texts)) < size:
            texts.append(path.read_text(encoding="utf-8", errors="replace"))
    return texts


def tool_output(size: int) -> list[str]:
    """What agents read most: files, numbered files, diffs, search results, listings, test runs, logs. No secrets."""
    draw = random.Random(13)
    outputs: list[str] = []
    for number, source in enumerate(_sources(size)):
        name = f"src/shop/module{number}.py"
        lines = source.splitlines()
        for start in range(0, len(lines), 120):
            part = lines[start : start + 120]
            outputs.append(_FORMS[len(outputs) % len(_FORMS)](name, start, part, draw))
    redactor = Redactor()
    return [redactor.text(output) for output in outputs]


def _numbered(name: str, start: int, lines: list[str], draw: random.Random) -> str:
    return "\n".join(f"{start + index:6}\t{line}" for index, line in enumerate(lines))


def _diff(name: str, start: int, lines: list[str], draw: random.Random) -> str:
    head = f"diff --git a/{name} b/{name}\nindex {draw.randbytes(4).hex()}..{draw.randbytes(4).hex()} 100644\n"
    return head + "\n".join(draw.choice(("+", "-", " ", " ")) + line for line in lines)


def _matches(name: str, start: int, lines: list[str], draw: random.Random) -> str:
    return "\n".join(f"{name}:{start + index}:{line}" for index, line in enumerate(lines) if line)


def _tests(name: str, start: int, lines: list[str], draw: random.Random) -> str:
    return "\n".join(
        f"tests/test_{index}.py::{'_'.join(line.split()[:3])} PASSED [{draw.randrange(100):3}%] {draw.random():.3f}s"
        for index, line in enumerate(lines)
        if line
    )


def _log(name: str, start: int, lines: list[str], draw: random.Random) -> str:
    return "\n".join(
        f"2026-01-02T03:04:{index % 60:02}Z INFO shop.{name[4:-3]} request={draw.randbytes(8).hex()} {line.strip()}"
        for index, line in enumerate(lines)
        if line
    )


def _listing(name: str, start: int, lines: list[str], draw: random.Random) -> str:
    return "\n".join(
        f"-rw-r--r-- 1 shop shop {draw.randrange(99999):8} Jan  2 03:04 {'-'.join(line.split()[:2]) or 'x'}.py"
        for line in lines
    )


_FORMS: tuple[Callable[[str, int, list[str], random.Random], str], ...] = (
    lambda name, start, lines, draw: "\n".join(lines),
    _numbered,
    _diff,
    _matches,
    _tests,
    _log,
    _listing,
)


def _values(outputs: Sequence[str]) -> list[object]:
    """Small JSON values, as the inputs of tools are: a command or a path, some flags, an identifier."""
    draw = random.Random(14)
    return [
        {
            "command": (output.splitlines() or ["ls"])[0][:80],
            "file_path": f"src/shop/module{number}.py",
            "offset": number,
            "mode": draw.choice(("read", "write")),
            "request_id": draw.randbytes(8).hex(),
        }
        for number, output in enumerate(outputs)
    ]


def _seconds(work: Callable[[], object], rounds: int = 7) -> float:
    """The least processor time of several rounds: other load on the machine only ever adds to it."""
    least = float("inf")
    for _ in range(sized(rounds, 3)):
        started = process_time()
        work()
        least = min(least, process_time() - started)
    return least


def growth(unit: str, length: int) -> float:
    """How much longer twice as much of a text takes: 2 if the time is linear, 4 if it is quadratic."""
    once, twice = unit * (length // len(unit)), unit * (2 * length // len(unit))
    return _seconds(lambda: Redactor().text(twice), 3) / max(_seconds(lambda: Redactor().text(once), 3), 1e-3)


def run() -> list[Measure]:
    outputs = tool_output(sized(4_000_000, 1_000_000))
    size = sum(map(len, outputs))
    whole = "\n".join(outputs)
    redactor = Redactor()
    values = _values(outputs)
    bytes_of_values = sum(len(json.dumps(value)) for value in values)
    in_pieces = _seconds(lambda: [redactor.text(output) for output in outputs])
    as_one = _seconds(lambda: redactor.text(whole))
    in_values = _seconds(lambda: [redactor.json(value) for value in values])
    escaped = json.dumps(outputs)
    nested = _seconds(lambda: redactor.text(escaped))
    worst = max(growth(unit, sized(40_000, 20_000)) for unit in HOSTILE)
    mean = size / len(outputs)
    return [
        no_less(f"tool output, pieces of {mean / 1e3:.1f} KB", size / in_pieces / 1e6, "MB/s", _WANTED),
        no_less(f"tool output, one text of {size / 1e6:.1f} MB", len(whole) / as_one / 1e6, "MB/s", _WANTED),
        Measure(name="tool output, escaped as one JSON string", value=len(escaped) / nested / 1e6, unit="MB/s"),
        at_most(f"a JSON value of {bytes_of_values / len(values):.0f} bytes", in_values / len(values) * 1e6, "us", 100),
        at_most("twice as much of a hostile text, the worst", worst, "times", 3),
    ]
