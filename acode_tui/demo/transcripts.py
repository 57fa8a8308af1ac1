"""Writes transcripts of generated runs, as Claude Code writes them, for the demo's dashboard to import."""

import base64
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from acode_tui.demo.generated_runs import PlannedContent, PlannedRun, RunGenerator
from acode_tui.domain.states import ArtifactType
from acode_tui.files import make_private_folder, replacing

_PROJECT = Path("projects") / "-home-ada-src-shop"


def write_transcripts(folder: Path, count: int, *, now: datetime, random: Random) -> None:
    """Write ``count`` transcripts below ``folder``, as the agent would below its own."""
    project = folder / _PROJECT
    make_private_folder(project)
    generator = RunGenerator(random, pace=25)
    for number in range(count):
        run = generator.run()
        session = str(uuid.UUID(int=random.getrandbits(128), version=4))
        started = now - timedelta(days=2 + number)
        with replacing(project / f"{session}.jsonl") as file:
            file.writelines(json.dumps(line).encode() + b"\n" for line in _lines(run, session, started))


def _lines(run: PlannedRun, session: str, at: datetime) -> Iterator[dict[str, Any]]:
    number = 0

    def line(role: str, content: Any, **message: Any) -> dict[str, Any]:
        return {
            "type": role,
            "sessionId": session,
            "uuid": f"{session[:8]}-{number}",
            "timestamp": at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "cwd": run.metadata["cwd"],
            "gitBranch": run.metadata["gitBranch"],
            "version": "2.1.39",
            "message": {"role": role, "content": content, **message},
        }

    model = run.metadata["models"][0]
    for task in run.tasks:
        yield line("user", "".join(map(_text, task.contents)) or task.title)
        for step in task.steps:
            for content in step.contents:
                number += 1
                at += timedelta(seconds=content.seconds)
                kind = "thinking" if content.type is ArtifactType.REASONING else "text"
                yield line("assistant", [{"type": kind, kind: _text(content)}], id=f"msg-{number}", model=model)
            for call in step.calls:
                number += 1
                use = {"type": "tool_use", "id": f"toolu-{number}", "name": call.tool, "input": call.parameters}
                yield line("assistant", [use], id=f"msg-{number}", model=model)
                at += timedelta(seconds=call.seconds)
                shown = call.error or _result(call.content)
                result = {"type": "tool_result", "tool_use_id": use["id"], "content": shown}
                yield line("user", [{**result, "is_error": bool(call.error)}])


def _result(content: PlannedContent | None) -> Any:
    if content is None:
        return "done"
    if isinstance(content.content, str):
        return content.content
    data = base64.b64encode(content.content).decode()
    return [{"type": "image", "source": {"type": "base64", "media_type": content.content_type, "data": data}}]


def _text(content: PlannedContent) -> str:
    return content.data.decode()
