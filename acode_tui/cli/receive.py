"""``receive``: records runs that are sent with OpenTelemetry's protocol, until a signal."""

import asyncio
import signal
from typing import TYPE_CHECKING

import click

from acode_tui.cli.headless import handled
from acode_tui.cli.invocation import Invocation, pass_invocation
from acode_tui.cli.options import examples

if TYPE_CHECKING:
    from acode_tui.workspace import Workspace

DEFAULT_PORT = 4318


@click.command(
    "receive",
    epilog=examples(
        "acode-tui receive",
        "acode-tui receive --port 5318",
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 python agent.py",
    ),
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    metavar="N",
    help="The port on 127.0.0.1; 0: any free one, see the log.",
)
@pass_invocation
def command(invocation: Invocation, port: int) -> int:
    """Record runs that agents send with OpenTelemetry.

    It takes OTLP over HTTP on 127.0.0.1, in JSON and, with the extra acode-tui[otel], in protobuf: spans by the
    conventions for generative AI and by OpenInference's, and the log events of Claude Code and Codex. A request is
    answered when it is on disk. It runs until Ctrl-C, and prints its log.
    """
    invocation.require_file()
    return invocation.with_workspace(lambda workspace: _serve(workspace, port), log_to_stderr=True)


async def _serve(workspace: "Workspace", port: int) -> int:
    from acode_tui.logs import get_logger
    from acode_tui.ops.health.metrics_http import ADDRESS, cannot_listen
    from acode_tui.receiver.service import Receiver

    log = get_logger("acode_tui.receive")
    stop = asyncio.Event()
    receiver = Receiver(workspace)
    try:
        async with receiver.serving(port):
            with handled({signal.SIGINT: stop.set, signal.SIGTERM: stop.set}):
                log.info("receive.listening", address=f"http://{ADDRESS}:{receiver.port}")
                await stop.wait()
    except OSError as error:
        raise cannot_listen("--port", ADDRESS, port, error) from None
    log.info("receive.stopped", requests=receiver.requests, spans=receiver.stored)
    return 0
