"""Members of JSON objects and items of lists whose value is secret because of the name beside it."""

import functools
import re

from acode_tui.domain.secrets.services import names_a_service

_NAMED = re.compile(r"(?i)pass|pw|secret|key|token|auth|credential|cookie|session|sid\b|dsn")
_OPTION = re.compile(r"--?[A-Za-z][\w-]{0,40}\Z")
LONGEST_NAMED = 8192
"""Characters of the longest value that is searched together with its name."""


@functools.lru_cache(maxsize=1024)  # the same names come again with every row
def is_secret_name(name: str) -> bool:
    """Whether a name may mark its value as a secret; the rules for text decide."""
    return _NAMED.search(name) is not None or names_a_service(name)


def probe(before: str, value: str) -> tuple[str, int]:
    """The value quoted after the text before it, and where it begins there."""
    quote = "'" if '"' in value else '"'
    return f"{before}{quote}{value}{quote}", len(before) + 1


def option_before(items: "list[object] | tuple[object, ...]", index: int) -> str:
    """The command up to the item if the item before it is an option: ``curl -u``, ``--password``; otherwise empty."""
    option = items[index - 1] if index else None
    if not isinstance(option, str) or not _OPTION.match(option):
        return ""
    program = items[0] if index > 1 and isinstance(items[0], str) and len(items[0]) < 40 else ""
    return f"{program} {option} " if program and program != option else f"{option} "
