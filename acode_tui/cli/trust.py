"""``trust``: shows what the workspace's settings file asks for, and approves it, or takes the approval back."""

import click

from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples, json_option
from acode_tui.cli.output import print_json, print_whole
from acode_tui.config import keys, workspace_config_path
from acode_tui.config.trust import Trust, approve, read_trust, revoke
from acode_tui.domain.display import clean
from acode_tui.domain.errors import ConfigError

NOT_TRUSTED = 1


@click.command(
    "trust", epilog=examples("acode-tui trust --show", "acode-tui trust", "acode-tui trust --show --json | jq .trusted")
)
@click.option("--show", is_flag=True, help="Show it and change nothing. Exits with 1 if it is not trusted.")
@click.option("--revoke", "revoking", is_flag=True, help="Take the approval back.")
@json_option
@pass_invocation
def command(invocation: Invocation, show: bool, revoking: bool, as_json: bool) -> int:
    """Approve what this workspace's settings file asks for.

    Settings of .agent/config.toml that choose where runs are sent, which secret is sent, or which path is read or
    written do not count before you approved the file. A file that changes asks again. What `acode-tui config set`
    writes into a new or trusted file is approved.
    """
    if show and revoking:
        raise click.UsageError("--show and --revoke cannot be used together")
    root = invocation.root
    revoked = revoke(root, invocation.environ) if revoking else False
    trust = read_trust(root, invocation.environ)
    if not as_json:
        _print_settings(trust)
    if not show and not revoking and not trust.trusted:
        approve(trust, invocation.environ)
        trust = _approved(trust, invocation)
    if as_json:
        print_json({"root": str(root), "trusted": trust.trusted, "settings": trust.settings, "owner": trust.owner_name})
    else:
        click.echo(clean(_verdict(trust, revoked=revoked)))
    return NOT_TRUSTED if show and not trust.trusted else 0


def _approved(shown: Trust, invocation: Invocation) -> Trust:
    """The state after the approval. Raises ConfigError where the file has changed since it was shown."""
    now = read_trust(shown.root, invocation.environ)
    if not now.trusted:
        raise ConfigError(
            f"{workspace_config_path(shown.root)}: has changed since it was shown",
            hint="run `acode-tui trust` again to see what it asks for now",
        )
    return now


def _print_settings(trust: Trust) -> None:
    if trust.owner_name is not None:
        click.echo(clean(f"{trust.root / '.agent'} belongs to another user: {trust.owner_name}"))
    for each in trust.settings:
        # In full and not redacted: a stranger could hide a command as what looks like a secret, or behind the edge.
        print_whole(f"{each.key} = {keys.format_value(each.value)}")
        if each.leads_to:
            print_whole(f"  here: {each.leads_to}")


def _verdict(trust: Trust, *, revoked: bool) -> str:
    path = workspace_config_path(trust.root)
    if trust.trusted and not trust.settings and trust.owner is None:
        return f"{path} asks for nothing that needs approval"
    if trust.trusted:
        return f"trusted: {path if trust.settings else trust.root}"
    done = "the approval was taken back; " if revoked else ""
    return f"not trusted: {done}these settings do not count; approve them with `acode-tui trust`"
