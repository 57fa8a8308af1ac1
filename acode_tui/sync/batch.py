"""How a refused batch is taken apart until the record that was refused stands alone. Pure.

Halving goes by lanes first: whole lanes are independent, so everything but the refused lane goes through. Within one
lane order matters, so its first half is tried before the second, and a refusal ends the lane for now.
"""

from collections.abc import Sequence

from acode_tui.storage.sqlite.sync.claim import ClaimedRecord

MAX_BATCH_BYTES = 8 * 1024 * 1024
"""Payload and content in one batch, in bytes; a single larger record still goes alone."""

Batch = Sequence[ClaimedRecord]


def lanes(batch: Batch) -> list[list[ClaimedRecord]]:
    """The batch by lane, lanes in the order of their first record, each in its own order."""
    grouped: dict[str, list[ClaimedRecord]] = {}
    for record in batch:
        grouped.setdefault(record.row.session_id, []).append(record)
    return list(grouped.values())


def halves(batch: Batch) -> tuple[list[ClaimedRecord], list[ClaimedRecord], bool]:
    """Two smaller batches, and whether the second depends on the first. At least two records are needed."""
    by_lane = lanes(batch)
    if len(by_lane) > 1:
        middle = len(by_lane) // 2
        first, second = by_lane[:middle], by_lane[middle:]
        return [r for lane in first for r in lane], [r for lane in second for r in lane], False
    middle = len(batch) // 2
    return list(batch[:middle]), list(batch[middle:]), True
