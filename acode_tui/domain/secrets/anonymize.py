"""Makes text safe to publish: no secret, and nothing that tells who, where or whose.

Stricter than redaction, which leaves a text its sense: here every address, every path and every known name goes. It may
well take too much. Pure: what is known of the person and the machine comes in by argument.
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
    """``paths`` and ``names`` give what is to stand in their place; ``homes`` are home directories."""

    def __init__(
        self,
        *,
        names: Mapping[str, str],
        paths: Mapping[str, str],
        homes: Iterable[str] = (),
        secrets: Iterable[Secret | str] = (),
    ) -> None:
        self._paths = sorted(((path, shown) for path, shown in paths.items() if len(path) > 1), key=_longest)
        self._names = [
            (re.compile(_ALONE.format(re.escape(name)), re.IGNORECASE), shown)
            for name, shown in sorted(names.items(), key=_longest)
            if len(name) > 1
        ]
        self._secrets = tuple(secrets)
        self._redactor = Redactor(homes=homes)

    def text(self, value: str) -> str:
        """The text with nothing of that in it."""
        value = redact(value, self._secrets)
        for path, shown in self._paths:
            value = re.sub(re.escape(path) + r"(?![\w.-])", shown, value)
        value = _URL.sub("<url>", value)
        value = self._redactor.text(value)
        value = _UNDER_HOME.sub("<home>", value)
        for pattern, shown in ((_SERVER, "<server>"), (_IPV4, "<address>"), (_IPV6, "<address>")):
            value = pattern.sub(shown, value)
        for name, shown in self._names:
            value = name.sub(shown, value)
        return _PATH.sub(_shown_path, _IN_WORKSPACE.sub(r"\1", value))

    def json(self, value: Any) -> Any:
        """A JSON value with nothing of that in its texts; keys are this program's own."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.json(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.json(item) for item in value]
        return value


def _longest(item: tuple[str, str]) -> int:
    return -len(item[0])


def _shown_path(found: re.Match[str]) -> str:
    """Where a traceback points to is worth knowing, as far as it is no secret of the machine."""
    own = _OWN_CODE.match(found.group())
    return found.group()[own.end() :] if own else "<path>"
