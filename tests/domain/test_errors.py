"""Every error has a stable code, a hint and a flag that says whether a retry may succeed."""

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


def test_only_a_subclass_shares_the_code_of_another_error() -> None:
    codes = [each.code for each in _all() if "code" in vars(each)]
    assert len(set(codes)) == len(codes)


def test_an_error_prints_code_message_and_hint() -> None:
    assert str(errors.TransactionError("the disk is full")) == (
        "ACODE-DB-002: the disk is full; nothing was written; try again"
    )
    assert str(errors.TransactionError("x", hint="")) == "ACODE-DB-002: x"


def test_the_retryable_errors_are_these() -> None:
    assert {each.__name__ for each in _all() if each.retryable} == {
        "DatabaseConnectionError",
        "DiskFullError",
        "TransactionError",
        "SyncError",
    }


def test_errors_are_subclasses_of_pythons_own() -> None:
    assert issubclass(errors.ValidationError, ValueError)
    assert issubclass(errors.NotFoundError, LookupError)
    assert issubclass(errors.AmbiguousIdError, LookupError)
