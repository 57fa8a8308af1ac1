"""The composition root's parts implement the ports; the type checker decides."""

from acode_tui.storage.ports import ConflictLog, Outbox, RunStateReader, RunStateStore, TranscriptLog
from acode_tui.storage.postgres.run_state_reader import PostgresRunStateReader
from acode_tui.storage.postgres.run_state_store import PostgresRunStateStore
from acode_tui.sync.ports import SyncService
from acode_tui.workspace import Workspace


async def test_the_workspace_consists_of_implementations_of_its_ports(workspace: Workspace) -> None:
    store: RunStateStore = workspace.store
    outbox: Outbox = workspace.outbox
    conflicts: ConflictLog = workspace.conflicts
    transcripts: TranscriptLog = workspace.transcripts
    sync: SyncService = workspace.sync
    team: type[RunStateReader] = PostgresRunStateReader
    direct: type[RunStateStore] = PostgresRunStateStore
    assert await store.count() == 0
    assert await outbox.pending_count() == 0
    assert (await conflicts.counts()).total == 0
    assert await transcripts.known() == {}
    assert not sync.is_running
    assert callable(team)
    assert callable(direct)
