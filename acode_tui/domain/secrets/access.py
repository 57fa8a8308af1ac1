"""Credentials of the web: headers, cookies, addresses with a password, and private keys."""

import re
from collections.abc import Iterator
from urllib.parse import unquote

from acode_tui.domain.secrets.rules import SearchedText, Span, at_keywords
from acode_tui.domain.secrets.values import is_random, is_real

_SCHEMES = (
    r"basic|bearer|token|digest|apikey|api-?token|negotiate|ntlm|hawk|oauth|ssws|splunk|bot|key|genericapikey|ghost"
    r"|sharedkey(?:lite)?|aws4-hmac-sha256|zoho-oauthtoken"
)
_HEADER = re.compile(
    r"(?i)authorization[\"']?\]?(?:\s{0,8}[:=]\s{0,8}[bfru]{0,2}[\"'`]?|(?P<comma>\s{0,3},\s{0,8})[bfru]{0,2}[\"'`])"
    rf"(?:(?P<scheme>{_SCHEMES})(?:[ \t]|%20|\+)+)?(?P<value>[A-Za-z0-9._~+/:=%-]{{6,4096}})"
    r"(?P<more>[^\r\n\"'\\<>`]{0,1024})"
)


def is_credential(value: str) -> bool:
    """Whether the word after ``Bearer`` is a credential and not the next word of a sentence."""
    return (any(char.isdigit() for char in value) or len(value) >= 24 or value.endswith("=")) and is_real(value)


def authorization_headers(source: SearchedText) -> Iterator[Span]:
    """The value of an ``Authorization`` header: all of it after a scheme of several words."""
    searched_to = 0
    for at in source.positions(b"authorization"):
        found = _HEADER.match(source.text, at) if at >= searched_to else None
        if found is None or (found["comma"] and not found["scheme"]):
            continue
        searched_to = found.end("value")
        if found["scheme"] and found["scheme"].lower() in ("digest", "aws4-hmac-sha256", "hawk", "oauth"):
            if "=" in found["value"] + found["more"]:
                yield found.start("value"), found.end("more")
        elif is_credential(found["value"]) and not (found["more"].startswith("(") and "." in found["value"]):
            yield found.span("value")


bearer_tokens = at_keywords(
    (b"bearer",),
    r"(?i:bearer)(?:\s|%20|\+)+(?P<value>[A-Za-z0-9._~+/-]{8,4096}=*)",
    lambda found: is_credential(found["value"]),
)

slack_tokens = at_keywords(
    (b"xox", b"xapp-"), r"(?P<value>(?:xox[a-z](?:\.xox[a-z])?|xapp-[0-9])-[A-Za-z0-9-]{8,512}+)"
)

_COOKIES = re.compile(
    r"(?i)cookies?[\"']?\]?\s{0,3}(?:[:=,]|\s)\s{0,3}[bfru]{0,2}[\"'`]?(?P<pairs>[\w.$%-]{1,64}=[^\r\n\"'`<>]{1,4096})"
)
_PAIR = re.compile(r"(?P<name>[\w.$%-]{1,64})=(?P<value>[^;\s\\,]{6,})")
_ATTRIBUTES = {"path", "domain", "expires", "max-age", "samesite", "priority", "version", "comment"}
_NAMES_A_LOGIN = re.compile(r"(?i)sess|sid|token|auth|csrf|xsrf|jwt|login|remember|secret|key|id\Z")


COOKIE_KEYWORDS = (b"cookie", b"curl")
_CURL_COOKIES = re.compile(
    r"(?i)curl(?:\.exe)?\s(?:[^\r\n|;\\]|\\\r?\n){0,400}?(?<=\s)-b\s{0,3}[\"']?"
    r"(?P<pairs>[\w.$%-]{1,64}=[^\r\n\"'`<>]{1,4096})"
)


def cookies(source: SearchedText) -> Iterator[Span]:
    """The values of cookies that are long or whose name is that of a session."""
    for keyword, pattern in zip(COOKIE_KEYWORDS, (_COOKIES, _CURL_COOKIES), strict=True):
        yield from _cookies(source, keyword, pattern)


def _cookies(source: SearchedText, keyword: bytes, pattern: re.Pattern[str]) -> Iterator[Span]:
    searched_to = 0
    for at in source.positions(keyword):
        found = pattern.match(source.text, at) if at >= searched_to else None
        if found is None:
            continue
        searched_to = found.end()
        for pair in _PAIR.finditer(source.text, *found.span("pairs")):
            if pair["name"].lower() in _ATTRIBUTES or not is_real(pair["value"]):
                continue
            if _NAMES_A_LOGIN.search(pair["name"]) or is_random(pair["value"]):
                yield pair.span("value")


