"""The audit of conflicts: both versions side by side, which one won, and the means to let the other win."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from textual import on
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message

from acode_tui.domain.display import cell_width
from acode_tui.storage.ports import Conflict, ConflictCounts
from acode_tui.tui.bindings import CONFLICTS
from acode_tui.tui.records.record_text import entity_told
from acode_tui.tui.records.screen import PAGE_ROWS, RecordsScreen
from acode_tui.tui.style.text import line, pretty_json, styled
from acode_tui.tui.style.times import ago, duration, fine_stamp, number, span, stamp
from acode_tui.tui.widgets.keyed_table import Column, KeyedTable, Row
from acode_tui.tui.widgets.notice import Notice, TitleLine

if TYPE_CHECKING:
    from acode_tui.tui.ports import DashboardWorkspace


_UNTOLD = ("id", "sessionId", "workspaceId")
_NAME = 16
MAX_LINES = 60
"""Lines that are shown of one field."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of both versions, as text; None where a version does not have it."""

    name: str
    local: str | None
    remote: str | None

    @property
    def same(self) -> bool:
        return self.local == self.remote


def compare(local: msgspec.Raw, remote: msgspec.Raw) -> list[Field]:
    """The fields of two payloads, those that differ first, ids left out where they are the same."""
    here, there = _fields(local), _fields(remote)
    names = list(dict.fromkeys([*here, *there]))
    fields = [Field(name, here.get(name), there.get(name)) for name in names]
    told = [field for field in fields if not (field.same and field.name in _UNTOLD)]
    return sorted(told, key=lambda field: field.same)


