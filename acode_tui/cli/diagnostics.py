"""``diagnostics``: a report about the workspace for bug reports, with personal data and known secrets hidden."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples, json_option
from acode_tui.domain.display import clean
from acode_tui.domain.quantities import size

if TYPE_CHECKING:
    from acode_tui.ops.health.diagnostics import Diagnostics

_MAX_CHARS = 160


@click.command(
    "diagnostics", epilog=examples("acode-tui diagnostics", "acode-tui diagnostics --json --output report.json")
)
@json_option
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to a new file instead.",
)
@pass_invocation
def command(invocation: Invocation, as_json: bool, output: Path | None) -> None:
    """Print a report of the workspace for a bug report.

    Names, addresses, paths and known shapes of secrets are hidden in it: read it before you publish it. It changes
    nothing, and also works if the workspace cannot be opened.
    """
    from acode_tui.cli.event_loop import run_async
    from acode_tui.config.ownership import require_own
    from acode_tui.domain.codec import encode_json_for_terminal, to_plain
    from acode_tui.workspace.maintenance import diagnose

    # A configuration that is refused is part of the report; a folder of another user is not opened for one either.
    require_own(invocation.root, invocation.environ)
    found: Diagnostics = run_async(diagnose(invocation.root, environ=invocation.environ))
    text = encode_json_for_terminal(found).decode() if as_json else "\n".join(render(to_plain(found)))
    if output is None:
        click.echo(text if as_json else clean(text, keep_newlines=True))
        return
    from acode_tui.files import replacing

    data = (text + "\n").encode()
    with replacing(output, overwrite=False) as file:
        file.write(data)
    click.echo(f"{clean(str(output))}: {size(len(data))}; review it before you publish it", err=True)


def render(report: Mapping[str, Any]) -> Iterator[str]:
    """The report as Markdown for an issue."""
    yield f"### acode-tui diagnostics, {report['createdAt']}"
    for title, key in (("Program", "program"), ("Files", "file"), ("Schema", "schema"), ("Outbox", "outbox")):
        yield from _block(title, _fields(report[key]))
    checks = report["health"]["checks"]
    width = max(len(check["name"]) for check in checks)
    lines = [f"{each['status']:<9}  {each['name']:<{width}}  {_shorten(each['description'])}" for each in checks]
    yield from _block(f"Health: {report['health']['status']}", lines)
    configuration = report["configuration"]
    if "settings" in configuration:
        changed = [each for each in configuration["settings"] if each["origin"] != "default"]
        lines = [f"{each['key']} = {each['value']}  ({each['origin']})" for each in changed]
        yield from _block("Settings that are not the default", lines or ["none"])
        yield from _block("PostgreSQL's address", [configuration["address"]])
    else:
        yield from _block("Settings", [configuration.get("error", "none")])
    errors = [
        "  ".join(f"{name}={_shorten(str(value))}" for name, value in each.items() if value not in (None, ""))
        for each in report["recentErrors"]
    ]
    yield from _block("Recent warnings and errors, newest first", errors or ["none"])


def _fields(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _fields(value, f"{prefix}{name}.")
        elif value is not None:
            shown = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
            yield f"{prefix}{name}: {_shorten(shown) or '-'}"


def _block(title: str, lines: "Iterator[str] | list[str]") -> Iterator[str]:
    from acode_tui.domain.display import clean

    yield ""
    yield f"**{title}**"
    yield "```text"
    # A fence in a value must not end the block.
    yield from (clean(line).replace("```", "'''") for line in lines)
    yield "```"


def _shorten(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _MAX_CHARS else flat[: _MAX_CHARS - 3] + "..."
