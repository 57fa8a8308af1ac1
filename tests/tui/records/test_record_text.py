"""What a record is about, and why it was refused, in few words."""

import asyncpg
import msgspec
import pytest

from acode_tui.storage.postgres.errors import translate_to_fault
from acode_tui.tui.records.record_text import MAX_PAYLOAD_CHARS, entity_label, payload_text, short_refusal


def raw(**fields: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(fields))


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (raw(taskDescription="Roll it out", state="Executing"), "Roll it out"),
        (raw(title="Analyse", order=0), "Analyse"),
        (raw(name="core.dump", size=22), "core.dump"),
        (raw(toolName="bash", parameters={"name": "not this"}), "bash"),
        (raw(fromState="Created", toState="Planning"), "to Planning"),
        (raw(order=1), "0190d6a1"),
        (raw(title=7), "0190d6a1"),
        (msgspec.Raw(b"[]"), "0190d6a1"),
    ],
)
def test_a_record_is_told_by_the_name_in_its_payload_and_else_by_its_id(payload: msgspec.Raw, told: str) -> None:
    assert entity_label("tool_call", "0190d6a1", payload) == f"tool call {told}"


def test_a_refusal_begins_with_what_differs_from_the_next_one() -> None:
    sentence = translate_to_fault(asyncpg.InvalidParameterValueError("core dumps are not kept here")).sentence
    assert short_refusal(sentence) == "22023: core dumps are not kept here"
    assert short_refusal("the payload is no JSON") == "the payload is no JSON"


def test_of_a_huge_payload_the_beginning_is_shown() -> None:
    assert payload_text(raw(a=1)).plain == '{\n  "a": 1\n}'
    shown = payload_text(raw(a="x" * 3 * MAX_PAYLOAD_CHARS)).plain
    assert len(shown) < MAX_PAYLOAD_CHARS + 100
    assert shown.endswith("more characters")
