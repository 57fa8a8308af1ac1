"""Values that are secret because of the name that they are assigned to: ``password=``, ``"apiKey":``, ``--token``.

The stricter a name, the less is asked of its value: what is assigned to a password is hidden unless it is a
placeholder or an expression of code; what is assigned to a token or to some key must look random.
"""

import re
from collections.abc import Callable, Iterator

from acode_tui.domain.secrets.rules import SearchedText, Span
from acode_tui.domain.secrets.values import has_digit_or_sign, is_hex, is_random, is_real, is_uuid, is_version

KEYWORDS = (b"pass", b"pw", b"secret", b"key", b"token", b"auth")

_NAME = re.compile(
    r"(?i)(?P<name>pass(?:w(?:or)?d|phrase|code|wort)?s?|pwd?|secret|key|token|auth)"
    r"(?P<more>[\w-]{0,24})"
)
_BEFORE = re.compile(r"[\w.-]{0,48}")
"""What belongs to the name before its keyword, in reverse order: so it is read once, from its end."""
_SETS = re.compile(
    r"[ \t$>#]*(?:\w{1,12}[ \t]+)?"
    r"(?:(?:ENV|ARG|setx|setenv|set)[ \t]+(?:-\w{1,3}[ \t]+)?|config(?:ure)?[ \t]+set[ \t]+(?:\S{1,60}[:/])?)[\w.-]*"
)
"""A line that sets a variable to what stands after its name: of a Dockerfile, a shell, ``aws configure set``."""
_KEY_OF = re.compile(
    r"(?i)(?:api|access|auth|private|secret|signing|signature|encryption|encrypt|decryption|account|master|admin"
    r"|subscription|service|shared|license|session|client|app|application|consumer|hmac|aes|webhook|storage|root"
    r"|deploy|write|ingest|server|license|secure|cipher|crypto|jwt|preshared|psk)[_.-]?\Z"
)
_NO_KEY_OF = re.compile(
    r"(?i)(?:public|pub|primary|foreign|cache|sort|partition|hash|range|index|idempotency|dedupe?|lookup|group|join"
    r"|row|column|object|map|dict|hot|short|host|ssh|registry|translation|i18n|react|query|storage|routing|composite"
    r"|unique|natural|surrogate|issue|project|jira|s3|bucket|blob|file|path|meta|property|sha\d*|fingerprint"
    r"|snapshot|artifact|session|build|run|lock)[_.-]?\Z"
)
_HARMLESS_MORE = re.compile(
    r"(?i)(?:s\b|[_-]?(?:count|limit|size|length|len|type|types|name|names|file|path|dir|url|uri|endpoint|id|ids|index"
    r"|hash|policy|field|label|prompt|min|max|mode|version|budget|usage|used|expir\w*|ttl|timeout|strength|format|ref"
    r"|fingerprint|s_\w+|izer\w*|stop|start|class|kind|sha\d*|digest|checksum|source|provider|command|env|map|board\w*"
    r"|word\w*|map\w*|or\w*|ent\w*|ori\w*|ed|ing|er|able)\b)"
)
_LISTED = r"(?:\s{0,3},?\s{1,40}\\?[\"']?value\\?[\"']?\s{0,3}[:=]\s{0,3}|\s{0,3}\{\s{0,40}default\s{0,8}=\s{0,3})"
_SIGN = re.compile(
    r"(?P<end>\\?[\"'`]?\]?)(?:\s{0,8}(?P<sign>=>|:=|={1,3}|!==?|:|\|\||\?=|>)\s{0,8}|(?P<listed>" + _LISTED + r")"
    r"|(?P<comma>\s{0,3},\s{0,8}|\(\s{0,3}|\.assign\()|(?P<space>\s{1,4}))"
)
_QUOTED = re.compile(r"[@bfrulLBFRU]{0,2}(?P<quote>[\"'`])(?P<value>(?![\s,;)\]}])[^\"'`\r\n\\]{1,1024})(?P=quote)")
_BARE = re.compile(r"(?P<value>[^\s\"'`,;&<>(){}\[\]|\\]{1,512}+)(?P<next>[(\[{]?)")
_LINE_END = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z)")
_CONNECTION = re.compile(r"(?i)\b(?:host|hostaddr|dbname|user|user id|uid|server|port)\s*=")
_NOT_ARGUMENT = re.compile(r"[\s:/]|\.\w+\Z")
_TOKEN = re.compile(r"(?=.*[0-9])[^\s()\[\]{}*^|<>]{12,}")
_TAG = re.compile(r"(?P<value>[^<>\s\"']{3,1024})\s{0,8}</")


def credentials(source: SearchedText) -> Iterator[Span]:
    """Values assigned to the names of secrets: quoted, bare, as an option, in a tag or in a list of variables."""
    text = source.text
    for keyword in KEYWORDS:
        searched_to = 0
        for at in source.positions(keyword):
            if at < searched_to:
                continue
            span = _value_of(text, at)
            if span is not None:
                searched_to = span[1]
                yield span


