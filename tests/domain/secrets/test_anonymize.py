"""Anonymized text is safe to publish."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.secrets.anonymize import Anonymizer

HIDDEN = Anonymizer(
    names={"hopper": "<user>", "enigma": "<host>"},
    paths={"/work/ships": "<workspace>"},
    homes=("/home/hopper",),
    secrets=("s3cr et",),
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("acode-tui db sync now", "acode-tui db sync now"),
        ("2026-11-23T05:08:11.377113Z", "2026-11-23T05:08:11.377113Z"),
        ("3.51.2", "3.51.2"),
        ("answers in 1.5 ms; idle/syncing", "answers in 1.5 ms; idle/syncing"),
        ("session:0190d6a1-7b2c-7def-8a3e-b4c5d6e7f890", "session:0190d6a1-7b2c-7def-8a3e-b4c5d6e7f890"),
        ("in /work/ships/.agent/workspace.db", "in <workspace>/.agent/workspace.db"),
        ("in /work/ships/src/plans.py", "in <workspace>"),
        ("in /work/shipsyard", "in <path>"),
        ("in /home/hopper/src/plans.py", "in <home>"),
        ("Hopper on enigma:4711", "<user> on <server>"),
        ("enigma's", "<host>'s"),
        ("enigmatic", "enigmatic"),
        ("pg.example:5432/ships away", "<server> away"),
        ("10.1.2.3:5432/ships", "<address>"),
        ("[2001:db8::7]:5432/ships", "<server>"),
        ("from 2001:db8::7.", "from <address>"),
        ("see https://u:p@a.example/b?c=d", "see <url>"),
        ("s3cr%20et and s3cr et", "*** and ***"),
        ('File "/opt/x/lib/python3.11/asyncio/tasks.py"', 'File "python3.11/asyncio/tasks.py"'),
        ('File "/opt/x/acode_tui/cli/main.py", line 3', 'File "acode_tui/cli/main.py", line 3'),
    ],
)
def test_identifying_parts_are_replaced_and_the_rest_stays(text: str, shown: str) -> None:
    assert HIDDEN.text(text) == shown


@given(st.lists(st.sampled_from(["hopper", "enigma", "s3cr et", "/home/hopper/x", " ", "/", ":", "<", "9", "a", "@"])))
def test_known_names_never_survive_as_words(parts: list[str]) -> None:
    shown = HIDDEN.text(" ".join(parts))
    assert "s3cr et" not in shown
    assert "hopper" not in shown.replace("<", " ").split()
    assert "enigma" not in shown.split()
