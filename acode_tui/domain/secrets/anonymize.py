"""Makes text safe to publish: hides secrets of known shapes and what identifies a person or a machine.

Stricter than redaction, which keeps text meaningful: every address, every path and every known name is replaced, and it
may replace too much. Pure: known names, paths and secrets are arguments.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from acode_tui.domain.secrets.known import Secret, redact
from acode_tui.domain.secrets.redactor import Redactor

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s\"'<>`]+")
_UNDER_HOME = re.compile(r"~[\w.-]*/[^\s\"'`,;)]*")
_SERVER = re.compile(
    r"(?:\[[0-9A-Fa-f:.%]+\]|(?<![\w.-])(?!\d{4}-\d\d-\d\dT)(?=[\w.-]*[A-Za-z])[\w.-]+):\d{2,7}\b(?:/[^\s\"',;)]*)?"
)
_IPV4 = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b(?::\d{1,5}\b)?(?:/[^\s\"',;)]*)?")
_IPV6 = re.compile(
    r"(?<![\w:])(?=[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:)(?!\d\d:\d\d:\d\d)[0-9A-Fa-f:.]{3,45}(?:%\w+)?(?![\w:])"
)
_PATH = re.compile(r"(?<![\w.<>~/])/(?:[^\s\"'`,;:)/]+/)*[^\s\"'`,;:)/]+/?")
_IN_WORKSPACE = re.compile(r"(<workspace>)/(?!\.agent\b)[^\s\"'`,;)]*")
_OWN_CODE = re.compile(r".*/(?=(?:acode_tui|site-packages|python3\.\d+)/)")
_ALONE = r"(?<![A-Za-z0-9]){}(?![A-Za-z0-9])"


class Anonymizer:
    """``paths`` and ``names`` map each value to its replacement; ``homes`` are home directories."""

    def __init__(
        self,
        *,
        names: Mapping[str, str],
        paths: Mapping[str, str],
        homes: Iterable[str] = (),
        secrets: Iterable[Secret | str] = (),
    ) -> None:
        self._paths = sorted(
            ((path, replacement) for path, replacement in paths.items() if len(path) > 1), key=_longest_first
        )
        self._names = [
            (re.compile(_ALONE.format(re.escape(name)), re.IGNORECASE), replacement)
            for name, replacement in sorted(names.items(), key=_longest_first)
            if len(name) > 1
        ]
        self._secrets = tuple(secrets)
        self._redactor = Redactor(homes=homes)

    def text(self, value: str) -> str:
        """The text with every identifying part replaced."""
        value = redact(value, self._secrets)
        for path, replacement in self._paths:
            value = re.sub(re.escape(path) + r"(?![\w.-])", replacement, value)
        value = _URL.sub("<url>", value)
        value = self._redactor.text(value)
        value = _UNDER_HOME.sub("<home>", value)
        for pattern, replacement in ((_SERVER, "<server>"), (_IPV4, "<address>"), (_IPV6, "<address>")):
            value = pattern.sub(replacement, value)
        for name, replacement in self._names:
            value = name.sub(replacement, value)
        return _PATH.sub(_replaced_path, _IN_WORKSPACE.sub(r"\1", value))

    def json(self, value: Any) -> Any:
        """A JSON value with every string anonymized, except keys, which are the program's own."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.json(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.json(item) for item in value]
        return value


def _longest_first(item: tuple[str, str]) -> int:
    return -len(item[0])


def _replaced_path(found: re.Match[str]) -> str:
    """Paths of a traceback keep the part inside this program or a library; every other path is replaced."""
    own = _OWN_CODE.match(found.group())
    return found.group()[own.end() :] if own else "<path>"
