"""Validation of a session filter, on both tiers, before a statement is made of it.

What would otherwise be an error of a driver or of a look-up is a ValidationError that names the parameter.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, get_args

import msgspec

from acode_tui.domain.clock import require_utc
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.states import SessionState
from acode_tui.storage.cursors import SortKey
from acode_tui.storage.ports import SessionFilter

_EVERYTHING = SessionFilter()
_ORDERS = get_args(SortKey)


def require_filter(given: Any) -> SessionFilter:
    """The filter with its states as members, which may be given by name. None stands for every session.

    Raises ValidationError.
    """
    if given is None:
        return _EVERYTHING
    if not isinstance(given, SessionFilter):
        raise ValidationError("filter", f"must be a SessionFilter, not {type(given).__name__}")
    for name in ("text", "user", "workspace", "parent"):
        value = getattr(given, name)
        if value is not None and not isinstance(value, str):
            raise ValidationError(name, f"must be a string or None, not {type(value).__name__}")
    for name in ("since", "until"):
        moment = getattr(given, name)
        if moment is not None:
            if not isinstance(moment, datetime):
                raise ValidationError(name, f"must be a datetime or None, not {type(moment).__name__}")
            require_utc(moment, name)
    if not isinstance(given.folded, bool):
        raise ValidationError("folded", f"must be true or false, not {type(given.folded).__name__}")
    if given.parent is not None and given.text is not None and given.text.strip():
        raise ValidationError("parent", "cannot be given together with a text")
    if given.sort not in _ORDERS:
        raise ValidationError("sort", f"must be one of {', '.join(_ORDERS)}")
    states = _states(given.states)
    return given if states == given.states else msgspec.structs.replace(given, states=states)


def _states(given: Any) -> tuple[SessionState, ...]:
    if given is None:
        return ()
    # A single name is a sequence of letters.
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValidationError("states", "must be a sequence of states")
    try:
        return tuple(SessionState(state) for state in given)
    except ValueError:
        raise ValidationError("states", f"must be of {', '.join(SessionState)}") from None


# Ranges, not a pattern: compiling a pattern of so many characters takes longer than opening the workspace file.
_UNSPACED = (
    *(("\u0e00", "\u0eff"), ("\u1000", "\u109f"), ("\u1780", "\u17ff")),  # Thai, Lao, Burmese, Khmer
    *(("\u3040", "\u30ff"), ("\u31f0", "\u31ff"), ("\uff66", "\uff9f")),  # Japanese syllables
    *(("\u3400", "\u4dbf"), ("\u4e00", "\u9fff"), ("\uf900", "\ufaff"), ("\U00020000", "\U0003ffff")),  # Chinese
)


def is_unspaced(word: str) -> bool:
    """Whether a word has letters of a script that is written without spaces."""
    return not word.isascii() and any(first <= char <= last for char in word for first, last in _UNSPACED)