def side_by_side(fields: list[Field], width: int) -> Content:
    """Both versions beside each other for so many columns: where they differ the local one red, the other green."""
    room = max((width - _NAME - 5) // 2, 10)
    rows = []
    for field in fields:
        name = line(field.name, _NAME - 1)
        for one, two, same in _beside(_lines(field.local), _lines(field.remote), room):
            rows.append(
                Content.assemble(
                    (name + " " * (_NAME - cell_width(name)), "$foreground-muted"),
                    (_pad(one, room), "$foreground-muted" if same else "$text-error on $removed-ground"),
                    (f" {' ' if same else '│'} ", "$foreground-muted"),
                    (_pad(two, room), "$foreground-muted" if same else "$text-success on $added-ground"),
                )
            )
            name = ""
    return Content("\n").join(rows)


def _beside(local: list[str], remote: list[str], room: int) -> Iterator[tuple[str, str, bool]]:
    """Rows of both sides in so many columns, equal lines next to each other, and whether they are equal."""
    matched = SequenceMatcher(None, local, remote, autojunk=False).get_opcodes()
    for tag, first, last, other_first, other_last in matched:
        left = [row for text in local[first:last] for row in _folded(text, room)]
        right = [row for text in remote[other_first:other_last] for row in _folded(text, room)]
        yield from ((one, two, tag == "equal") for one, two in zip_longest(left, right, fillvalue=""))


def _fields(payload: msgspec.Raw) -> dict[str, str]:
    decoded: Any = msgspec.json.decode(payload)
    if not isinstance(decoded, dict):
        return {"value": pretty_json(decoded)}
    return {str(name): pretty_json(_in_order(value)) for name, value in decoded.items()}


def _in_order(value: Any) -> Any:
    """The same with the keys of every object in order: the team's database keeps them in another one."""
    return msgspec.json.decode(msgspec.json.encode(value, order="sorted"))


def _lines(text: str | None) -> list[str]:
    return ["(absent)"] if text is None else text.split("\n")[:MAX_LINES]


def _folded(text: str, room: int) -> list[str]:
    return [str(part) for part in Content(text).fold(room)][:MAX_LINES] if text else [""]


def _pad(text: str, room: int) -> str:
    return str(Content(text).truncate(room, pad=True))


class ConflictTable(KeyedTable):
    """Conflicts, the newest first."""

    def columns_for(self, width: int) -> tuple[Column, ...]:
        apart = (Column("apart", "apart", 8, right=True),) if width >= 100 else ()
        return (
            Column("state", "state", 10),
            Column("entity", "entity"),
            Column("winner", "winner", 6),
            *apart,
            Column("when", "met", 10, right=True),
        )


class ConflictsScreen(RecordsScreen[Conflict]):
    """Both versions of every row that met another."""

    BINDINGS: ClassVar[list[BindingType]] = [*CONFLICTS]
    CRUMB, ITEM, DETAIL = "conflicts", "conflict", "Both versions"
    OF_A_ROW = frozenset({*RecordsScreen.OF_A_ROW, "reviewed", "take_other"})

    @dataclass
    class ConflictsRead(Message):
        """A reading of the log."""

        conflicts: Sequence[Conflict]
        counts: ConflictCounts
        target: str | None
        after: Conflict | None
        only_new: bool

    def __init__(self) -> None:
        super().__init__()
        self._only_new = False
        self._target: str | None = None
        self._counts = ConflictCounts()

    def table(self) -> KeyedTable:
        return ConflictTable(id="records")

    def key(self, item: Conflict) -> str:
        return item.id

    def row(self, item: Conflict, now: datetime) -> Row:
        return _row(item, self.told[item.id], now)

    def tell(self, item: Conflict) -> str:
        return entity_told(item.entity_type, item.entity_id, item.local_payload)

    def detail(self, item: Conflict, width: int) -> Content:
        return _detail(item, width, self._target, self.dashboard.zone)

    def say_why_none(self, notice: Notice) -> None:
        notice.say(
            "Nothing is left to review" if self._counts.total else "No two versions have met",
            "When two machines change one row, the later change wins on both.",
            "The version that lost is kept here, and can be made to win.",
            role="$text-success",
        )

    async def read(self, workspace: "DashboardWorkspace") -> None:
        after, only_new = self.pages.here, self._only_new
        found = await workspace.conflicts.list(unreviewed_only=only_new, limit=PAGE_ROWS + 1, after=after)
        status = await workspace.sync.status()
        counts = await workspace.conflicts.counts()
        self.post_message(self.ConflictsRead(found, counts, status.target, after, only_new))

    @on(ConflictsRead)
    def _read(self, event: ConflictsRead) -> None:
        if event.only_new is not self._only_new:
            return
        self._target, self._counts = event.target, event.counts
        total = event.counts.unreviewed if self._only_new else event.counts.total
        if self.show_page(event.conflicts, after=event.after, total=total):
            self.query_one("#list").border_title = "Not reviewed" if self._only_new else "All conflicts"
            self.query_one(TitleLine).say(
                f"{number(event.counts.total)} in all, {number(event.counts.unreviewed)} not reviewed"
            )

    def action_only_new(self) -> None:
        self._only_new = not self._only_new
        self.pages.restart()
        self.refresh_now()

    def action_reviewed(self) -> None:
        workspace, conflict = self.workspace, self.under_cursor
        if workspace is None or conflict is None:
            return

        async def review() -> None:
            await workspace.conflicts.mark_reviewed(conflict.id)

        self.dashboard.start_job("review", review)

    def action_take_other(self) -> None:
        from acode_tui.tui.dialogs.confirm import Confirm

        workspace, conflict = self.workspace, self.under_cursor
        if workspace is None or conflict is None:
            return
        loser = "local" if conflict.winner == "remote" else "remote"

        async def take() -> None:
            await workspace.conflicts.take_other(conflict.id)
            self.dashboard.notify(f"the {loser} version wins now", title="conflicts", markup=False)

        def answered(yes: bool | None) -> None:
            if yes:
                self.dashboard.start_job("take", take)

        question = f"The {loser} version is written anew, later than both, and reaches every machine at its next sync."
        self.app.push_screen(Confirm("Take the other version?", question, yes=f"take {loser}"), answered)


def _row(conflict: Conflict, told: str, now: datetime) -> Row:
    apart = abs(conflict.local_updated_at - conflict.remote_updated_at)
    return {
        "state": ("✓ reviewed", "quiet") if conflict.reviewed_at else ("◆ new", "wait"),
        "entity": (told, "plain"),
        "winner": (conflict.winner, "plain"),
        "apart": (span(apart) if apart.total_seconds() >= 1 else duration(apart), "quiet"),
        "when": (ago(conflict.detected_at, now), "quiet"),
    }


def _detail(conflict: Conflict, width: int, target: str | None, zone: tzinfo | None) -> Content:
    won = "  ✓ won"
    apart = abs(conflict.local_updated_at - conflict.remote_updated_at)
    at = stamp if apart >= timedelta(seconds=1) else fine_stamp
    reviewed = f"reviewed {stamp(conflict.reviewed_at, zone)}" if conflict.reviewed_at else "nobody has reviewed it"
    head = [
        Content.assemble(
            ("here    ", "$text-error"),
            at(conflict.local_updated_at, zone),
            ("  this machine", "$foreground-muted"),
            (won if conflict.winner == "local" else "", "$text-success"),
        ),
        Content.assemble(
            ("central ", "$text-success"),
            at(conflict.remote_updated_at, zone),
            styled(f"  {target or 'PostgreSQL'}", "$foreground-muted"),
            (won if conflict.winner == "remote" else "", "$text-success"),
        ),
        Content.assemble(("met     ", "$foreground-muted"), stamp(conflict.detected_at, zone), f", {reviewed}"),
        styled(f"{conflict.entity_type} {conflict.entity_id}", "$foreground-muted"),
    ]
    if conflict.session_id != conflict.entity_id:
        head.append(styled(f"session {conflict.session_id}", "$foreground-muted"))
    head.append(Content(""))
    fields = compare(conflict.local_payload, conflict.remote_payload)
    return Content("\n").join([*head, side_by_side(fields, width)])
