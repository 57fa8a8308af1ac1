"""Random keys, clicks and sizes over hostile data: no unexpected error, no markup, no escape on the screen."""

import os
import re
from pathlib import Path
from random import Random

import pytest
from textual.pilot import OutOfBounds, Pilot

from acode_tui.domain.errors import AcodeError
from acode_tui.tui import bindings
from tests.tui.driving import over, shown, until
from tests.tui.hostile import hostile

SIZES = ((80, 24), (120, 36), (200, 60), (40, 10))
HIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b]")
"""Characters that no screen may contain: the terminal would interpret them."""
LEAVING = {"q", "ctrl+q", "ctrl+c"}
KEYS = sorted(
    {
        key
        for table in vars(bindings).values()
        if isinstance(table, list)
        for binding in table
        for key in binding.key.split(",")
    }
    - LEAVING
)
OFTEN = ("enter", "enter", "escape", "down", "j", "j", "k", "tab", "right_square_bracket", "a", "0", "space")


async def mash(pilot: Pilot[int], random: Random, steps: int) -> list[str]:
    """Press keys, click and resize; returns the list of what was done."""
    done: list[str] = []
    for _ in range(steps):
        chance = random.random()
        if chance < 0.03:
            size = random.choice(SIZES)
            done.append(f"resize {size}")
            await pilot.resize_terminal(*size)
        elif chance < 0.08:
            width, height = pilot.app.size
            offset = (random.randrange(width), random.randrange(height))
            done.append(f"click {offset}")
            try:
                await pilot.click(offset=offset)
            except OutOfBounds:
                done.append("out of bounds")
        else:
            key = random.choice(KEYS if random.random() < 0.6 else OFTEN)
            done.append(key)
            await pilot.press(key)
        assert not HIDDEN.search(shown(pilot)), done[-30:]
    return done


async def mashed(root: Path, monkeypatch: pytest.MonkeyPatch, seed: int, steps: int) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(root / "home"))
    random = Random(seed)
    app = over(hostile(root, random))
    unexpected: list[BaseException] = []
    report = app.report

    def recording(error: BaseException) -> None:
        if not isinstance(error, AcodeError):
            unexpected.append(error)
        report(error)

    app.report = recording  # type: ignore[method-assign]
    app.jobs._report = recording
    done: list[str] = []
    try:
        async with app.run_test(size=(120, 36), notifications=True) as pilot:
            await until(pilot, lambda: "schema" in shown(pilot))
            done = await mash(pilot, random, steps)
            assert app.is_running
    except BaseException:
        print(f"seed {seed}, after {done[-40:]}")
        raise
    assert unexpected == [], f"seed {seed}, after {done[-40:]}"


@pytest.mark.ac("AC-059")
async def test_random_keys_over_hostile_data_raise_no_unexpected_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mashed(tmp_path, monkeypatch, seed=20260314, steps=60)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("round_", range(10))
async def test_thousands_of_random_keys_raise_no_unexpected_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, round_: int
) -> None:
    seed = int(os.environ.get("ACODE_TEST_SEED", Random().randrange(2**32))) + round_
    print(f"ACODE_TEST_SEED={seed - round_}, round {round_}")
    await mashed(tmp_path, monkeypatch, seed=seed, steps=500)
