"""Telling systemd how the service stands (sd_notify), where NOTIFY_SOCKET says that somebody listens."""

import os
import socket
from collections.abc import Mapping

from acode_tui import logs

log = logs.get_logger("acode_tui.headless")


def notify(state: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send ``READY=1``, ``STOPPING=1``, ``STATUS=...``; answers whether anybody was told."""
    address = environ.get("NOTIFY_SOCKET")
    if not address or address[0] not in "/@":
        return False
    # An @ stands for the NUL of Linux's abstract sockets.
    place = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto(state.encode(), place)
        except OSError as error:
            log.warning("headless.notify", reason=error.strerror or type(error).__name__)
            return False
    return True
