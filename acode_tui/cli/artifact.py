"""``artifact``: shows an artifact's metadata and content, and writes the content to a file."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples, json_option
from acode_tui.cli.output import exact, print_fields, print_json
from acode_tui.domain.display import clean
from acode_tui.domain.quantities import counted, size
from acode_tui.domain.states import EntityType

if TYPE_CHECKING:
    from acode_tui.domain.entities import Artifact
    from acode_tui.workspace import Workspace


@click.group("artifact", epilog=examples("acode-tui artifact save 0190d6a1 login.ts"))
def command() -> None:
    """Show and save artifacts."""


@command.command(
    "show", epilog=examples("acode-tui artifact show 0190d6a1 --json", "acode-tui artifact show 0190d6a1 --content")
)
@click.argument("artifact_id", metavar="ID")
@click.option("--content", "with_content", is_flag=True, help="Also print the content, as text that is safe to show.")
@json_option
@pass_invocation
def show(invocation: Invocation, artifact_id: str, with_content: bool, as_json: bool) -> None:
    """Show an artifact's metadata. ID may be any unique prefix."""
    if with_content and as_json:
        raise click.UsageError("--content does not go with --json; use `artifact save ID -` for the bytes")

    async def read(workspace: "Workspace") -> "tuple[Artifact, bytes]":
        found = await workspace.store.resolve_id(EntityType.ARTIFACT, artifact_id)
        content = await workspace.store.get_artifact_content(found) if with_content else b""
        return await workspace.store.get_artifact(found), content

    artifact, content = invocation.with_workspace(read)
    if as_json:
        print_json(artifact)
        return
    print_fields(
        [
            ("artifact", artifact.id),
            ("name", artifact.name),
            ("type", artifact.type.value),
            ("content type", artifact.content_type),
            ("size", f"{size(artifact.size)} ({counted(artifact.size, 'byte')})"),
            ("hash", artifact.content_hash),
            ("session", artifact.session_id),
            ("task", artifact.task_id),
            ("step", artifact.step_id),
            ("tool call", artifact.tool_call_id),
            ("created", artifact.created_at),
        ]
    )
    if with_content:
        click.echo()
        click.echo(clean(content.decode("utf-8", "replace"), keep_newlines=True))


@command.command(
    "save",
    epilog=examples("acode-tui artifact save 0190d6a1 login.ts", "acode-tui artifact save 0190d6a1 - | less"),
)
@click.argument("artifact_id", metavar="ID")
@click.argument("path", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--force", is_flag=True, help="Replace an existing file.")
@json_option
@pass_invocation
def save(invocation: Invocation, artifact_id: str, path: Path, force: bool, as_json: bool) -> None:
    """Write an artifact's content to PATH, or to standard output if PATH is `-`."""
    to_output = os.fspath(path) == "-"
    if not to_output and path.is_dir():
        raise click.UsageError(f"{path} is a folder; name a file")
    if not to_output and not force and os.path.lexists(path):
        raise _already_exists(path)

    async def read(workspace: "Workspace") -> tuple[str, bytes]:
        found = await workspace.store.resolve_id(EntityType.ARTIFACT, artifact_id)
        return found, await workspace.store.get_artifact_content(found)

    found, content = invocation.with_workspace(read)
    if to_output:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        return
    from acode_tui.files import replacing

    try:
        with replacing(path, overwrite=force) as file:
            file.write(content)
    except FileExistsError:
        raise _already_exists(path) from None
    if as_json:
        print_json({"id": found, "path": str(path), "size": len(content)})
    else:
        click.echo(f"{exact(str(path))}: {counted(len(content), 'byte')}")


def _already_exists(path: Path) -> click.ClickException:
    return click.ClickException(f"ACODE-IO-001: {path}: already exists; choose another name, or use --force")
