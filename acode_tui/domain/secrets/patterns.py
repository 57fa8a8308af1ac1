"""What secrets look like: a table of shapes, each with the spots of a text that it covers.

Every shape takes time in proportion to the text, whatever the text is: prefixes are literal, repetitions bounded or
without a way back. ``hints`` are lower-case pieces, one of which a text must hold for the shape to be worth a look.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from acode_tui.domain.errors import ConfigError, ValidationError

Spot = tuple[int, int]
"""Where something begins and ends in a text."""

MARKER = re.compile(r"\[redacted:[a-z0-9-]{1,40}\]")


class Shape(NamedTuple):
    """A kind of secret and how its spots are found."""

    kind: str
    hints: tuple[str, ...]
    find: Callable[[str], Iterable[Spot]]


def _group(pattern: str, accept: Callable[[str], bool] = bool) -> Callable[[str], Iterator[Spot]]:
    """The spots of the pattern's group ``value`` where ``accept`` agrees."""
    compiled = re.compile(pattern)
    return lambda text: (
        found.span("value") for found in compiled.finditer(text) if found["value"] and accept(found["value"])
    )


# A token begins after anything that is no part of a word, and after an escape such as the `\n` of a JSON string.
_START = r"(?:(?<![A-Za-z0-9_])|(?<=\\[nrtbf])|(?<=%[0-9A-Fa-f]{2}))"
_EDGE = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=%[0-9A-Fa-f]{2}))"
_TOKENS = {
    # OpenAI, Anthropic and OpenRouter; Stripe; Groq, xAI, Hugging Face, Replicate; package registries and clouds.
    "api-key": _START + r"(?:sk-(?:proj|svcacct|admin|ant|or|lf|None)-[A-Za-z0-9_-]{8,}|sk-[A-Za-z0-9]{20,}"
    r"|[spr]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{16,}"
    r"|gsk_[A-Za-z0-9]{20,}|xai-[A-Za-z0-9]{20,}|hf_[A-Za-z0-9]{20,}|r8_[A-Za-z0-9]{20,}"
    r"|npm_[A-Za-z0-9]{20,}|pypi-[A-Za-z0-9_-]{20,}|dop_v1_[a-f0-9]{32,}|lin_api_[A-Za-z0-9]{20,}"
    r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|dapi[a-f0-9]{32})",
    "github-token": r"gh[a-z]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}|glpat-[A-Za-z0-9_-]{16,}",
    "slack-token": r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{8,}|xapp-[0-9]-[A-Za-z0-9-]{8,}",
    "google-key": r"AIza[0-9A-Za-z_-]{30,}|ya29\.[0-9A-Za-z_-]{20,}|GOCSPX-[0-9A-Za-z_-]{20,}",
    "aws-key-id": _START + r"(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[0-9A-Z]{16}(?![0-9A-Za-z])",
    "jwt": _EDGE + r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){1,4}",
}
_TOKEN = re.compile("|".join(f"(?P<{kind.replace('-', '_')}>{pattern})" for kind, pattern in _TOKENS.items()))
BEGINNING = re.compile(
    r"sk-|[spr]k_|whsec_|gsk_|xai-|hf_|r8_|npm_|pypi-|dop_v1_|lin_api_|SG\.|dapi|gh[a-z]_|github_pat_|glpat-|xox|xapp-"
    r"|AIza|ya29\.|GOCSPX-|A(?:KIA|SIA|BIA|CCA|ROA|IDA)|eyJ"
)
LEAD = 5
"""How far before a run of letters and digits a token that ends in it may begin, as in ``ya29.``"""

RUN = re.compile(r"[A-Za-z0-9+/_-]{16,}+")
"""What a token or base64 is made of. Few words are as long, so that everything else need only be looked for here."""


def tokens(text: str, run: Spot) -> Iterator[tuple[str, Spot]]:
    """The kinds and spots of the tokens that begin in this run of the text, or just before it."""
    past = 0
    for beginning in BEGINNING.finditer(text, max(0, run[0] - LEAD), run[1]):
        found = _TOKEN.match(text, beginning.start()) if beginning.start() >= past else None
        if found is not None and found.lastgroup is not None:
            past = found.end()
            yield found.lastgroup.replace("_", "-"), found.span()


