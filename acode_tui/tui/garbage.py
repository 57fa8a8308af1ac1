"""Garbage collection that no key waits for.

A full collection goes through every object: 25 ms once all screens are loaded, a tenth of a second with a run of 20,000
steps. So only young objects are collected by themselves, and all of them while the user does nothing.
"""

import gc

IDLE_SECONDS = 3.0
"""How long the user has done nothing when all objects are collected."""

_YOUNG, _MIDDLE, _NEVER = 1_000, 5, 1_000_000
"""New objects before the young are collected; such collections before the next generation is; and before all are. With
fifteen in place of five the next generation has 30,000 objects, and takes up to 15 ms.
"""

_ENOUGH = 20
"""Collections of the second generation, each of some thousand objects that stay, after which all are due."""


def keep_present_objects() -> None:
    """Exclude the objects that exist from every collection, such as the program's modules, and collect young ones from
    now on.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
    gc.enable()


def collect_if_due(idle_seconds: float) -> None:
    """Collect all objects if the user has done nothing for a while and enough were made since the last time."""
    _, _, survived = gc.get_count()
    if idle_seconds >= IDLE_SECONDS and survived >= _ENOUGH:
        gc.collect()
