"""The files that runs changed: the list with its numbers, and every change of a file beside it."""

from msgspec.structs import replace

from acode_tui.domain.states import ArtifactType
from acode_tui.tui.run.artifact import ArtifactScreen
from acode_tui.tui.run.file_changes import changes_in, lines_changed
from acode_tui.tui.run.files_screen import FilesScreen
from tests.tui.driving import over, shown, until, until_listed
from tests.tui.fake import FakeWorkspace, fake_id, graph


def test_a_diff_tells_more_than_the_file_that_the_same_call_wrote() -> None:
    run = replace(graph(0), metadata={"cwd": "/home/ada/shop"})
    diff = replace(changes_in(run)[0].artifact, name="src/login.ts.diff")
    written = replace(diff, id=fake_id(9, 5), type=ArtifactType.FILE_WRITE, name="/home/ada/shop/src/login.ts")
    other = replace(written, id=fake_id(8, 5), name="/etc/hosts")
    call = replace(run.tasks[0].steps[0].tool_calls[0], artifacts=(written, diff, other))
    step = replace(run.tasks[0].steps[0], tool_calls=(replace(call, id=diff.tool_call_id or ""),))
    changed = changes_in(replace(run, tasks=(replace(run.tasks[0], steps=(step,)),)))
    assert [(each.path, each.artifact.id) for each in changed] == [("src/login.ts", diff.id), ("/etc/hosts", other.id)]
    assert lines_changed(diff, b"--- a\n+++ b\n@@ -1 +1,2 @@\n-x\n+y\n+z\n") == (2, 1)
    assert lines_changed(written, b"one\ntwo\n") == (2, 0)


async def test_the_changed_files_of_a_run_and_of_all_listed_runs(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("F")
        await until(
            pilot, lambda: "files changed  all runs" in shown(pilot) and "validate() && submit()" in shown(pilot)
        )
        assert isinstance(pilot.app.screen, FilesScreen)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ArtifactScreen))
        await pilot.press("escape", "y")
        assert "login.ts" in pilot.app.clipboard
        await pilot.press("escape", "enter")
        await until(pilot, lambda: "npm test" in shown(pilot))
        await pilot.press("F")
        await until(pilot, lambda: "1 change in 1 run" in shown(pilot))
        await pilot.press("n", "N", "tab", "escape")
        fake.store.graphs[fake_id(1)] = replace(graph(1), tasks=())
        await pilot.press("escape", "j", "enter", "F")
        await until(pilot, lambda: "No change of a file was recorded in this run." in shown(pilot))
