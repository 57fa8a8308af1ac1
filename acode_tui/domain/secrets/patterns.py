"""Rules that find secrets in text, and the user's own patterns.

Every rule takes time linear in the length of any text: prefixes are literal, and repetitions are bounded or possessive.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from acode_tui.domain.errors import ConfigError, ValidationError

Span = tuple[int, int]
"""Start and end in a text."""

MARKER = re.compile(r"\[redacted:[a-z0-9-]{1,40}\]")


class Rule(NamedTuple):
    """Finds one kind of secret. Text that contains none of the lower-case ``hints`` is not searched."""

    kind: str
    hints: tuple[str, ...]
    find: Callable[[str], Iterable[Span]]


def _group(pattern: str, accept: Callable[[str], bool] = bool) -> Callable[[str], Iterator[Span]]:
    """A function that returns the spans of the pattern's group ``value`` for which ``accept`` is true."""
    compiled = re.compile(pattern)
    return lambda text: (
        found.span("value") for found in compiled.finditer(text) if found["value"] and accept(found["value"])
    )


# A token begins after anything that is not part of a word, and after an escape such as the `\n` of a JSON string.
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
"""Characters before a run of letters and digits in which a token may begin, as in ``ya29.``"""

RUN = re.compile(r"[A-Za-z0-9+/_-]{16,}+")
"""The characters of tokens and base64. Few words are as long, so tokens are searched for only in such runs."""


def tokens(text: str, run: Span) -> Iterator[tuple[str, Span]]:
    """The kinds and spans of the tokens that begin in this run of the text or at most ``LEAD`` characters before it."""
    searched_to = 0
    for beginning in BEGINNING.finditer(text, max(0, run[0] - LEAD), run[1]):
        found = _TOKEN.match(text, beginning.start()) if beginning.start() >= searched_to else None
        if found is not None and found.lastgroup is not None:
            searched_to = found.end()
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
    """Whether the word after ``Bearer`` is a token and not the next word of a sentence."""
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


def _is_real(value: str) -> bool:
    """Whether a value is real and not a placeholder."""
    return _PLACEHOLDER.fullmatch(value) is None


_LONG_WITH_DIGIT = re.compile(r"(?=.*[0-9])[^\s]{12,}")
_CONNECTION = re.compile(r"\b(?:host|hostaddr|dbname|user|port)\s*=")


def _credentials(text: str) -> Iterator[Span]:
    """Values assigned to a name such as ``password``: quoted, or bare as in a shell or a connection string.

    ``token`` is also the name of harmless values, so its value must be long and contain a digit.
    """
    for name in _secret_names(text):
        if _SIGN.match(text, name.end()) is None:
            continue
        token = name.group().lower() == "token"
        found = _QUOTED.match(text, name.end())
        if found is None:
            found = _BARE.match(text, name.end())
            if found is None or not _is_literal(text, name, found):
                continue
        value = found["value"]
        if not _is_real(value) or (token and not _LONG_WITH_DIGIT.fullmatch(value)):
            continue
        yield found.span("value")


def _secret_names(text: str) -> Iterator[re.Match[str]]:
    lower = text.lower()
    if len(lower) != len(text):
        # A letter with a longer lower case shifts the positions.
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


def _is_literal(text: str, name: re.Match[str], found: re.Match[str]) -> bool:
    """Whether a bare value is a literal and not an expression of code such as ``password=self.password``."""
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


def _private_keys(text: str) -> Iterator[Span]:
    """Blocks from BEGIN to END; a truncated block extends as far as the text looks like a key."""
    searched_to, ends = 0, True
    for begin in _KEY_BEGIN.finditer(text):
        if begin.start() < searched_to:
            continue
        end = _KEY_END.search(text, begin.end()) if ends else None
        ends = end is not None
        if end is not None:
            searched_to = end.end()
        else:
            body = _KEY_BODY.match(text, begin.end())
            searched_to = body.end() if body else begin.end()
        yield begin.start(), searched_to
    for found in _AGE_KEY.finditer(text):
        yield found.span()


_TURNS = 16
"""Fewest changes between upper case, lower case and digits in 40 random base64 characters. 25 are usual, 15 are very
rare; a path or joined words have far fewer."""


def is_aws_secret(run: str) -> bool:
    """Whether a run looks like 40 random base64 characters: AWS secret keys have no prefix that identifies them."""
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


def _emails(text: str) -> Iterator[Span]:
    """``someone@example.org``. Not ``git@host:path``, ``icon@2x.png`` or ``package@1.2.3``."""
    for at in _AT.finditer(text):
        domain = _DOMAIN.match(text, at.end())
        if domain is None or _VERSION.match(text, at.end()):
            continue
        local = _LOCAL.search(text, max(0, at.start() - 64), at.start())
        if local is None:
            continue
        # In a path or an assignment the address begins after the last character that addresses rarely contain.
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


def _homes(text: str) -> Iterator[Span]:
    """Home directories including the user name: Unix, Windows, and joined into one name as Claude Code does."""
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

ACCESS_RULES: tuple[Rule, ...] = (
    Rule("private-key", ("private key", "age-secret-key-"), _private_keys),
    Rule("bearer-token", ("bearer",), _group(_BEARER, _credible)),
    Rule("authorization", ("authorization",), _group(_HEADER, _credible)),
    Rule("slack-token", ("hooks.slack.com",), _group(_SLACK_HOOK)),
)
"""Access credentials that are recognized by their context. Tokens with a known prefix: see ``tokens``."""

ASSIGNED_RULES: tuple[Rule, ...] = (
    Rule("url-password", ("://",), _group(_IN_WEB_ADDRESS)),
    Rule("url-password", ("postgres",), _group(_IN_POSTGRES_ADDRESS)),
    Rule("url-password", ("pass", "pwd", "token", "key=", "secret", "sig"), _group(_IN_QUERY, _is_real)),
    Rule("credential", _NAMES, _credentials),
)
"""Values that are secret because of the name they are assigned to."""

PERSONAL_RULES: tuple[Rule, ...] = (
    Rule("email", ("@", "%40"), _emails),
    Rule("home-path", ("home", "users", "/root"), _homes),
)
"""Personal data."""


def is_chance_match(rule: Rule, length: int) -> bool:
    """Whether random binary data contains such a match every few megabytes."""
    return rule.kind == "email" and length < 12


PATTERN_SECONDS = 5.0
"""Time limit of one pattern for one value."""


class CustomPattern:
    """One pattern of ``export.patterns``. Its kind is ``pattern-`` and its number, counted from 1."""

    def __init__(self, source: str, number: int, *, seconds: float | None = None) -> None:
        self.kind = f"pattern-{number}"
        self._number = number
        self._seconds = PATTERN_SECONDS if seconds is None else seconds
        self._pattern = _compiled(source, number)

    def find(self, text: str) -> Iterator[Span]:
        """The spans it matches. Raises ConfigError if the search exceeds the time limit."""
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
    """Compile the sources. Raises ValidationError for one that is not a usable pattern."""
    return tuple(CustomPattern(source, number, seconds=seconds) for number, source in enumerate(sources, 1))


def _compiled(source: str, number: int) -> Any:
    # Imported here because most workspaces have no patterns of their own.
    import regex

    try:
        pattern = regex.compile(source)
    except (regex.error, OverflowError, RecursionError) as error:
        raise ValidationError(f"pattern {number}", f"is not a regular expression: {error}") from None
    if pattern.match(""):
        raise ValidationError(f"pattern {number}", "matches empty text", hint="write + instead of *")
    return pattern
