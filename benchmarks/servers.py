"""Starts a PostgreSQL server for a benchmark, with the durability settings of a team's server."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from benchmarks.result import Measure
from tests.pg import Server, make_server


def measured_on_a_server(
    measure: Callable[[Server], Coroutine[Any, Any, list[Measure]]], **settings: Any
) -> list[Measure]:
    """The result of ``measure`` on a server that runs for the length of the call, with these settings too."""
    folder = Path(tempfile.mkdtemp(prefix="acode-bench-"))
    try:
        server = make_server(folder, fsync="on", full_page_writes="on", **settings)
        server.start()
        try:
            return asyncio.run(measure(server))
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