def _value_of(text: str, at: int) -> Span | None:
    """The value of the name whose keyword stands here."""
    name = _NAME.match(text, at)
    if name is None:
        return None
    sign = _SIGN.match(text, name.end())
    if sign is None:
        return None
    reversed_name = _BEFORE.match(text[max(0, at - 48) : at][::-1])
    word = reversed_name.group()[::-1] if reversed_name else ""
    if sign["space"] is not None and (sign["end"] or not (word.startswith("-") or _sets(text, at))):
        return None
    demand = _demand(name["name"].lower(), word.lstrip("-"), name["more"])
    if demand is None:
        return None
    start = sign.end()
    if sign["sign"] == ">":
        found = _TAG.match(text, start) if text.startswith("<", max(0, at - len(word) - 1)) else None
        return found.span("value") if found and is_real(found["value"]) and demand(found["value"]) else None
    if sign["space"] is not None:
        return _option(text, start, demand)
    if sign["comma"] is not None:
        found = _QUOTED.match(text, start) if sign["end"] or "(" in sign["comma"] else None
        return found.span("value") if found and _is_argument(found["value"]) and demand(found["value"]) else None
    found = _QUOTED.match(text, start)
    if found is not None:
        value = found["value"]
        return found.span("value") if is_real(value) and demand(value) and not is_version(value) else None
    found = _BARE.match(text, start)
    if found is None or not is_real(found["value"]) or not demand(found["value"]):
        return None
    return found.span("value") if _is_literal(text, name, word, sign, found) else None


def _option(text: str, start: int, demand: Callable[[str], bool]) -> Span | None:
    """The value after an option of a command line: ``--password hunter2``."""
    found = _QUOTED.match(text, start)
    if found is not None:
        return found.span("value") if is_real(found["value"]) and demand(found["value"]) else None
    found = _BARE.match(text, start)
    if found is None or found["next"] or found["value"].startswith("-"):
        return None
    value = found["value"]
    return found.span("value") if is_real(value) and has_digit_or_sign(value) and demand(value) else None


def _sets(text: str, at: int) -> bool:
    start = max(0, at - 120)
    return _SETS.fullmatch(text, text.rfind("\n", start, at) + 1 or start, at) is not None


def _is_argument(value: str) -> bool:
    """Whether a string after a name and a comma is a value and not the next name of a list."""
    letters = any(each.isalpha() for each in value)
    return (
        len(value) >= 6
        and letters
        and has_digit_or_sign(value)
        and is_real(value)
        and _NOT_ARGUMENT.search(value) is None
    )


def _anything(value: str) -> bool:
    return bool(value)


def _token_like(value: str) -> bool:
    """Long, with a digit and of the characters of tokens: ``token`` is also the name of harmless values."""
    return _TOKEN.fullmatch(value) is not None and not is_version(value)


def _random(value: str) -> bool:
    return is_random(value) and not is_version(value)


def _random_not_digest(value: str) -> bool:
    return (
        is_random(value, 16)
        and not is_uuid(value)
        and not is_version(value)
        and not (is_hex(value) and len(value) > 32)
    )


def _encoded_pair(value: str) -> bool:
    """``user:password`` in base64, as in the configuration of Docker and npm."""
    import binascii

    try:
        return b":" in binascii.a2b_base64(value, strict_mode=True)
    except (binascii.Error, ValueError):
        return False


def _pair_or_random(value: str) -> bool:
    return _encoded_pair(value) or _random_not_digest(value)


def _demand(name: str, before: str, more: str) -> Callable[[str], bool] | None:
    """What a value must fulfil to be hidden under this name; None if the name is not that of a secret."""
    if more and _HARMLESS_MORE.fullmatch(more):
        return None
    if name == "key":
        if _KEY_OF.search(before):
            return _random if more else _anything
        return None if _NO_KEY_OF.search(before) or not before.strip(".-_") else _random_not_digest
    if name.startswith("pass"):
        short = name in ("pass", "passs")
        if short and not before and not more:
            return has_digit_or_sign
        if short and (before[-1:].isalpha() or more) and before[-1:] not in "_-.":
            return None
        return _anything if not more else _random
    if name in ("pw", "pwd", "p"):
        if more or (before and before[-1] not in "_-." and not before.islower() and name == "pw"):
            return None
        return None if name == "p" else _not_folder
    if name == "secret":
        return _anything if not more else _random
    if name == "auth":
        if more:
            return None
        return _pair_or_random if before.strip("._-") else _encoded_pair
    return _token_like if not more else _random


def _not_folder(value: str) -> bool:
    """``PWD`` is also the working directory."""
    return len(value) >= 3 and not value.startswith(("/", "~", "\\", "./", "..")) and value[1:3] != ":\\"


def _is_literal(text: str, name: re.Match[str], word: str, sign: re.Match[str], found: re.Match[str]) -> bool:
    """Whether a bare value is a literal and not an expression of code such as ``password=self.password``."""
    if found["next"]:
        return False
    value = found["value"]
    assigned = sign["sign"]
    if assigned in (">", "||", "?=", "!=", "!==", "==", "==="):
        return False
    spaced = text[sign.end() - 1].isspace()
    if ("\n" in sign.group() and sign["listed"] is None) or len(value) < 3 or (value.isdigit() and len(value) < 4):
        return False
    if assigned == ":" and not spaced and sign["listed"] is None:
        return _random(value)
    if any(char.isdigit() for char in value) or not value.replace("_", "").replace(".", "").isalpha():
        return True
    if assigned == "=" and not spaced and name["name"].isupper():
        return True
    if assigned in (":", None):
        # A word of YAML stands on a line of its own. The types of a language are placeholders or begin in upper case.
        begin = name.start() - len(word)
        line = text[max(text.rfind("\n", 0, begin) + 1, begin - 80) : begin]
        alone = not line.strip(" \t-\"'") and _LINE_END.match(text, found.end()) is not None
        return alone and name["name"].lower().startswith("passw") and value.islower() and "." not in value
    start = max(text.rfind("\n", 0, name.start()) + 1, name.start() - 500)
    return (
        assigned == "="
        and text[found.end() : found.end() + 1] not in (",", ")")
        and _CONNECTION.search(text, start, found.end() + 500) is not None
    )
