"""Short texts about records: labels, errors, payloads. Pure."""

import asyncpg
import msgspec
import pytest

from acode_tui.storage.postgres.errors import translate_to_fault
from acode_tui.tui.records.record_text import MAX_PAYLOAD_CHARS, entity_label, payload_text, short_refusal


def raw(**fields: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(fields))


@pytest.mark.parametrize(
    ("payload", "label"),
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
def test_the_label_of_a_record_is_the_name_in_its_payload_or_its_id(payload: msgspec.Raw, label: str) -> None:
    assert entity_label("tool_call", "0190d6a1", payload) == f"tool call {label}"


def test_a_short_refusal_begins_with_the_sqlstate() -> None:
    sentence = translate_to_fault(asyncpg.InvalidParameterValueError("core dumps are not kept here")).sentence
    assert short_refusal(sentence) == "22023: core dumps are not kept here"
    assert short_refusal("the payload is no JSON") == "the payload is no JSON"


def test_a_huge_payload_is_truncated() -> None:
    assert payload_text(raw(a=1)).plain == '{\n  "a": 1\n}'
    shown = payload_text(raw(a="x" * 3 * MAX_PAYLOAD_CHARS)).plain
    assert len(shown) < MAX_PAYLOAD_CHARS + 100
    assert shown.endswith("more characters")
