"""Which transcripts belong to a workspace: by the folder of the run, links resolved, and its git worktrees."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from acode_tui.ingest.discover import FoundTranscript, find
from acode_tui.ingest.scope import HEAD_BYTES, run_folder, split, workspace_folders
from tests.ingest.builders import Claude, Codex


def folder_of(path: Path) -> str:
    (item,) = find([path])
    return run_folder(item)


def git(*arguments: str, at: Path) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=at, check=True, capture_output=True, env=environment)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    top = tmp_path / "shop"
    top.mkdir()
    git("init", "-q", at=top)
    git("commit", "-q", "--allow-empty", "-m", "x", at=top)
    return top


def test_the_folder_is_in_the_first_lines_of_each_format(tmp_path: Path) -> None:
    claude = Claude(cwd="/src/claude")
    claude.add({"type": "summary", "summary": '"cwd":"/elsewhere"'})
    claude.user("Go", toolUseResult={"cwd": "/wrong"})
    assert folder_of(claude.write(tmp_path / "a.jsonl")) == "/src/claude"
    codex = Codex()
    codex.prompt("Go")
    found = folder_of(codex.write(tmp_path / "rollout-b.jsonl"))
    assert found.startswith("/")
    (tmp_path / "pi.jsonl").write_text(json.dumps({"type": "session", "id": "x", "cwd": "/src/pi"}) + "\n")
    assert folder_of(tmp_path / "pi.jsonl") == "/src/pi"
    copilot: dict[str, Any] = {"type": "session.start", "data": {"sessionId": "x", "context": {"cwd": "/src/copilot"}}}
    (tmp_path / "events.jsonl").write_text(json.dumps(copilot) + "\n")
    assert folder_of(tmp_path / "events.jsonl") == "/src/copilot"


def test_a_folder_behind_a_long_first_line_is_found_and_hostile_lines_name_none(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    long = json.dumps({"type": "file-history-snapshot", "x": "y" * HEAD_BYTES[0]})
    path.write_text(long + "\n" + json.dumps({"cwd": "/src/shop"}) + "\n")
    assert folder_of(path) == "/src/shop"
    for line in (
        b'{"cwd": 7}',
        b'{"cwd": "relative"}',
        b'{"cwd": "/a\\u0000b"}',
        b"[" * 100_000,
        b'{"payload": [1]}',
        b"\xff",
    ):
        path.write_bytes(line + b"\n")
        assert folder_of(path) == "", line[:20]


def test_a_run_belongs_by_the_real_folder_and_not_by_the_beginning_of_a_name(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(root)
    (root / "out").symlink_to(tmp_path)
    projects = tmp_path / "projects"
    folders = {
        "in": root / "sub",
        "link": tmp_path / "link" / "sub",
        "up": root / "..",
        "out": root / "out",
        "like": Path(f"{root}2"),
    }
    for name, folder in folders.items():
        transcript = Claude(cwd=str(folder))
        transcript.user("Go")
        transcript.write(projects / f"{name}.jsonl")
    kept, elsewhere = split(find([projects]), root, {})
    assert [item.path.stem for item in kept] == ["in", "link"]
    assert elsewhere == dict.fromkeys(sorted(str(folders[name]) for name in ("up", "out", "like")), 1)
    kept, _ = split(find([projects]), tmp_path / "link", {})
    assert [item.path.stem for item in kept] == ["in", "link"]


def test_a_file_that_cannot_be_read_stays_to_be_reported(tmp_path: Path) -> None:
    item = FoundTranscript(path=tmp_path / "gone.jsonl", problem="not an ordinary file")
    assert split([item], tmp_path, {}).found == [item]


def test_the_git_worktrees_of_a_folder_belong_to_it(repository: Path, tmp_path: Path) -> None:
    git("worktree", "add", "-q", str(tmp_path / "feature"), at=repository)
    assert workspace_folders(repository) == (repository, tmp_path / "feature")
    assert workspace_folders(repository / "pkg") == (repository / "pkg", tmp_path / "feature" / "pkg")
    assert workspace_folders(tmp_path / "feature") == (tmp_path / "feature",)
    assert workspace_folders(tmp_path / "nowhere") == (tmp_path / "nowhere",)


def test_a_planted_worktree_makes_no_other_project_a_part_of_the_folder(repository: Path, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir()
    git("init", "-q", at=private)
    linked = tmp_path / "linked"
    git("commit", "-q", "--allow-empty", "-m", "x", at=private)
    git("worktree", "add", "-q", str(linked), at=private)
    for name, target in (("a", private / ".git"), ("b", linked / ".git"), ("c", Path("/")), ("d", Path(".."))):
        entry = repository / ".git" / "worktrees" / name
        entry.mkdir(parents=True)
        (entry / "gitdir").write_text(f"{target}\n")
    os.mkfifo(repository / ".git" / "worktrees" / "pipe")
    (repository / ".git" / "worktrees" / "e").mkdir()
    os.mkfifo(repository / ".git" / "worktrees" / "e" / "gitdir")
    assert workspace_folders(repository) == (repository,)
