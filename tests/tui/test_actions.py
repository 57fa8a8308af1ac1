"""Actions of keys that run as jobs, and errors of jobs and workers."""

import asyncio
from typing import Any

from acode_tui.domain.errors import TransactionError
from tests.tui.driving import main_screen, over, sessions, shown, toasts, until, until_listed
from tests.tui.fake import FakeWorkspace


async def test_pause_and_resume_are_one_key(fake_online: FakeWorkspace) -> None:
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("p")
        await until(pilot, lambda: fake_online.sync.paused == 1 and "paused" in shown(pilot))
        await pilot.press("p")
        await until(pilot, lambda: fake_online.sync.resumed == 1)


async def test_sync_now_reports_what_it_did(fake_online: FakeWorkspace) -> None:
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("s")
        await until(pilot, lambda: ("sync", "47 sent, 0 remain") in toasts(pilot))


async def test_an_error_is_a_toast_with_its_code_and_without_markup(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36), notifications=True) as pilot:
        await until_listed(pilot)
        await pilot.press("s")
        await until(pilot, lambda: toasts(pilot))
        assert toasts(pilot) == [("ACODE-DB-005", "sync is off [/foo]\nenable persistence.postgres")]
        await until(pilot, lambda: "sync is off [/foo]" in shown(pilot))
        assert pilot.app.is_running


async def test_a_failing_read_is_reported_once_and_reading_continues(fake: FakeWorkspace) -> None:
    working = fake.data_version

    async def failing() -> int:
        raise TransactionError("the disk is gone")

    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        fake.data_version = failing  # type: ignore[method-assign]
        await until(pilot, lambda: toasts(pilot))
        for _ in range(30):
            await pilot.pause(0.02)
        assert len(toasts(pilot)) == 1
        fake.data_version = working  # type: ignore[method-assign]
        fake.store.sessions = fake.store.sessions[:3]
        await until(pilot, lambda: main_screen(pilot).browser.pages.total == 3)


async def test_an_unexpected_error_in_a_worker_does_not_end_the_dashboard(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)

        async def broken(*_: object, **__: object) -> None:
            raise RuntimeError("unforeseen [/this]")

        fake.store.list = broken  # type: ignore[assignment]
        fake.version += 1
        await until(pilot, lambda: toasts(pilot))
        assert toasts(pilot)[0] == ("RuntimeError", "unforeseen [/this]")
        assert pilot.app.is_running


async def test_pausing_without_sync_says_how_to_enable_it_in_one_toast(
    fake: FakeWorkspace,
) -> None:
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        await pilot.press("p", "p", "p")
        await until(pilot, lambda: toasts(pilot))
        assert [title for title, _ in toasts(pilot)] == ["pause"]
        assert "config set persistence.postgres.enabled true" in toasts(pilot)[0][1]
        assert (fake.sync.paused, fake.sync.resumed) == (0, 0)


async def test_an_unexpected_error_in_a_job_is_shown_and_does_not_end_the_dashboard(fake: FakeWorkspace) -> None:
    async def defect() -> None:
        await asyncio.sleep(0)
        raise RuntimeError("unforeseen [/this]")

    app = over(fake)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        assert app.start_job("import", defect)
        await until(pilot, lambda: ("RuntimeError", "unforeseen [/this]") in toasts(pilot))
        run = app.jobs.run_of("import")
        assert run is not None
        assert run.ended
        assert app.is_running


async def test_a_screen_whose_read_fails_shows_the_error_and_tries_again(fake_online: FakeWorkspace) -> None:
    fake = fake_online
    working = {"graph": fake.store.get_with_hierarchy, "records": fake.outbox.list}

    async def locked(*_: object, **__: object) -> Any:
        raise TransactionError("the disk is gone [/red]", hint="plug it in")

    fake.store.get_with_hierarchy = locked  # type: ignore[method-assign]
    fake.outbox.list = locked  # type: ignore[method-assign]
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "could not be read" in shown(pilot) and "✗ the disk is gone [/red]" in shown(pilot))
        assert "plug it in" in shown(pilot)
        fake.store.get_with_hierarchy = working["graph"]  # type: ignore[method-assign, assignment]
        await until(pilot, lambda: "Add input validation" in shown(pilot))
        await pilot.press("escape", "r")
        await until(pilot, lambda: "could not be read" in shown(pilot) and "ACODE-DB-002" in shown(pilot))
        fake.outbox.list = working["records"]  # type: ignore[method-assign, assignment]
        await until(pilot, lambda: "1 dead letter" in shown(pilot).splitlines()[0])


async def test_a_toast_says_how_often_it_came_and_is_not_over_the_cursor(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(80, 24), notifications=True) as pilot:
        await until_listed(pilot)
        for _ in range(3):
            pilot.app.notify("sync is off", title="pause")
            await pilot.pause()
        pilot.app.notify("another", title="sync")
        await until(pilot, lambda: len(toasts(pilot)) == 2)
        assert sorted(toasts(pilot)) == [("pause", "sync is off (3 times)"), ("sync", "another")]
        await until(pilot, lambda: "sync is off (3 times)" in shown(pilot).split("\n", 12)[-1])
        sessions(pilot).move_cursor(row=14)
        pilot.app.notify("below", title="sync")
        await until(pilot, lambda: "sync is off (3 times)" in "\n".join(shown(pilot).split("\n")[:14]))