_BEARER = r"(?i:bearer)(?:\s|%20|\+)+(?P<value>[A-Za-z0-9._~+/-]{8,}=*)"
_HEADER = (
    r"(?i:(?:proxy-)?authorization)[\"']?\s{0,8}[:=]\s{0,8}[\"']?(?:(?i:basic|bearer|token|digest|apikey)\s+)?"
    r"(?P<value>[A-Za-z0-9._~+/:=-]{6,})"
)

_IN_WEB_ADDRESS = r"://(?P<value>[^\s\"'<>`\\/?#@:]*:[^\s\"'<>`\\/?#@]{1,1024})@"
_IN_POSTGRES_ADDRESS = r"(?i:postgres(?:ql)?)://(?P<value>[^\s\"'<>`\\]{1,1024})@"
_IN_QUERY = (
    r"(?i)[?&;](?:[\w.-]{0,40}(?:password|passwd|pwd|token|api_?key|secret|signature)|sig|key)="
    r"(?P<value>[^&#\s\"'<>`\\;]{4,2048})"
)


def _credible(value: str) -> bool:
    """Whether what follows ``Bearer`` is a token rather than the next word of a sentence."""
    return any(char.isdigit() for char in value) or len(value) >= 24 or value.endswith("=")


_NAMES = ("passw", "passphrase", "pwd", "secret", "key", "token", "credential")
_NAME = re.compile(r"passw(?:or)?d|passphrase|pwd|secret|key|token|credentials?", re.IGNORECASE)
_KEY_OF = re.compile(r"(?:api|access|auth|private|secret|signing|encryption|account)[_-]?\Z", re.IGNORECASE)
_SIGN = re.compile(r"[\"']?\]?\s{0,8}(?:=>|:=|[:=])")
_QUOTED = re.compile(
    r"[\"']?\]?\s{0,8}(?:=>|:=|[:=])\s{0,8}[bfru]{0,2}(?P<quote>[\"'])(?P<value>(?![\s,;)\]}])[^\"'\r\n\\]{1,4096})(?P=quote)"
)
_BARE = re.compile(r"\s{0,2}(?P<sign>:\s|=)\s{0,2}(?P<value>[^\s\"'`,;&<>(){}\[\]|\\]{1,1024})(?P<next>[(\[{]?)")
_PLACEHOLDER = re.compile(
    r"(?i)\*+|x+|\.+|-+|<.*>|\$.*|\{.*|%.*|none|null|nil|true|false|undefined|string|str|bytes|text|required|optional"
    r"|password|secret|token|example|changeme|your.*|my.*|todo"
)


def _meant(value: str) -> bool:
    """Whether a value is one, rather than a mark that one belongs here."""
    return _PLACEHOLDER.fullmatch(value) is None


_LONG_WITH_DIGIT = re.compile(r"(?=.*[0-9])[^\s]{12,}")
_CONNECTION = re.compile(r"\b(?:host|hostaddr|dbname|user|port)\s*=")


def _credentials(text: str) -> Iterator[Spot]:
    """What is assigned to a name such as ``password``: in quotes, or bare as in a shell or a connection string.

    A token's name says less than a password's: what it holds must look the part.
    """
    for name in _named(text):
        if _SIGN.match(text, name.end()) is None:
            continue
        token = name.group().lower() == "token"
        found = _QUOTED.match(text, name.end())
        if found is None:
            found = _BARE.match(text, name.end())
            if found is None or not _assigned(text, name, found):
                continue
        value = found["value"]
        if not _meant(value) or (token and not _LONG_WITH_DIGIT.fullmatch(value)):
            continue
        yield found.span("value")


def _named(text: str) -> Iterator[re.Match[str]]:
    lower = text.lower()
    if len(lower) != len(text):
        # Some letter has a longer lower case, so that positions differ.
        found_in = _NAME.finditer(text)
        yield from (name for name in found_in if name.group().lower() != "key" or _is_key_of(text, name.start()))
        return
    for core in _NAMES:
        at = lower.find(core)
        while at >= 0:
            found = _NAME.match(text, at)
            if found is not None and (core != "key" or _is_key_of(text, at)):
                yield found
            at = lower.find(core, at + len(core))


