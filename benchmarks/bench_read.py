"""Reading one session by id, beside the same SELECT on a bare connection."""

import asyncio

from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite import rows
from benchmarks.result import Measure, at_most
from benchmarks.scale import sized
from benchmarks.timing import milliseconds, timed, timed_call
from benchmarks.workspaces import bare_reader, workspace


def run() -> list[Measure]:
    return asyncio.run(_run())


async def _run() -> list[Measure]:
    async with workspace() as ours:
        ids = [(await ours.store.create_session(f"session {number}")).id for number in range(200)]
        with bare_reader(ours.database_path) as bare:
            sql = rows.SELECT[EntityType.SESSION]
            times, floor = [], []
            for _ in range(sized(20, 5)):
                floor += [timed_call(lambda i: bare.execute(sql, (i,)).fetchone(), each) for each in ids]
                times += [await timed(ours.store.get(each)) for each in ids]
    return [at_most("read by id, median", milliseconds(times), "ms", 1).beside(milliseconds(floor))]
