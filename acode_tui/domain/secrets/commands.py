"""Passwords on command lines and in files whose columns have no names: ``curl -u``, ``.netrc``, ``/etc/shadow``."""

import re
from collections.abc import Iterator

from acode_tui.domain.secrets.rules import SearchedText, Span, at_keywords
from acode_tui.domain.secrets.values import has_digit_or_sign, is_random, is_real

# The rest of a command: to the end of its line, but on after a backslash, and not past the next command.
_REST = r"(?:[^\r\n|;\\]|\\\r?\n|\\[^\r\n]){0,400}?"
_WORD = r"(?:\"(?P<double>[^\"\r\n]{2,256})\"|'(?P<single>[^'\r\n]{2,256})'|(?P<plain>[^\s\"'`|;&<>\\]{2,256}))"

_AFTER_PROGRAM = {
    b"curl": rf"(?i:curl)(?:\.exe)?\s{_REST}(?<=\s)(?:-[a-zA-Z]{{0,6}}u|--user|-U|--proxy-user)(?:=|\s{{0,4}}){_WORD}",
    b"sshpass": rf"sshpass\s+-p\s{{0,3}}{_WORD}",
    b"mariadb": rf"mariadb[\w-]{{0,12}}\s{_REST}(?<=\s)-p{_WORD}",
    b"redis-cli": rf"redis-cli\s{_REST}(?<=\s)-a\s{{0,3}}{_WORD}",
    b"ldap": rf"ldap[a-z]{{2,9}}\s{_REST}(?<=\s)-w\s{{0,3}}{_WORD}",
    b"mysql": rf"mysql\w{{0,12}}\s{_REST}(?<=\s)-p{_WORD}",
    b"login": rf"login\s{_REST}(?<=\s)-p[= ]\s{{0,3}}{_WORD}",
    b"sqlcmd": rf"sqlcmd\s{_REST}(?<=\s)-P\s{{0,3}}{_WORD}",
    b"htpasswd": rf"htpasswd\s+-[a-zA-Z]{{0,6}}b[a-zA-Z]{{0,6}}\s+\S{{1,200}}\s+\S{{1,100}}\s+{_WORD}",
    b"smbclient": rf"smbclient\s{_REST}(?<=\s)-U\s{{0,3}}[\"']?[\w.\\/-]{{1,64}}%{_WORD}",
    b"openssl": rf"openssl\s{_REST}(?<=\s)-k\s{{1,3}}{_WORD}",
    b"from-literal": rf"from-literal[= ]\s{{0,3}}[\"']?[\w.-]{{1,128}}={_WORD}",
    b"requirepass": rf"requirepass\s+{_WORD}",
    b"pass:": rf"pass:{_WORD}",
}
_PROGRAMS = {keyword: re.compile(pattern) for keyword, pattern in _AFTER_PROGRAM.items()}
COMMAND_KEYWORDS = tuple(_PROGRAMS)
_BEFORE = {
    b"login": re.compile(r"(?:docker|podman|nerdctl|buildah|skopeo|oras|registry|oc|az|cf|crane)\s+(?:\w+\s+)?\Z"),
    b"pass:": re.compile(r"-pass(?:in|out)?\s{1,3}\Z"),
    # A configuration map takes literals too.
    b"from-literal": re.compile(r"\bsecret\s[^\r\n|;]*\Z"),
}

_BEFORE_CHARS = 200


def command_passwords(source: SearchedText) -> Iterator[Span]:
    """The password after an option that only its program explains."""
    text = source.text
    for keyword in source.keywords:
        pattern = _PROGRAMS.get(keyword)
        if pattern is None:
            continue
        before = _BEFORE.get(keyword)
        searched_to = 0
        for at in source.positions(keyword):
            if at < searched_to or (before and before.search(text, max(0, at - _BEFORE_CHARS), at) is None):
                continue
            found = pattern.match(text, at)
            if found is None:
                # What the pattern read without a match holds no option, so it is not read again.
                searched_to = min(_line_end(text, at), at + 400)
                continue
            searched_to = found.end()
            group = found.lastgroup or "plain"
            start, value = found.start(group), found[group]
            if keyword == b"curl":
                user, colon, value = value.partition(":")
                start += len(user) + 1
                if not colon:
                    continue
            if len(value) >= 2 and is_real(value):
                yield start, start + len(value)


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at, at + 400)
    return end if end >= 0 else at + 400


