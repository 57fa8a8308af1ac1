"""The circuit: a target that fails is tried at growing intervals, one that works again is used at once."""

from datetime import timedelta

from acode_tui.storage.delivery_protocol import Fault, FaultKind
from acode_tui.sync.state import Circuit
from tests.sync.fake_time import NOON

UNREACHABLE = Fault(kind=FaultKind.UNREACHABLE, sentence="gone")
REFUSED = Fault(kind=FaultKind.SERVER, sqlstate="28P01", sentence="wrong password")


def probe_seconds(circuit: Circuit, fault: Fault = UNREACHABLE) -> float:
    circuit.trip(fault, now=NOON, interval_seconds=30)
    assert circuit.probe_at is not None
    return (circuit.probe_at - NOON).total_seconds()


def test_each_failure_doubles_the_wait_up_to_the_interval() -> None:
    circuit = Circuit(lambda: 1.0)
    assert [probe_seconds(circuit) for _ in range(5)] == [5, 10, 20, 30, 30]


def test_a_success_resets_the_wait() -> None:
    circuit = Circuit(lambda: 1.0)
    probe_seconds(circuit)
    probe_seconds(circuit)
    circuit.close()
    assert circuit.may_try(NOON)
    assert probe_seconds(circuit) == 5
    assert not circuit.may_try(NOON + timedelta(seconds=4))
    assert circuit.may_try(NOON + timedelta(seconds=5))


def test_a_fault_that_does_not_heal_is_not_probed() -> None:
    circuit = Circuit(lambda: 1.0)
    circuit.trip(REFUSED, now=NOON, interval_seconds=30)
    assert circuit.probe_at is None
    assert not circuit.may_try(NOON + timedelta(days=1))
