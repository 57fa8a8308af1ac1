"""What model calls cost: tokens of four kinds and money, added up for a step and for a run."""

import threading
from typing import Any

from acode_tui.domain.entities import Json
from acode_tui.recorder.values import title

_KINDS = ("input", "output", "cacheRead", "cacheWrite")


class Usage:
    """A sum of model calls. Safe to use from any thread.

    ``input`` counts the tokens that were neither read from a cache nor written to one, as imported runs do.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: list[str] = []
        self._tokens = dict.fromkeys(_KINDS, 0)
        self._cost: float | None = None

    def add(self, model: Any, tokens: tuple[Any, ...], cost: Any) -> None:
        """Add one call: tokens in the order input, output, cache read, cache write. What is no number counts as 0."""
        name = None if model is None else title(model)
        with self._lock:
            if name is not None and name not in self._models:
                self._models.append(name)
            for kind, count in zip(_KINDS, tokens, strict=True):
                self._tokens[kind] += _count(count)
            money = _money(cost)
            if money is not None:
                self._cost = (self._cost or 0.0) + money

    def go_on_from(self, metadata: Json | None) -> None:
        """Begin with the sums in a session's metadata, which ``of_run`` made."""
        known = metadata or {}
        models, tokens = known.get("models"), known.get("tokens")
        for model in models if isinstance(models, list) else ():
            self.add(model, (0, 0, 0, 0), None)
        counts = tokens if isinstance(tokens, dict) else {}
        self.add(None, tuple(counts.get(kind) for kind in _KINDS), known.get("cost"))

    def of_step(self) -> Json | None:
        """The keys of a step's metadata; None if nothing was added."""
        return self._facts(lambda models: {"model": models[-1]})

    def of_run(self) -> Json | None:
        """The keys of a session's metadata; None if nothing was added."""
        return self._facts(lambda models: {"models": models})

    def _facts(self, named: Any) -> Json | None:
        with self._lock:
            facts: Json = named(list(self._models)) if self._models else {}
            if any(self._tokens.values()):
                facts["tokens"] = dict(self._tokens)
            if self._cost is not None:
                facts["cost"] = self._cost
        return facts or None


def _count(value: Any) -> int:
    """A count of tokens that the store can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 2**53:
        return 0
    return int(value)


def _money(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e12:
        return None
    return float(value)
