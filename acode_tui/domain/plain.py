"""Values of classes derived from plain ones, as JSON encoders take them.

Libraries hand out strings and numbers of classes of their own (marked-up text, an array's element). They are what they
are derived from, and are stored as that, whatever their own ``__str__`` says.
"""

from typing import Any


def plain_scalar(value: Any) -> Any:
    """The string or number that a derived one is: an encoder's hook. Raises TypeError for anything else."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    raise TypeError(f"a {type(value).__name__} is no JSON")