def _is_key_of(text: str, at: int) -> bool:
    return _KEY_OF.search(text, max(0, at - 12), at) is not None


def _assigned(text: str, name: re.Match[str], found: re.Match[str]) -> bool:
    """Whether a bare value is one, rather than an expression of code: ``password=self.password`` hides nothing."""
    if found["next"]:
        return False
    value = found["value"]
    if any(char.isdigit() for char in value) or not value.replace("_", "").replace(".", "").isalpha():
        return True
    if found["sign"] != "=":
        return False
    if name.group().isupper():
        return True
    start = max(text.rfind("\n", 0, name.start()) + 1, name.start() - 500)
    return _CONNECTION.search(text, start, found.end() + 500) is not None


_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(r"(?:[A-Za-z0-9+/=\s:,-]|\\[nrt])*")
_AGE_KEY = re.compile(r"AGE-SECRET-KEY-1[A-Z0-9]{20,}")


def _private_keys(text: str) -> Iterator[Spot]:
    """Blocks from BEGIN to END; a block that was cut off reaches as far as it looks like one."""
    past, ends = 0, True
    for begin in _KEY_BEGIN.finditer(text):
        if begin.start() < past:
            continue
        end = _KEY_END.search(text, begin.end()) if ends else None
        ends = end is not None
        if end is not None:
            past = end.end()
        else:
            body = _KEY_BODY.match(text, begin.end())
            past = body.end() if body else begin.end()
        yield begin.start(), past
    for found in _AGE_KEY.finditer(text):
        yield found.span()


_TURNS = 16
"""How often letters turn to digits or change case in 40 random base64 characters: about 25 times, 15 hardly ever. In
a path or a run of words it is far less often."""


def is_aws_secret(run: str) -> bool:
    """Forty characters of base64 that nobody wrote by hand: AWS's secret keys have no prefix to know them by."""
    if len(run) != 40 or "-" in run or "_" in run:
        return False
    classes = ["a" if char.islower() else "A" if char.isupper() else "0" if char.isdigit() else "/" for char in run]
    varied = {"a", "A"} <= set(classes) and not {"0", "/"}.isdisjoint(classes)
    return varied and sum(a != b for a, b in pairwise(classes)) >= _TURNS


_AT = re.compile("@|%40")
_LOCAL = re.compile(r"[\w.!#$%&*+/=?^{|}~-]{1,64}\Z")
_LOCAL_TRIM = re.compile(r"[^\w]*")
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,62})\.){1,8}(?P<top>[^\W\d_]{2,24})(?![\w@])")
_VERSION = re.compile(r"[v^~]?\d+\.\d+|\d+x\.")


def _emails(text: str) -> Iterator[Spot]:
    """``someone@example.org``. Not ``git@host:path``, ``icon@2x.png`` or ``package@1.2.3``."""
    for at in _AT.finditer(text):
        domain = _DOMAIN.match(text, at.end())
        if domain is None or _VERSION.match(text, at.end()):
            continue
        local = _LOCAL.search(text, max(0, at.start() - 64), at.start())
        if local is None:
            continue
        # In a path or an assignment the address begins after the last sign that an address hardly holds.
        begin = max(text.rfind(char, local.start(), at.start()) for char in "/=?&{|}!#$%*^~") + 1
        begin = max(begin, local.start())
        trimmed = _LOCAL_TRIM.match(text, begin, at.start())
        begin = trimmed.end() if trimmed else begin
        name = text[begin : at.start()]
        if not name or (name == "git" and text[domain.end() : domain.end() + 1] in (":", "/")):
            continue
        yield begin, domain.end()


_IN_NAME = r"[^\s/\\\"'<>|:;,*?`$(){}\[\]]{1,64}"
_HOME = re.compile(rf"/(?:home|Users)/(?!Shared\b){_IN_NAME}|/root(?![\w.-])")
_BEFORE_HOME = re.compile(r"(?:(?<![\w.~/-])|(?<=file://)|(?<=\\[nrt])|(?<=\b[A-Za-z]:))\Z")
_WINDOWS_HOME = re.compile(r"Users(?:\\{1,4}|/)(?!Public\b)[^\s/\\\"'<>|:;,*?`]{1,64}")
_DRIVE = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]:(?:\\{1,4}|/)\Z")
_FOLDED_HOME = re.compile(r"-(?:home|Users)-(?!Shared\b)[^\s/\\\"'<>|:;,*?`-]{1,64}(?=-|[/\\\"'\s]|\Z)")
_FOLDED_AFTER = "/\\\"'=`( :\t\n"


