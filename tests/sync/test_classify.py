"""Which faults are the target's and cost no attempt, and which are the record's."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.storage.delivery_protocol import Fault, FaultKind
from acode_tui.sync.classify import Verdict, classify, heals_itself, is_record, state_of
from acode_tui.sync.ports import SyncState


def server(sqlstate: str) -> Fault:
    return Fault(kind=FaultKind.SERVER, sqlstate=sqlstate, sentence="")


@pytest.mark.parametrize(
    ("sqlstate", "verdict"),
    [
        ("40001", Verdict.RETRY_NOW),
        ("40P01", Verdict.RETRY_NOW),
        ("55P03", Verdict.RETRY_NOW),
        ("26000", Verdict.RETRY_NOW),
        ("08006", Verdict.OFFLINE),
        ("25P03", Verdict.OFFLINE),
        ("3D000", Verdict.OFFLINE),
        ("53100", Verdict.OFFLINE),
        ("53200", Verdict.OFFLINE),
        ("53300", Verdict.OFFLINE),
        ("57014", Verdict.TOO_SLOW),
        ("57P01", Verdict.OFFLINE),
        ("57P02", Verdict.OFFLINE),
        ("57P03", Verdict.OFFLINE),
        ("58030", Verdict.OFFLINE),
        ("28000", Verdict.AUTH_FAILED),
        ("28P01", Verdict.AUTH_FAILED),
        ("42501", Verdict.AUTH_FAILED),
        ("42P01", Verdict.SCHEMA_MISMATCH),
        ("42703", Verdict.SCHEMA_MISMATCH),
        ("42P10", Verdict.SCHEMA_MISMATCH),
        ("3F000", Verdict.SCHEMA_MISMATCH),
        ("25006", Verdict.READ_ONLY),
        ("22021", Verdict.RECORD_DEAD),
        ("22P02", Verdict.RECORD_DEAD),
        ("22P05", Verdict.RECORD_DEAD),
        ("54000", Verdict.RECORD_DEAD),
        ("23502", Verdict.RECORD),
        ("23503", Verdict.RECORD),
        ("23505", Verdict.RECORD),
        ("23514", Verdict.RECORD),
        ("44000", Verdict.RECORD),
        ("P0001", Verdict.RECORD),
        ("XX000", Verdict.RECORD),
    ],
)
def test_every_known_sqlstate_has_its_verdict(sqlstate: str, verdict: Verdict) -> None:
    assert classify(server(sqlstate)) is verdict


@pytest.mark.ac("AC-035")
@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        (FaultKind.UNKNOWN_HOST, Verdict.OFFLINE),
        (FaultKind.REFUSED, Verdict.OFFLINE),
        (FaultKind.UNREACHABLE, Verdict.OFFLINE),
        (FaultKind.TIMEOUT, Verdict.OFFLINE),
        (FaultKind.CONNECTION_LOST, Verdict.OFFLINE),
        (FaultKind.TLS, Verdict.UNTRUSTED),
        (FaultKind.PASSWORD_MISSING, Verdict.AUTH_FAILED),
        (FaultKind.ENCODING, Verdict.RECORD_DEAD),
        (FaultKind.ROW_SECURITY, Verdict.RECORD),
        (FaultKind.SCHEMA, Verdict.SCHEMA_MISMATCH),
        (FaultKind.SERVER_TOO_OLD, Verdict.SCHEMA_MISMATCH),
        (FaultKind.REMOTE_BEHIND, Verdict.REMOTE_BEHIND),
        (FaultKind.CONTENDED, Verdict.RETRY_NOW),
    ],
)
def test_every_kind_has_its_verdict(kind: FaultKind, verdict: Verdict) -> None:
    assert classify(Fault(kind=kind, sentence="")) is verdict


def test_every_kind_has_a_verdict_at_all() -> None:
    for kind in FaultKind:
        assert classify(Fault(kind=kind, sentence="")) in Verdict


@given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=5, max_size=5))
def test_every_possible_sqlstate_has_exactly_one_consequence(sqlstate: str) -> None:
    verdict = classify(server(sqlstate))
    assert is_record(verdict) + (state_of(verdict) is not None) + (verdict is Verdict.RETRY_NOW) == 1


def test_an_unknown_sqlstate_counts_an_attempt_of_the_record_and_does_not_block_the_outbox() -> None:
    assert classify(server("ZZ999")) is Verdict.RECORD
    assert classify(Fault(kind=FaultKind.SERVER, sentence="")) is Verdict.RECORD


@given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=5, max_size=5))
def test_before_a_batch_was_looked_at_no_fault_is_a_records(sqlstate: str) -> None:
    fault = Fault(kind=FaultKind.SERVER, sqlstate=sqlstate, sentence="", before_batch=True)
    assert not is_record(classify(fault))
    if is_record(classify(server(sqlstate))):
        assert classify(fault) is Verdict.OFFLINE


def test_an_untrusted_connection_is_shown_as_a_refused_login_and_heals_by_itself() -> None:
    assert state_of(Verdict.UNTRUSTED) is SyncState.AUTH_FAILED
    assert heals_itself(Verdict.UNTRUSTED)


def test_a_refused_login_does_not_heal_by_itself() -> None:
    assert not heals_itself(Verdict.AUTH_FAILED)
    assert not heals_itself(Verdict.REMOTE_BEHIND)
    assert heals_itself(Verdict.OFFLINE)
    assert state_of(Verdict.AUTH_FAILED) is SyncState.AUTH_FAILED
    assert state_of(Verdict.RECORD) is None


def test_the_table_is_pure() -> None:
    code = "import sys, acode_tui.sync.classify; sys.exit('asyncpg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
