"""The connection to the team's database: its address from the settings, one target, and what was last seen there."""

from collections.abc import Callable
from datetime import datetime

from acode_tui.config import Misconfigured, PostgresSettings, PostgresTarget, Settings, not_enabled
from acode_tui.domain.clock import WallClock
from acode_tui.domain.errors import MigrationError
from acode_tui.logs import add_secrets, get_logger
from acode_tui.storage.delivery_protocol import Fault, FaultKind, Head, PostgresFault, TargetFacts
from acode_tui.storage.ports import PullCursor, SyncJournal, SyncTarget, TierMigrations
from acode_tui.sync.ports import StateReason, SyncState
from acode_tui.sync.pull import behind_fault, is_behind
from acode_tui.version import VERSION

PROBE_SECONDS = 60.0
"""How often an open connection's schema, clock and round trip are probed again."""
CLOCK_WARNING_SECONDS = 2.0

ResolveAddress = Callable[[Settings], PostgresTarget | Misconfigured]
MakeTarget = Callable[[PostgresTarget, PostgresSettings], SyncTarget]
"""Makes the target of an address, not yet connected. It loads the driver, so a process that never syncs does not."""

log = get_logger("acode_tui.sync")


class TargetConnection:
    """At most one connection, opened when it is needed and probed once a minute."""

    def __init__(
        self,
        journal: SyncJournal,
        settings: Settings,
        *,
        user: str,
        make_target: MakeTarget,
        target_schema_version: str,
        resolve: ResolveAddress,
        wall: WallClock,
    ) -> None:
        """``target_schema_version`` is the schema that this program needs in PostgreSQL."""
        self._journal = journal
        self._user = user
        self._make_target = make_target
        self._resolve = resolve
        self._wall = wall
        self._target: SyncTarget | None = None
        self._probed_at: datetime | None = None
        self._opened_at: datetime | None = None
        self._is_given_back = False
        """Whether the connection was closed because nothing needed it, so that the server is expected to answer."""
        self.target_schema_version = target_schema_version
        self.settings = settings
        self.facts: TargetFacts | None = None
        """What the last probe saw; kept when the connection is gone."""

    @property
    def is_enabled(self) -> bool:
        return self.settings.persistence.postgres.enabled

    @property
    def is_open(self) -> bool:
        return self._target is not None and self._target.is_connected

    @property
    def is_expected(self) -> bool:
        """Whether the server answered last: a connection is open, or was given back."""
        return self.is_open or self._is_given_back

    def age(self) -> float:
        """Seconds since the connection was opened; 0 if there is none."""
        return 0.0 if self._opened_at is None else (self._wall() - self._opened_at).total_seconds()

    def address(self) -> PostgresTarget | None:
        """Where PostgreSQL is; None if it is off or its settings make no address."""
        found = self._resolve(self.settings) if self.is_enabled else None
        return found if isinstance(found, PostgresTarget) else None

    def unusable(self) -> StateReason | None:
        """Why the settings name no target; None if they do."""
        if not self.is_enabled:
            off = not_enabled(self.settings)
            return StateReason(SyncState.DISABLED, off.reason, off.hint)
        found = self._resolve(self.settings)
        if isinstance(found, Misconfigured):
            return StateReason(SyncState.MISCONFIGURED, found.reason, found.hint)
        return None

    async def ready(self, token: str) -> tuple[SyncTarget, PullCursor]:
        """A target that is ready for batches, and how far this replica pulled from it. Raises PostgresFault.

        A server that went back in time, or is another one, is REMOTE_BEHIND and left alone.
        """
        target, was_probed = await self._connected()
        cursor = await self._journal.pull_cursor()
        if was_probed or cursor is None:
            head = await self._register(target)
            if cursor is None:
                # From zero, so that the first pull brings everything that other replicas have sent so far.
                cursor = PullCursor(change_seq=0, incarnation=head.incarnation)
                await self._journal.set_pull_cursor(token, cursor)
            elif is_behind(head, cursor):
                raise behind_fault()
        if await self._has_lost_batches(target):
            raise behind_fault()
        return target, cursor

    async def _has_lost_batches(self, target: SyncTarget) -> bool:
        """Whether the ledger lacks what this workspace saw acknowledged last.

        A standby that was promoted may have lost the last batches, and other replicas may since have pushed it past
        this workspace's mark: then the head does not show it. Asked before anything is sent, because the next
        acknowledged record would hide it.
        """
        last = await self._journal.last_acknowledged()
        return last is not None and not await target.ledger_has([last])

    async def restart(self) -> tuple[SyncTarget, PullCursor | None]:
        """The target, and where to start over with it if the server went back in time. Raises PostgresFault.

        The caller stores the cursor once everything was sent again: until then the state stays REMOTE_BEHIND, so that a
        re-send that was interrupted is not taken for one that was done.
        """
        target, _ = await self._connected()
        cursor = await self._journal.pull_cursor()
        head = await self._register(target)
        if cursor is None or not (is_behind(head, cursor) or await self._has_lost_batches(target)):
            return target, None
        if head.incarnation == cursor.incarnation:
            head = await target.renew_incarnation(self._journal.workspace_id)
        return target, PullCursor(change_seq=0, incarnation=head.incarnation)

    async def probe(self) -> None:
        """Connect, read versions, clock and round trip, and disconnect; changes nothing. Raises PostgresFault."""
        target = self._make()
        try:
            await target.connect()
            self.facts = await target.probe()
            await target.check_schema()
        finally:
            await self.close()

    async def migrate(self, *, dry_run: bool = False) -> TierMigrations:
        """Bring the schema up to date; the next round probes again. Raises PostgresFault, MigrationError."""
        target = self._make()
        self._probed_at = None
        distribute = self.settings.persistence.postgres.distribute
        return await target.migrate(distribute=distribute, dry_run=dry_run)

    async def close(self) -> None:
        """Close the connection, within two seconds; the next use starts over.

        Also after every fault of the target, since nothing that was known of it can be relied on then: a standby may
        have been promoted behind the same name, a right may have been granted to the next session only.
        """
        target, self._target = self._target, None
        self._probed_at = self._opened_at = None
        self._is_given_back = False
        if target is not None:
            await target.close()

    async def give_back(self) -> None:
        """Close a connection that nothing needs at present, so that others may have its place.

        What the last probe saw counts on for as long as it would over an open connection: every batch and every pull
        compares the head, and is refused by a server that is another one, or read-only, or has another schema.
        """
        if self._target is not None and self.is_open:
            self._is_given_back = True
            self._opened_at = None
            await self._target.close()

    def terminate(self) -> None:
        """Cut the operation in flight; it fails with a PostgresFault."""
        if self._target is not None:
            self._target.terminate()

    def _make(self) -> SyncTarget:
        address = self.address()
        assert address is not None
        if self._target is None or self._target.address != address:
            add_secrets(address.secrets)
            self._target = self._make_target(address, self.settings.persistence.postgres)
        return self._target

    async def _connected(self) -> tuple[SyncTarget, bool]:
        """A connected target with the schema that this program needs, and whether it was probed just now."""
        target = self._make()
        if not target.is_connected:
            if not self._is_given_back:
                self._probed_at = None
            self._is_given_back = False
            await target.connect()
            self._opened_at = self._wall()
        return target, await self._probe_if_due(target)

    async def _register(self, target: SyncTarget) -> Head:
        return await target.register_workspace(
            self._journal.workspace_id, user=self._user, host=self._journal.host, version=VERSION
        )

    async def _probe_if_due(self, target: SyncTarget) -> bool:
        """Probe a new connection, and once a minute: schema, clock, round trip. Returns whether it did."""
        now = self._wall()
        if self._probed_at is not None and (now - self._probed_at).total_seconds() < PROBE_SECONDS:
            return False
        # Kept even if a fault follows: the status shows the version that does not fit.
        self.facts = facts = await target.probe()
        postgres = self.settings.persistence.postgres
        if facts.schema_version != self.target_schema_version and postgres.auto_migrate and not facts.read_only:
            try:
                await target.migrate(distribute=postgres.distribute)
            except MigrationError as error:
                raise PostgresFault(Fault(kind=FaultKind.SCHEMA, sentence=error.message, hint=error.hint)) from error
            self.facts = facts = await target.probe()
        await target.check_schema()
        if facts.read_only:
            raise PostgresFault(
                Fault(
                    kind=FaultKind.SERVER,
                    sqlstate="25006",
                    sentence=f"{target.address.display} is read-only, a standby perhaps",
                    hint="point the address at the primary",
                )
            )
        if abs(facts.clock_offset) > CLOCK_WARNING_SECONDS:
            log.warning("sync.clock_offset", offset_ms=round(facts.clock_offset * 1000))
        self._probed_at = now
        return True