def _homes(text: str) -> Iterator[Spot]:
    """A home directory up to its user: on Unix, on Windows, and folded into one name as Claude Code does."""
    for found in _HOME.finditer(text):
        if _BEFORE_HOME.search(text, max(0, found.start() - 8), found.start()):
            yield found.span()
    for found in _WINDOWS_HOME.finditer(text):
        drive = _DRIVE.search(text, max(0, found.start() - 7), found.start())
        if drive:
            yield drive.start(), found.end()
    for found in _FOLDED_HOME.finditer(text):
        if text[found.start() - 1 : found.start()] in _FOLDED_AFTER:
            yield found.span()


_SLACK_HOOK = r"hooks\.slack\.com/services/(?P<value>[A-Za-z0-9/]{16,})"

ACCESS: tuple[Shape, ...] = (
    Shape("private-key", ("private key", "age-secret-key-"), _private_keys),
    Shape("bearer-token", ("bearer",), _group(_BEARER, _credible)),
    Shape("authorization", ("authorization",), _group(_HEADER, _credible)),
    Shape("slack-token", ("hooks.slack.com",), _group(_SLACK_HOOK)),
)
"""What lets somebody in, told by what it stands in rather than by how it begins."""

ASSIGNED: tuple[Shape, ...] = (
    Shape("url-password", ("://",), _group(_IN_WEB_ADDRESS)),
    Shape("url-password", ("postgres",), _group(_IN_POSTGRES_ADDRESS)),
    Shape("url-password", ("pass", "pwd", "token", "key=", "secret", "sig"), _group(_IN_QUERY, _meant)),
    Shape("credential", _NAMES, _credentials),
)
"""What is a secret by the name that it is given."""

PERSONAL: tuple[Shape, ...] = (
    Shape("email", ("@", "%40"), _emails),
    Shape("home-path", ("home", "users", "/root"), _homes),
)
"""What tells who somebody is."""


def seen_by_chance(shape: Shape, length: int) -> bool:
    """Whether bytes that are no text hold such a spot every few megabytes without meaning anything by it."""
    return shape.kind == "email" and length < 12


PATTERN_SECONDS = 5.0
"""Longest that one pattern may take over one value."""


class CustomPattern:
    """One pattern of ``export.patterns``. Its kind is ``pattern-`` and its number, from 1."""

    def __init__(self, source: str, number: int, *, seconds: float | None = None) -> None:
        self.kind = f"pattern-{number}"
        self._number = number
        self._seconds = PATTERN_SECONDS if seconds is None else seconds
        self._pattern = _compiled(source, number)

    def spots(self, text: str) -> Iterator[tuple[int, int]]:
        """Where it matches. Raises ConfigError where that takes too long."""
        try:
            for found in self._pattern.finditer(text, timeout=self._seconds):
                if found.end() > found.start():
                    yield found.span()
        except TimeoutError:
            raise ConfigError(
                f"export.patterns: pattern {self._number} took longer than {self._seconds:g} s on one value",
                hint="write it without nested repetitions such as (a+)+, or remove it",
            ) from None


def custom_patterns(sources: Sequence[str], *, seconds: float | None = None) -> tuple[CustomPattern, ...]:
    """The patterns of these sources. Raises ValidationError for one that cannot be used."""
    return tuple(CustomPattern(source, number, seconds=seconds) for number, source in enumerate(sources, 1))


def _compiled(source: str, number: int) -> Any:
    # Here, not above: most workspaces have no pattern of their own.
    import regex

    try:
        pattern = regex.compile(source)
    except (regex.error, OverflowError, RecursionError) as error:
        raise ValidationError(f"pattern {number}", f"is no regular expression: {error}") from None
    if pattern.match(""):
        raise ValidationError(f"pattern {number}", "matches where nothing is", hint="write + where it has *")
    return pattern
