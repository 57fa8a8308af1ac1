"""``demo``: the dashboard with a temporary workspace and simulated agents."""

import click

from acode_tui.cli.dashboard import require_terminal
from acode_tui.cli.errors import FAILURE
from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples


@click.command(
    "demo", epilog=examples("acode-tui demo", "acode-tui demo --agents 8 --seed 7", "acode-tui demo --local")
)
@click.option(
    "--agents", type=click.IntRange(1, 32), default=4, show_default=True, help="Number of agents that record."
)
@click.option("--seed", type=int, metavar="N", help="Seed of the simulation; the same seed gives the same runs.")
@click.option("--local", is_flag=True, help="Do not start a team database.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="End after N seconds. Default: when you press q.",
)
@pass_invocation
def command(invocation: Invocation, agents: int, seed: int | None, local: bool, seconds: float | None) -> int:
    """Try everything in a temporary folder.

    Simulated agents record into a workspace. If the extra "embedded" is installed, the demo starts its own PostgreSQL
    and syncs to it. The key n cuts and restores the network: watch the outbox fill and drain. A refused record, a
    dead letter and a conflict occur automatically. Nothing outside the folder is read or changed, not even your
    settings, and the folder is deleted at the end.
    """
    if not require_terminal():
        return FAILURE
    from acode_tui.demo.demo import Options
    from acode_tui.tui.demo import run_demo

    options = Options(agents=agents, seed=seed)
    return run_demo(options, local=local, seconds=seconds, log_level=invocation.log_level)
