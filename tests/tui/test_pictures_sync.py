"""Pictures of refused records, conflicts, migrations, and confirmation dialogs."""

import asyncio

from syrupy.assertion import SnapshotAssertion

from acode_tui.domain.errors import DatabaseConnectionError
from acode_tui.storage.ports import TierMigrations
from acode_tui.sync.ports import SyncState, SyncStatus
from tests.tui.driving import over, syncing, until_listed
from tests.tui.fake import FakeWorkspace, holding, online, record
from tests.tui.pictures import RESTING, picturing

DUE = TierMigrations(tier="postgres", from_version="1.0.0", to_version="1.2.0", pending=("1.1.0", "1.2.0"))


async def test_refused_records_and_conflicts(snapshot: SnapshotAssertion) -> None:
    fake = online(FakeWorkspace(8))
    async with picturing(over(fake, settings=RESTING), snapshot) as pictures:
        await until_listed(pictures.pilot)
        await pictures.see("22P02", "r")
        await pictures.take("retries")
        await pictures.see("Discard this dead letter?", "d")
        await pictures.take("discard")
        await pictures.see("Run all the tests", "escape", "escape", "c")
        await pictures.take("conflicts")
        await pictures.see("Take the other version?", "o")
        await pictures.take("take the other")
        await pictures.see("sync", "escape", "escape")
        fake.outbox.records, fake.conflicts.conflicts = [], []
        await pictures.see("Nothing was refused", "r")
        await pictures.take("no retries")
        fake.outbox.records = [record(1)]
        fake.sync.figures = SyncStatus(
            state=SyncState.OFFLINE,
            reason="db.example.org:5432/runs refuses connections",
            hint="check that PostgreSQL is running there",
        )
        await pictures.changed("refuses connections")
        await pictures.take("retries while offline")
        await pictures.see("No two versions have met", "escape", "c")
        await pictures.take("no conflicts")


async def test_migrations(snapshot: SnapshotAssertion) -> None:
    fake, asked = online(FakeWorkspace(8)), asyncio.Event()
    fake.settings = syncing()
    fake.remote_plan = DUE
    plan = fake.migration_plan

    async def asking() -> tuple[TierMigrations, ...]:
        await asked.wait()
        return await plan()

    fake.migration_plan = asking  # type: ignore[method-assign]
    async with picturing(over(fake, settings=RESTING), snapshot) as pictures, holding(fake):
        await until_listed(pictures.pilot)
        await pictures.see("asking…", "m")
        await pictures.take("asking", loading=True)
        asked.set()
        await pictures.see("First a backup")
        await pictures.take("plan")
        await pictures.see("28%", "enter")
        await pictures.take("migrating")
        fake.backing_up.set()
        await pictures.see("1.1.0, 1.2.0 applied")
        await pictures.take("migrated")
        await pictures.see("Nothing is due", "escape", "m")
        await pictures.take("nothing due")
        fake.remote_plan = DatabaseConnectionError("db.example.org:5432 does not answer", hint="look at the network")
        await pictures.see("does not answer", "escape", "m")
        await pictures.take("server away")
