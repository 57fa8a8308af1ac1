"""The comparison of both versions of a conflict. Pure."""

import msgspec

from acode_tui.tui.records.compare import compare, side_by_side


def test_fields_that_differ_come_first() -> None:
    local = msgspec.Raw(b'{"id":"1","name":"a","order":1,"gone":2}')
    remote = msgspec.Raw(b'{"id":"1","name":"b","order":1,"new":3}')
    fields = compare(local, remote)
    assert [(field.name, field.local, field.remote) for field in fields] == [
        ("name", "a", "b"),
        ("gone", "2", None),
        ("new", None, "3"),
        ("order", "1", "1"),
    ]
    assert "(absent)" in side_by_side(fields, 80).plain


def test_the_order_of_keys_is_no_difference_and_equal_lines_are_next_to_each_other() -> None:
    local = msgspec.Raw(b'{"metadata": {"b": 1, "a": [1], "only": "here"}, "name": "x"}')
    remote = msgspec.Raw(b'{"name": "x", "metadata": {"a": [1], "b": 1}}')
    assert [field.name for field in compare(local, remote) if not field.is_equal] == ["metadata"]
    same_order = msgspec.Raw(b'{"metadata": {"only": "here", "a": [1], "b": 1}, "name": "x"}')
    assert all(field.is_equal for field in compare(local, same_order))
    shown = side_by_side(compare(local, remote), 80).plain.splitlines()
    assert [row.split() for row in shown if '"a": [' in row] == [['"a":', "[", '"a":', "["]]
    assert [row.split()[-1] for row in shown if "only" in row] == ["│"]


def test_control_characters_in_a_field_name_are_shown_by_name() -> None:
    version = msgspec.Raw(msgspec.json.encode({"\x1b[31m\u202e" + "字" * 20: 1}))
    shown = side_by_side(compare(version, version), 60).plain
    assert "\x1b" not in shown
    assert "\u202e" not in shown