_PIPED = re.compile(
    r"(?:echo|printf)\s+(?:-\w+\s+)?[\"']?(?:[\w.-]{1,64}:)?(?P<value>[^\s\"'|]{2,256})(?:\\n)?[\"']?\s*\|\s*(?:sudo\s+)?\Z"
)
_READS = re.compile(r"sudo\s+(?:-\w+\s+){0,3}?(?:-S|--stdin)\b|chpasswd\b")


def piped_passwords(source: SearchedText) -> Iterator[Span]:
    """The password that ``echo`` writes to a program that reads one: ``echo hunter2 | sudo -S``."""
    text = source.text
    for keyword in (b"sudo", b"chpasswd"):
        for at in source.positions(keyword):
            if _READS.match(text, at) is None:
                continue
            line = max(text.rfind("\n", 0, at) + 1, at - 300)
            echo = max(text.rfind("echo", line, at), text.rfind("printf", line, at))
            found = _PIPED.match(text, echo, at) if echo >= 0 else None
            if found and is_real(found["value"]):
                yield found.span("value")


_NETRC = re.compile(r"password\s{1,8}(?P<value>\S{1,256})")
_NETRC_BEFORE = re.compile(r"\b(?:machine\s+\S{1,128}|default)\s+login\s+\S{1,128}\s+(?:account\s+\S{1,64}\s+)?\Z")


def netrc_passwords(source: SearchedText) -> Iterator[Span]:
    """``machine HOST login USER password PASSWORD``"""
    for at in source.positions(b"password"):
        found = _NETRC.match(source.text, at)
        if found and is_real(found["value"]) and _NETRC_BEFORE.search(source.text, max(0, at - 300), at):
            yield found.span("value")


_PGPASS = re.compile(r":(?:\d{2,5}|\*):[^:\s\"']{1,64}:[^:\s\"']{1,64}:(?P<value>(?:[^\s\"'\\:]|\\.){3,256})")
_PGPASS_HOST = re.compile(r"(?:^|[\s\"'=])[\w.*/-]{1,128}\Z", re.MULTILINE)


def pgpass_lines(source: SearchedText) -> Iterator[Span]:
    """``host:port:database:user:password``"""
    for keyword in (b":543", b":*:"):
        searched_to = 0
        for at in source.positions(keyword):
            found = _PGPASS.match(source.text, at) if at >= searched_to else None
            if found and is_real(found["value"]) and _PGPASS_HOST.search(source.text, max(0, at - 128), at):
                searched_to = found.end()
                yield found.span("value")


_HASHES = b"$1$ $5$ $6$ $y$ $2$ $2a$ $2b$ $2x$ $2y$ $gy$ $apr1$ $argon2 $scrypt$ $pbkdf2 $p$ $h$ sha256$ sha1$ {ssha"
HASH_KEYWORDS = tuple(_HASHES.split())
password_hashes = at_keywords(
    HASH_KEYWORDS,
    r"(?P<value>\$(?:[156y]|2[abxy]?|gy|apr1|argon2(?:id|i|d)|scrypt|pbkdf2[\w-]{0,16}|[PH])\$[./A-Za-z0-9$=,+-]{20,400}"
    r"|sha\d{1,3}\$\d{4,8}\$[A-Za-z0-9./]{6,64}\$[A-Za-z0-9+/=]{27,200}|\{(?i:ssha)\d{0,3}\}[A-Za-z0-9+/=]{24,200})",
)

