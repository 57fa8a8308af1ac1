"""The migration dialog."""

from acode_tui.domain.errors import DatabaseConnectionError, TransactionError
from acode_tui.storage.ports import TierMigrations
from tests.tui.driving import over, shown, syncing, toasts, until, until_listed
from tests.tui.fake import FakeWorkspace


async def test_a_migration_stops_if_the_backup_before_it_fails(fake: FakeWorkspace) -> None:
    fake.settings = syncing()
    fake.remote_plan = TierMigrations(tier="postgres", from_version="1.1.0", to_version="1.2.0", pending=("1.2.0",))
    fake.refuses = TransactionError("there is no room [/red]", hint="free some space")
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("m")
        await until(pilot, lambda: "First a backup" in shown(pilot) and ".agent/backups/" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: "✗ there is no room [/red]" in shown(pilot) and "free some space" in shown(pilot))
        assert "ACODE-DB-002" in shown(pilot)
        assert fake.remote_plan.pending == ("1.2.0",)


async def test_the_migration_dialog_shows_both_tiers_and_the_applied_migrations(fake: FakeWorkspace) -> None:
    fake.settings = syncing()
    fake.remote_plan = TierMigrations(
        tier="postgres", from_version="1.0.0", to_version="1.2.0", pending=("1.1.0", "1.2.0")
    )
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("m")
        await until(pilot, lambda: "due: 1.2.0" in shown(pilot))
        assert "sqlite    1.2.0 ✓" in shown(pilot)
        assert "postgres  1.0.0 → 1.2.0" in shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "postgres: 1.1.0, 1.2.0 applied" in shown(pilot))
        assert toasts(pilot) == []
        await pilot.press("escape", "m")
        await until(pilot, lambda: "Nothing is due" in shown(pilot))
        assert "postgres  1.2.0 ✓" in shown(pilot)


async def test_the_plan_of_an_unreachable_server_shows_the_error_and_the_hint(fake: FakeWorkspace) -> None:
    fake.settings = syncing()
    fake.remote_plan = DatabaseConnectionError("db.example.org:5432/runs refuses [/red]", hint="is it running?")
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("m")
        await until(pilot, lambda: "✗ db.example.org:5432/runs refuses [/red]" in shown(pilot))
        assert "is it running?" in shown(pilot)
        assert "sqlite    1.2.0 ✓" in shown(pilot)
        await pilot.press("enter")
        await pilot.pause()
        assert toasts(pilot) == []


async def test_the_plan_without_postgres_says_how_to_enable_it(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("m")
        await until(pilot, lambda: "off; persistence.postgres.enabled turns it on" in shown(pilot))
        assert "Nothing is due" in shown(pilot)
