"""What is left to other programs: the command that resumes a run, and the editor of a file. Transcripts may lie."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from acode_tui.domain.states import ArtifactType
from acode_tui.tui.run.outside import editor_command, path_of, resume_command
from tests.tui.fake import graph

ID = "0190d6a1-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    ("source", "command"),
    [("claude-code", f"claude --resume {ID}"), ("codex", f"codex resume {ID}"), ("pi", f"pi --session {ID}")],
)
def test_a_run_is_resumed_by_its_own_agent_in_its_folder(source: str, command: str, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    found = resume_command({"source": source, "nativeId": ID, "cwd": str(folder)})
    assert found is not None
    assert found.text == f"cd '{folder}' && {command}"
    gone = resume_command({"source": source, "nativeId": ID, "cwd": "/no/such/folder"})
    assert gone is not None
    assert gone.text == command


@pytest.mark.parametrize("native_id", ["--dangerously-skip-permissions", "a; rm -rf ~", "$(id)", "a\nb", "", 7, None])
def test_an_id_that_is_no_plain_word_resumes_nothing(native_id: Any) -> None:
    assert resume_command({"source": "claude-code", "nativeId": native_id}) is None
    assert resume_command({"source": "atif", "nativeId": ID}) is None
    assert resume_command(None) is None


def test_the_file_of_a_call_or_an_artifact_is_an_absolute_path(tmp_path: Path) -> None:
    call = graph(0).tasks[0].steps[0].tool_calls[0]
    diff = replace(call.artifacts[0], type=ArtifactType.FILE_DIFF, name="src/login.ts.diff")
    here = {"cwd": str(tmp_path)}
    assert path_of(diff, here) == tmp_path / "src/login.ts"
    assert path_of(diff, {"cwd": "somewhere"}) is None
    assert path_of(replace(call, parameters={"file_path": "-c:!id"}), here) == tmp_path / "-c:!id"
    assert path_of(replace(call, parameters={"file_path": "/etc/hosts"}), None) == Path("/etc/hosts")
    assert path_of(replace(call, parameters={"command": "ls"}), here) is None
    assert path_of(replace(diff, type=ArtifactType.MODEL_RESPONSE), here) is None


def test_the_editor_is_a_program_on_the_path_and_its_words_are_kept_apart(tmp_path: Path) -> None:
    editor = tmp_path / "edit"
    editor.write_text("#!/bin/sh\n")
    editor.chmod(0o755)
    environ = {"EDITOR": "edit --wait 'a b'", "PATH": str(tmp_path)}
    assert editor_command(Path("/a b"), environ) == [str(editor), "--wait", "a b", "/a b"]
    assert editor_command(Path("/a"), {**environ, "PATH": "."}) is None
    assert editor_command(Path("/a"), {**environ, "EDITOR": "'"}) is None