SQL_KEYWORDS = (b"identified", b"password")
sql_passwords = at_keywords(
    SQL_KEYWORDS,
    r"(?i)(?:identified\s{1,4}(?:with\s{1,4}\S{1,64}\s{1,4})?(?:by|as)|password)\s{1,4}(?:password\s{1,4})?"
    r"'(?P<value>[^'\r\n]{3,256})'",
    lambda found: is_real(found["value"]),
    before=r"(?is)\b(?:user|role|login|with|grant|encrypted|set)\b[^;]{0,160}",
    reach=200,
)


def _is_said(found: re.Match[str]) -> bool:
    """After a verb it must be more than a word; without one it must look random."""
    value = found["value"]
    if found["verb"] is None:
        return is_random(value, 16)
    return has_digit_or_sign(value) and any(each.isalpha() for each in value) and is_real(value)


SAID_KEYWORDS = (b"password", b"passphrase", b"passcode", b"token", b"secret", b"api key")
said_passwords = at_keywords(
    SAID_KEYWORDS,
    r"(?i)(?:password|passphrase|passcode|token|secret(?: key)?|api key)\s{1,2}"
    r"(?P<verb>(?:is|was|to|are)(?::|\s)\s{0,2})?[\"'`]?(?P<value>[^\s\"'`,;()<>]{6,256}?)(?=[\"'`,;)]|[.!?]?(?:\s|\Z))",
    _is_said,
)

_KIND = re.compile(r"kind[\"']?\s{0,4}:\s{0,4}[\"']?\Z")
_DATA = re.compile(
    r"(?m)^(?P<indent>[ \t]*)(?:-[ ])?[\"']?(?:stringData|data)[\"']?[ \t]*:[ \t]*(?P<brace>\{?)[ \t]*\r?$"
)
_ENTRY = re.compile(
    r"(?m)^(?P<indent>[ \t]+)[\"']?[\w.-]{1,253}[\"']?[ \t]*:[ \t]*"
    r"(?:[|>][+-]?[ \t]*\r?\n(?P<block>(?:[ \t]+[^\r\n]*\r?\n?){1,400})"
    r"|[\"']?(?P<value>[^\s\"',{}][^\"'\r\n,{}]*))"
)
_JSON_DATA = re.compile(r"[\"'](?:stringData|data)[\"']\s{0,4}:\s{0,4}\{(?P<body>[^{}]{1,65536})\}")
_JSON_VALUE = re.compile(r":\s{0,4}[\"'](?P<value>[^\"'\\]{1,8192})[\"']")
_BACK, _ON = 4096, 16384


def kubernetes_secrets(source: SearchedText) -> Iterator[Span]:
    """The values under ``data`` and ``stringData`` of a manifest of kind ``Secret``, as YAML or JSON."""
    text = source.text
    searched_to = 0
    for at in source.positions(b"secret"):
        if at < searched_to or not text.startswith("Secret", at) or not _KIND.search(text, max(0, at - 24), at):
            continue
        start = max(searched_to, text.rfind("\n---", max(0, at - _BACK), at) + 1, at - _BACK)
        end = text.find("\n---", at, at + _ON)
        searched_to = end = end if end >= 0 else min(len(text), at + _ON)
        for data in _JSON_DATA.finditer(text, start, end):
            for value in _JSON_VALUE.finditer(text, *data.span("body")):
                yield value.span("value")
        for data in _DATA.finditer(text, start, end):
            yield from _entries(text, data.end(), end, len(data["indent"].expandtabs()))


def _entries(text: str, start: int, end: int, indent: int) -> Iterator[Span]:
    """The values of the lines that are indented further than their heading."""
    while start < end:
        start = text.find("\n", start, end) + 1
        if not start:
            return
        entry = _ENTRY.match(text, start, end)
        if entry is None or len(entry["indent"].expandtabs()) <= indent:
            return
        group = "block" if entry["block"] else "value"
        yield entry.span(group)
        start = entry.end() - (1 if entry["block"] else 0)
