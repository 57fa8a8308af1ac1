"""The process that reads for a large import: it decodes and prepares, and touches no database and no terminal.

It is started by ``apart`` and ends with its last answer, or with the import: when that ends or dies, the socket does.
"""

import gc
import os
import pkgutil
import signal
import socket
from pathlib import Path

import msgspec

from acode_tui import __version__
from acode_tui.ingest.file_reader import FileReader
from acode_tui.ingest.group_reader import FileDue, GroupReader, Prepare
from acode_tui.ingest.registry import formats
from acode_tui.ingest.usage import Claims
from acode_tui.ingest.wire import ORDER, SETUP, Link


def main(descriptor: int, prepare: str) -> None:
    """Serve one import over the socket of this descriptor; ``prepare`` names a function as ``module:name``."""
    # Ctrl-C is for the import, which then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as end:
        try:
            _serve(Link(end), pkgutil.resolve_name(prepare))
        except (EOFError, ConnectionError):
            return


def _serve(link: Link, prepare: Prepare) -> None:
    formats()
    # Whoever hears this may rely on it: all is loaded.
    link.send(__version__)
    setup = SETUP.decode(link.receive())
    files = FileReader(**msgspec.structs.asdict(setup.settings))
    reader = GroupReader(files, prepare, Claims(setup.claims))
    # What a group leaves behind is freed by counting references; looking for cycles finds none and takes its time.
    gc.freeze()
    gc.disable()
    for group in ORDER.decode(link.receive()):
        link.send(reader.read([FileDue(Path(os.fsdecode(file.path)), 0, file.known) for file in group]))
