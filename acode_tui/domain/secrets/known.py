"""Keeps known secrets out of everything that the program shows or logs.

``redact`` removes a known secret in every encoding, the credentials of connection addresses (by parsing them) and
access tokens that match a rule. It may hide too much; it never reveals anything. Exports use ``redactor.Redactor``,
which also counts what it replaced.
"""

import functools
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from acode_tui.domain.secrets.redactor import Redactor

MASK = "***"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://")  # bounded: otherwise a long word takes quadratic time
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
    """A value whose ``str`` and ``repr`` are stars. Only ``reveal`` returns it.

    It can be neither pickled nor encoded as JSON, so it is not written by accident.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself, for the code that connects with it."""
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
        raise TypeError("a secret cannot be pickled")


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
    # Imported here because every command imports this module and few of them redact anything.
    from acode_tui.domain.secrets.redactor import Redactor
    from acode_tui.domain.secrets.rule_sets import ACCESS_RULES

    return Redactor(rules=ACCESS_RULES)


@functools.lru_cache(maxsize=32)
def _pattern(raw: str) -> re.Pattern[str]:
    """Matches a secret in any spelling of each of its characters: literal, percent-encoded (repeatedly, in either
    case), escaped as Python, JSON or a shell does, or with doubled quotes. Characters may be spelled differently.
    """
    forms = sorted({raw, unquote(raw)}, key=len, reverse=True)
    return re.compile("|".join("".join(map(_spellings, form)) for form in forms if form), re.DOTALL)


def _spellings(char: str) -> str:
    data = char.encode("utf-8", "surrogatepass")
    spellings = [
        "".join(f"(?i:%(?:25)*{byte:02x})" for byte in data),
        rf"(?i:\\+u{ord(char):04x})" if ord(char) < 0x10000 else rf"(?i:\\+U{ord(char):08x})",
        r"\\*" + re.escape(char) if char != "\\" else r"\\+",
    ]
    if ord(char) >= 0x10000:
        units = char.encode("utf-16-be")
        spellings.append("".join(rf"(?i:\\+u{units[at]:02x}{units[at + 1]:02x})" for at in (0, 2)))
    if ord(char) < 0x100:
        spellings.append(rf"(?i:\\+x{ord(char):02x})")
    if char in _CONTROL:
        spellings.append(rf"\\+{_CONTROL[char]}")
    if char == "'":
        spellings = ["'\"'\"'", r"'\\+''", r"(?:\\*'){1,2}", *spellings]
    elif char == '"':
        spellings = [r'(?:\\*"){1,2}', *spellings]
    elif char == " ":
        spellings.append(r"\+")
    return f"(?:{'|'.join(spellings)})"


def _credentials(text: str) -> Iterator[tuple[int, int]]:
    """The start and end of the credentials of each address in the text, without the last ``@``.

    A PostgreSQL address is searched to the end of its line: an unencoded space, ``/`` or ``?`` in a password must not
    hide the ``@`` after it. Other addresses are searched to the next space, and past a ``/`` only if the text
    before it cannot be ``host:port``.
    """
    searched_to = 0
    for found in _SCHEME.finditer(text):
        start = found.end()
        if start <= searched_to:
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
            searched_to = at
            yield start, at


def _redact_urls(text: str) -> str:
    parts = []
    position = 0
    for start, end in _credentials(text):
        parts.append(text[position:start] + MASK)
        position = end
    parts.append(text[position:])
    return _QUERY_SECRET.sub(rf"\g<1>{MASK}", "".join(parts))
