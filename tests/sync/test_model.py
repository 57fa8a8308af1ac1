"""The replicas' invariant in thousands of histories: the program's own rules and SQL, a server in memory."""

import copy
import json
from datetime import timedelta

import pytest
from hypothesis import example, given, settings

from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite.rows import to_row
from tests.sync.histories import FIELD, QUIET, REPLICAS, Edit, EditLog, Skew, Step, Sync, histories
from tests.sync.model import ModelReplica, ModelServer, copy_of, first_replica

TASK = EntityType.SESSION_TASK
_SERVER = ModelServer()
_FIRST = first_replica()
ModelReplica(0, _FIRST, EditLog()).sync(_SERVER, Sync(0))
"""The start of every history: a synced workspace, of which each replica is a copy."""


def play(history: list[Step]) -> None:
    edit_log, server = EditLog(), copy.deepcopy(_SERVER)
    replicas = [ModelReplica(number, copy_of(_FIRST), edit_log) for number in range(REPLICAS)]
    for replica in replicas:
        replica.cursor = server.change_seq
    try:
        for step in history + QUIET:
            replica = replicas[step.replica]
            match step:
                case Edit(_, kind):
                    replica.now += timedelta(seconds=1)
                    replica.edit(kind)
                case Sync():
                    replica.sync(server, step)
                case Skew(_, seconds):
                    replica.now += timedelta(seconds=seconds)
        for replica in replicas:
            assert replica.rows().keys() == server.rows.keys()
            for key, row in replica.rows().items():
                assert to_row(row) == to_row(server.rows[key])
        final = {kind: getattr(row, FIELD[kind]) for (kind, _), row in server.rows.items() if kind in FIELD}
        kept = {
            json.loads(bytes(payload))[{"session": "taskDescription", "session_task": "title"}[found.entity_type]]
            for found in server.conflicts
            for payload in (found.local_payload, found.remote_payload)
        }
        edit_log.verify(final, kept)
    finally:
        for replica in replicas:
            replica.connection.close()


@pytest.mark.ac("AC-049")
@settings(max_examples=100, deadline=None)
@given(history=histories)
@example(history=[Edit(0, TASK), Sync(0, crash=True), Sync(0, edit=TASK)])
@example(
    history=[Edit(0, TASK), Skew(1, 1800), Edit(1, TASK), Sync(1), Sync(0, edit=TASK), Skew(0, 3600), Edit(0, TASK)]
)
@example(history=[Edit(0, TASK), Sync(0, crash=True), Sync(1), Edit(1, TASK), Sync(1), Sync(0, edit=TASK)])
def test_model_replicas_converge(history: list[Step]) -> None:
    play(history)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(max_examples=20_000, deadline=None, derandomize=False)
@given(history=histories)
def test_model_replicas_converge_in_twenty_thousand_histories(history: list[Step]) -> None:
    play(history)
