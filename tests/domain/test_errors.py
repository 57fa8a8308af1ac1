"""One tree of errors: each has a stable code, says what to do, and says whether waiting helps."""

import pytest

from acode_tui.domain import errors

CODES = {
    "DatabaseConnectionError": "ACODE-DB-001",
    "TransactionError": "ACODE-DB-002",
    "MigrationError": "ACODE-DB-003",
    "SchemaMismatchError": "ACODE-DB-004",
    "SyncError": "ACODE-DB-005",
    "ConflictError": "ACODE-DB-006",
    "IntegrityError": "ACODE-DB-007",
    "TransitionError": "ACODE-SESSION-001",
}


def _all() -> list[type[errors.AcodeError]]:
    found = [errors.AcodeError]
    for each in found:
        found += [child for child in each.__subclasses__() if child.__module__ == errors.__name__]
    return found


@pytest.mark.parametrize(("name", "code"), CODES.items())
def test_codes_never_change(name: str, code: str) -> None:
    assert getattr(errors, name).code == code


def test_no_two_kinds_share_a_code_unless_one_is_a_case_of_the_other() -> None:
    codes = [each.code for each in _all() if "code" in vars(each)]
    assert len(set(codes)) == len(codes)


def test_an_error_reads_as_code_what_and_what_to_do() -> None:
    assert str(errors.TransactionError("the disk is full")) == (
        "ACODE-DB-002: the disk is full; nothing was written; try again"
    )
    assert str(errors.TransactionError("x", hint="")) == "ACODE-DB-002: x"


def test_only_what_waiting_may_heal_is_retryable() -> None:
    assert {each.__name__ for each in _all() if each.retryable} == {
        "DatabaseConnectionError",
        "DiskFullError",
        "TransactionError",
        "SyncError",
    }


def test_errors_can_be_caught_as_what_python_calls_them() -> None:
    assert issubclass(errors.ValidationError, ValueError)
    assert issubclass(errors.NotFoundError, LookupError)
    assert issubclass(errors.AmbiguousIdError, LookupError)
