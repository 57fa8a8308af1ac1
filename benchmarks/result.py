"""The result of a scenario: numbers with their floor and their target."""

from collections.abc import Callable

import msgspec


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One number. ``floor`` is what the same machine needs for the bare work, measured in the same run; ``ratio`` is
    the value divided by the floor; ``ok`` is whether the target was kept.
    """

    name: str
    value: float
    unit: str
    floor: float | None = None
    ratio: float | None = None
    target: str = ""
    ok: bool = True

    def beside(self, floor: float) -> "Measure":
        """The same number with a floor, for information; the target stays."""
        return msgspec.structs.replace(self, floor=floor, ratio=self.value / floor)


Scenario = Callable[[], list[Measure]]


def at_most(name: str, value: float, unit: str, bound: float) -> Measure:
    """A number that must stay within a bound."""
    return Measure(name=name, value=value, unit=unit, target=f"<= {bound:g} {unit}", ok=value <= bound)


def no_less(name: str, value: float, unit: str, bound: float) -> Measure:
    """A number that must reach a bound."""
    return Measure(name=name, value=value, unit=unit, target=f">= {bound:,g} {unit}", ok=value >= bound)


def within(name: str, value: float, unit: str, floor: float, times: float) -> Measure:
    """A cost that may be at most ``times`` its floor."""
    ratio = value / floor
    return Measure(
        name=name, value=value, unit=unit, floor=floor, ratio=ratio, target=f"<= {times:g} x floor", ok=ratio <= times
    )


def at_least(name: str, value: float, unit: str, floor: float, times: float) -> Measure:
    """A rate that must be at least ``times`` its floor."""
    ratio = value / floor
    return Measure(
        name=name, value=value, unit=unit, floor=floor, ratio=ratio, target=f">= {times:g} x floor", ok=ratio >= times
    )