COOKIE_FILE_KEYWORDS = (b"\ttrue\t", b"\tfalse\t")
cookie_files = at_keywords(
    COOKIE_FILE_KEYWORDS,
    r"\t(?:TRUE|FALSE)\t\d{1,12}\t[^\t\r\n]{1,256}\t(?P<value>[^\t\r\n]{6,4096})",
    lambda found: is_real(found["value"]),
)
"""Netscape's format: domain, whether subdomains are meant, path, whether TLS is asked for, end, name, value."""

_WEB = re.compile(r"://(?P<user>[^\s\"'<>`\\/?#@:]{0,256}):(?P<value>[^\s\"'<>`\\/?#@]{1,1024})@(?=[\w.\[$%{-])")
_WEB_TOKEN = re.compile(r"://(?P<value>[A-Za-z0-9_-]{20,1024})@(?=[\w.-]+)")
_POSTGRES = re.compile(r"://(?P<value>[^\s\"'<>`\\]{1,1024})@")
_BEFORE_POSTGRES = re.compile(r"(?i)postgres(?:ql)?\Z")


def address_passwords(source: SearchedText) -> Iterator[Span]:
    """The credentials of an address, or the token in place of a user. Not those that only show the form."""
    text = source.text
    searched_to = 0
    for at in source.positions(b"://"):
        if at < searched_to:
            continue
        if _BEFORE_POSTGRES.search(text, max(0, at - 10), at) and (found := _POSTGRES.match(text, at)):
            searched_to = found.end()
            if is_real(found["value"].rpartition(":")[2]):
                yield found.span("value")
        elif found := _WEB.match(text, at):
            searched_to = found.end()
            if is_real(found["value"]):
                yield found.start("user"), found.end("value")
        elif (found := _WEB_TOKEN.match(text, at)) and is_random(found["value"], 16):
            yield found.span("value")


QUERY_KEYWORDS = (b"pass", b"pwd=", b"token=", b"key=", b"secret=", b"sig=", b"signature=", b"code=")


def _is_query_secret(found: re.Match[str]) -> bool:
    """``key``, ``sig`` and ``code`` are also the names of harmless values, so theirs must look random."""
    name, value = found["name"].lower(), found["value"]
    return is_real(value) and (name not in ("key", "sig", "code") or is_random(unquote(value)))


query_secrets = at_keywords(
    QUERY_KEYWORDS,
    r"(?i)(?P<name>passw(?:or)?d|pass|pwd|token|key|secret|signature|sig|code)=(?P<value>[^&#\s\"'<>`\\;]{4,2048})",
    _is_query_secret,
    before=r"(?i)[?&;][\w.-]{0,40}",
    reach=44,
)

HOOK_KEYWORDS = (b"hooks.slack.com/", b"/webhooks/", b"/webhookb2/", b"hooks.zapier.com/", b".tines.com/webhook/")
webhooks = at_keywords(
    HOOK_KEYWORDS,
    r"(?:hooks\.slack\.com/\w{1,12}/|/webhooks/\d{5,25}/|/webhookb2/|hooks\.zapier\.com/hooks/catch/|\.tines\.com/webhook/)"
    r"(?P<value>[A-Za-z0-9_/@-]{16,512})",
)
"""The secret path of an address that accepts messages from anybody: Slack, Discord, Teams, Zapier, Tines."""

KEY_KEYWORDS = (b"key-----", b"key block-----", b"age-secret-key-", b"user-key-file-")
_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE \Z")
_KEY_BEGIN_END = re.compile(r"KEY(?: BLOCK)?-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(r"(?:[A-Za-z0-9+/=\s:,-]|\\[nrt])*+")
_AGE_KEY = re.compile(r"AGE-SECRET-KEY-1[A-Z0-9]{20,}")
_PUTTY = re.compile(r"Private-Lines: \d{1,4}\s+(?P<value>(?:[A-Za-z0-9+/=]{1,80}\s+){1,200})")


def private_keys(source: SearchedText) -> Iterator[Span]:
    """Blocks from BEGIN to END; a truncated block extends as far as the text looks like a key."""
    text = source.text
    searched_to, ends = 0, True
    for at in sorted({*source.positions(b"key-----"), *source.positions(b"key block-----")}):
        begin = _KEY_BEGIN.search(text, max(searched_to, at - 64), at)
        begin_end = _KEY_BEGIN_END.match(text, at)
        if at < searched_to or begin is None or begin_end is None:
            continue
        end = _KEY_END.search(text, begin_end.end()) if ends else None
        ends = end is not None
        if end is not None:
            searched_to = end.end()
        else:
            body = _KEY_BODY.match(text, begin_end.end())
            searched_to = body.end() if body else begin_end.end()
        yield begin.start(), searched_to
    for at in source.positions(b"age-secret-key-"):
        found = _AGE_KEY.match(text, at)
        if found:
            yield found.span()
    for at in source.positions(b"user-key-file-"):
        found = _PUTTY.search(text, at, at + 8192)
        if found:
            yield found.span("value")
