"""Keeps secrets out of everything that is shown, by parsing rather than by pattern alone.

``redact`` removes a known secret in every encoding it may travel in, and the credentials of connection
addresses and the tokens that nobody told it about. It may hide too much; it never shows more than it was given.
What leaves the program as a file goes through ``domain.redactor``, which also counts.
"""

import functools
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from acode_tui.domain.secrets.redactor import Redactor

MASK = "***"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://")  # bounded, or a long word takes time by its square
_POSTGRES = re.compile(r"\bpostgres(?:ql)?://", re.IGNORECASE)
_QUERY_SECRET = re.compile(
    r"([?&;](?:password|passwd|pwd|sslpassword|access_token|token|api_key|apikey|secret)=)[^&#\s]*", re.IGNORECASE
)
_DSN_SECRET = re.compile(
    r"\b(password|passwd|pwd|sslpassword)(\s*=\s*)('(?:[^'\\]|\\.|'')*'?|\"(?:[^\"\\]|\\.)*\"?|[^\s'\",;)\]}]+)",
    re.IGNORECASE | re.DOTALL,
)
_AUTHORITY_END = re.compile(r"[\s<>`]")
_LINE_END = re.compile(r"[\r\n]")
_CONTROL = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}


class Secret:
    """A value that prints as stars wherever it is printed. ``reveal`` is the only way to it.

    Neither JSON nor pickle takes it, so it cannot leave by accident.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself, for the one place that needs it."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


def display_address(host: str, port: int, database: str) -> str:
    """``host:port/database``, the only form in which a connection address is shown."""
    return f"[{host}]:{port}/{database}" if ":" in host else f"{host}:{port}/{database}"


def redact(text: str, secrets: Iterable[Secret | str] = ()) -> str:
    """The text without the given secrets in any encoding, the credentials of any address, and any access token."""
    for secret in secrets:
        raw = secret.reveal() if isinstance(secret, Secret) else secret
        if raw:
            text = _pattern(raw).sub(MASK, text)
    return _tokens().text(_DSN_SECRET.sub(rf"\g<1>\g<2>{MASK}", _redact_urls(text)))


def has_password(text: str) -> bool:
    """Whether the text holds an address with a password in it: a URL's, or a key=value string's."""
    if _DSN_SECRET.search(text) or _QUERY_SECRET.search(text):
        return True
    return any(":" in text[start:end] for start, end in _credentials(text))


@functools.cache
def _tokens() -> "Redactor":
    # Here, not above: every command loads this module, and few have anything to hide.
    from acode_tui.domain.secrets.patterns import ACCESS
    from acode_tui.domain.secrets.redactor import Redactor

    return Redactor(shapes=ACCESS)


@functools.lru_cache(maxsize=32)
def _pattern(raw: str) -> re.Pattern[str]:
    """Matches a secret however each of its characters is spelled: as it is, percent-encoded (once or twice, either
    case), escaped as Python, JSON or a shell would, or with its quotes doubled. Any mix of these is one secret still.
    """
    forms = sorted({raw, unquote(raw)}, key=len, reverse=True)
    return re.compile("|".join("".join(map(_spellings, form)) for form in forms if form), re.DOTALL)


def _spellings(char: str) -> str:
    data = char.encode("utf-8", "surrogatepass")
    ways = [
        "".join(f"(?i:%(?:25)*{byte:02x})" for byte in data),
        rf"(?i:\\+u{ord(char):04x})" if ord(char) < 0x10000 else rf"(?i:\\+U{ord(char):08x})",
        r"\\*" + re.escape(char) if char != "\\" else r"\\+",
    ]
    if ord(char) >= 0x10000:
        units = char.encode("utf-16-be")
        ways.append("".join(rf"(?i:\\+u{units[at]:02x}{units[at + 1]:02x})" for at in (0, 2)))
    if ord(char) < 0x100:
        ways.append(rf"(?i:\\+x{ord(char):02x})")
    if char in _CONTROL:
        ways.append(rf"\\+{_CONTROL[char]}")
    if char == "'":
        ways = ["'\"'\"'", r"'\\+''", r"(?:\\*'){1,2}", *ways]
    elif char == '"':
        ways = [r'(?:\\*"){1,2}', *ways]
    elif char == " ":
        ways.append(r"\+")
    return f"(?:{'|'.join(ways)})"


def _credentials(text: str) -> Iterator[tuple[int, int]]:
    """Where the credentials of each address in the text begin and end, its last ``@`` left out.

    A PostgreSQL address is searched to the end of its line: an unencoded blank, ``/`` or ``?`` in a password must not
    hide the ``@`` after it. Others are searched as far as a blank, and past a ``/`` only if what stands before it
    cannot be ``host:port``.
    """
    past = 0
    for found in _SCHEME.finditer(text):
        start = found.end()
        if start <= past:
            continue
        postgres = found.group(1).lower().startswith("postgres")
        stop = (_LINE_END if postgres else _AUTHORITY_END).search(text, start)
        end = stop.start() if stop else len(text)
        following = (_POSTGRES if postgres else _SCHEME).search(text, start, end)
        if following:
            end = following.start()
        if not postgres:
            slash = text.find("/", start, end)
            host, colon, port = text[start : slash if slash >= 0 else end].rpartition(":")
            if slash >= 0 and ("@" in host or not colon or port.isdigit()):
                end = slash
        at = text.rfind("@", start, end)
        if at >= 0:
            past = at
            yield start, at


def _redact_urls(text: str) -> str:
    parts = []
    position = 0
    for start, end in _credentials(text):
        parts.append(text[position:start] + MASK)
        position = end
    parts.append(text[position:])
    return _QUERY_SECRET.sub(rf"\g<1>{MASK}", "".join(parts))
