"""The search line: completion, saved queries, and why no run fits."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from textual.events import Key
from textual.pilot import Pilot

from acode_tui.storage.ports import SessionFilter, SessionPage
from acode_tui.tui.main.query_line import Choices, QueryLine
from acode_tui.tui.personal import MAX_QUERIES, PersonalFile
from tests.tui.driving import browser, over, shown, toasts, until, until_listed
from tests.tui.fake import FakeWorkspace


def line(pilot: Pilot[int]) -> QueryLine:
    return pilot.app.screen.query_one(QueryLine)


def proposed(pilot: Pilot[int]) -> list[str]:
    below = pilot.app.screen.query_one(Choices)
    return [each.proposal.label for each in below.shown] if below.display else []


async def test_fields_and_their_stored_values_are_completed_while_one_types(fake: FakeWorkspace) -> None:
    fake.values = {"project": ("shop", "[/red] bar", "big shop", "\x1b[2J")}
    async with over(fake).run_test(size=(100, 30)) as pilot:
        await until_listed(pilot)
        await pilot.press("slash", "p", "r", "tab")
        await until(pilot, lambda: proposed(pilot) == ["shop", "[/red] bar", "big shop"])
        assert line(pilot).value == "project:"
        assert "[/red] bar" in shown(pilot)
        await pilot.press("s", "down", "enter")
        assert line(pilot).value == 'project:"big shop" '
        await until(pilot, lambda: not proposed(pilot))
        await pilot.press("i", "s", "right", "u", "right")
        assert line(pilot).value == 'project:"big shop" is:unsynced '
        # Nothing is proposed now: the arrow goes to the list, as it does without completion.
        await pilot.press("down")
        await until(pilot, lambda: not line(pilot).has_focus)


async def test_tab_before_the_values_are_read_takes_the_first_of_them_when_they_are(
    fake: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = asyncio.Event()

    async def field_values(field: str, *, most: int = 500) -> tuple[str, ...]:
        await read.wait()
        return ("shop", "site")

    monkeypatch.setattr(fake, "field_values", field_values)
    async with over(fake).run_test(size=(100, 30)) as pilot:
        await until_listed(pilot)
        await pilot.press("slash", *"project:s", "tab")
        assert line(pilot).has_focus
        assert line(pilot).value == "project:s"
        read.set()
        await until(pilot, lambda: line(pilot).value == "project:shop ")
        # In one burst, with the key that opens the line.
        await pilot.press("escape", "escape")
        for key in ("slash", "f", "a", "tab", "x"):
            pilot.app.post_message(Key(key, {"slash": "/", "tab": "\t"}.get(key, key)))
        await until(pilot, lambda: line(pilot).value == "failed:x")
        await pilot.press("escape")
        # What is typed after the tab is kept.
        read.clear()
        await pilot.press("escape", "slash", *"project:s", "tab", "i")
        read.set()
        await until(pilot, lambda: proposed(pilot) == ["site"])
        assert line(pilot).value == "project:si"


async def test_a_query_is_saved_under_a_name_listed_taken_and_removed(fake: FakeWorkspace, tmp_path: Path) -> None:
    kept = tmp_path / "state" / "personal.json"
    async with over(fake, personal=PersonalFile(kept)).run_test(size=(100, 30)) as pilot:
        await until_listed(pilot)
        await pilot.press("slash", *"memory is:failed", "space", "ctrl+s")
        await until(pilot, lambda: "Save the query" in shown(pilot))
        await pilot.press(*"[/x] mine", "enter")
        await until(pilot, lambda: ("query saved", "/ lists “[/x] mine”") in toasts(pilot))
        await pilot.press("escape")
        # Another dashboard of the same user saves one meanwhile.
        PersonalFile(kept).save_query("other", "is:live")
        await pilot.press("slash")
        await until(pilot, lambda: proposed(pilot) == ["[/x] mine"])
        await pilot.press("tab")
        assert line(pilot).value == "memory is:failed"
        await until(pilot, lambda: browser(pilot)._browser.text == "memory is:failed")
        await pilot.press("escape", "slash")
        await until(pilot, lambda: proposed(pilot))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "Remove this saved query?" in shown(pilot))
        await pilot.press("y")
        await until(pilot, lambda: "Remove this" not in shown(pilot))
    assert PersonalFile(kept).value.queries == {"other": "is:live"}


async def test_an_empty_list_names_the_condition_that_excludes_the_runs(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(100, 30)) as pilot:
        await until_listed(pilot)
        await pilot.press("slash", *"login unicorn", "space")
        await until(pilot, lambda: "Without `unicorn`" in shown(pilot))


def test_a_file_that_cannot_be_read_loses_no_query_of_this_run(tmp_path: Path) -> None:
    path = tmp_path / "personal.json"
    path.write_bytes(b"\xff{")
    personal = PersonalFile(path)
    assert personal.save_query("a", "is:live")
    personal.count_use("Help")
    personal.count_use("Help")
    assert (PersonalFile(path).value.queries, PersonalFile(path).value.used) == ({"a": "is:live"}, {"Help": 2})
    for number in range(MAX_QUERIES):
        personal.save_query(str(number), "x")
    assert not personal.save_query("one more", "x")
    assert len(personal.value.queries) == MAX_QUERIES


async def test_rows_are_never_shown_under_words_that_they_do_not_answer_yet(fake: FakeWorkspace) -> None:
    answered, plain = asyncio.Event(), fake.store.list

    async def slow(filter: SessionFilter | None = None, **page: Any) -> SessionPage:
        if filter is not None and filter.text:
            await answered.wait()
        return await plain(filter, **page)

    fake.store.list = slow  # type: ignore[method-assign]
    async with over(fake).run_test(size=(120, 30)) as pilot:
        await until_listed(pilot)
        await pilot.press("slash", *"memory", "space")
        await until(pilot, lambda: "searching for memory" in str(browser(pilot).border_subtitle))
        assert "memory" not in str(browser(pilot).border_title)
        answered.set()
        await until(pilot, lambda: "memory" in str(browser(pilot).border_title))
