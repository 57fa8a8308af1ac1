"""``demo``: the dashboard over a workspace that is made for it and goes with it."""

import click

from acode_tui.cli.dashboard import require_terminal
from acode_tui.cli.faults import FAULT
from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.output import examples


@click.command(
    "demo", epilog=examples("acode-tui demo", "acode-tui demo --agents 8 --seed 7", "acode-tui demo --local")
)
@click.option("--agents", type=click.IntRange(1, 32), default=4, show_default=True, help="How many agents record.")
@click.option("--seed", type=int, metavar="N", help="Have the agents do what they did with this seed before.")
@click.option("--local", is_flag=True, help="Without a team database, even if one could be started.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Leave after so many seconds. Default: when you press q.",
)
@pass_invocation
def command(invocation: Invocation, agents: int, seed: int | None, local: bool, seconds: float | None) -> int:
    """Try everything in a temporary folder.

    A team of made-up agents records into a workspace, and where the extra "embedded" is installed, a PostgreSQL of the
    demo's own takes the records. The key n cuts the network and restores it: watch the outbox fill and drain. A
    refused record, a dead letter and a conflict come by themselves. Nothing outside the folder is read or changed, your
    own settings included, and the folder goes when you leave.
    """
    if not require_terminal():
        return FAULT
    from acode_tui.demo.show import Options
    from acode_tui.tui.demo import run_demo

    options = Options(agents=agents, seed=seed)
    return run_demo(options, local=local, seconds=seconds, log_level=invocation.log_level)
