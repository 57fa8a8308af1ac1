"""Personal data: e-mail addresses, and home directories with the name of a user."""

import re
from collections.abc import Iterator

from acode_tui.domain.secrets.rules import SearchedText, Span

_LOCAL = re.compile(r"[\w.!#$%&*+/=?^{|}~-]{1,64}\Z")
_LOCAL_TRIM = re.compile(r"[^\w]*")
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,62})\.){1,8}(?P<top>[^\W\d_]{2,24})(?![\w@])")
_VERSION = re.compile(r"[v^~]?\d+\.\d+|\d+x\.")


def emails(source: SearchedText) -> Iterator[Span]:
    """``someone@example.org``. Not ``git@host:path``, ``icon@2x.png`` or ``package@1.2.3``."""
    text = source.text
    for keyword in (b"@", b"%40"):
        for at in source.positions(keyword):
            after = at + len(keyword)
            domain = _DOMAIN.match(text, after)
            if domain is None or _VERSION.match(text, after):
                continue
            local = _LOCAL.search(text, max(0, at - 64), at)
            if local is None:
                continue
            # In a path or an assignment the address begins after the last character that addresses rarely contain.
            begin = max(text.rfind(char, local.start(), at) for char in "/=?&{|}!#$%*^~") + 1
            begin = max(begin, local.start())
            trimmed = _LOCAL_TRIM.match(text, begin, at)
            begin = trimmed.end() if trimmed else begin
            name = text[begin:at]
            if not name or (name == "git" and text[domain.end() : domain.end() + 1] in (":", "/")):
                continue
            yield begin, domain.end()


_IN_NAME = r"[^\s/\\\"'<>|:;,*?`$(){}\[\]]{1,64}"
_HOME = re.compile(rf"(?:home|Users)/(?!Shared\b){_IN_NAME}")
_BEFORE_HOME = re.compile(r"(?:(?<![\w.~/-])|(?<=file://)|(?<=\\[nrt])|(?<=\b[A-Za-z]:))/\Z")
_ROOT = re.compile(r"/root(?![\w.-])")
_WINDOWS_HOME = re.compile(r"Users(?:\\{1,4}|/)(?!Public\b)[^\s/\\\"'<>|:;,*?`]{1,64}")
_DRIVE = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]:(?:\\{1,4}|/)\Z")
_FOLDED_HOME = re.compile(r"(?:home|Users)-(?!Shared\b)[^\s/\\\"'<>|:;,*?`-]{1,64}(?=-|[/\\\"'\s]|\Z)")
_FOLDED_BEFORE = re.compile(r"(?:[/\\\"'=`( :\t\n]|\A)-\Z")


def homes(source: SearchedText) -> Iterator[Span]:
    """Home directories with the user's name: Unix, Windows, and joined into one name as Claude Code does."""
    text = source.text
    for keyword in (b"home", b"users"):
        for at in source.positions(keyword):
            after = text[at + len(keyword) : at + len(keyword) + 1]
            if after == "/" and _BEFORE_HOME.search(text, max(0, at - 9), at) and (found := _HOME.match(text, at)):
                yield at - 1, found.end()
            elif after == "-" and _FOLDED_BEFORE.search(text, max(0, at - 2), at):
                folded = _FOLDED_HOME.match(text, at)
                if folded:
                    yield at - 1, folded.end()
            drive = _DRIVE.search(text, max(0, at - 7), at) if after in ("/", "\\") else None
            if drive and (found := _WINDOWS_HOME.match(text, at)):
                yield drive.start(), found.end()
    for at in source.positions(b"/root"):
        if _BEFORE_HOME.search(text, max(0, at - 8), at + 1) and (found := _ROOT.match(text, at)):
            yield found.span()
