"""Metrics for Prometheus, over HTTP on the loopback interface. Measured at each scrape; between scrapes nothing runs.

Labels hold states, versions and names of checks only, never anything recorded or configured.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime

import msgspec
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from acode_tui.domain.errors import AcodeError
from acode_tui.logs import get_logger
from acode_tui.ops.health import HealthStatus
from acode_tui.ops.health.metrics_http import ADDRESS, Limits, Page, PageServer, cannot_listen

SCRAPE_SECONDS = 8.0
"""Prometheus gives up after ten."""

_COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)
_BATCH_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)

log = get_logger("acode_tui.metrics")


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The workspace at one moment. Times are aware; ``state`` is one of ``states``; None is left out."""

    version: str
    now: datetime
    pending: int
    oldest_pending_at: datetime | None
    retrying: int
    attempts: int
    dead_letters: int
    conflicts: int
    unreviewed_conflicts: int
    duplicates: int
    rate: float
    state: str
    states: tuple[str, ...]
    last_sync_at: datetime | None = None
    next_attempt_at: datetime | None = None
    latency_seconds: float | None = None
    clock_offset_seconds: float | None = None
    database_bytes: int = 0
    sessions: int = 0
    health: Mapping[str, HealthStatus] = {}


TakeSample = Callable[[], Awaitable[Sample]]


class MetricsServer:
    """Serves until ``close``. ``observe_commit`` and ``observe_batch`` take seconds, from any thread."""

    def __init__(self, take_sample: TakeSample, limits: Limits | None = None) -> None:
        self._take_sample = take_sample
        self._timed = CollectorRegistry(auto_describe=False)
        self.observe_commit = Histogram(
            "acode_write_commit_seconds",
            "Time a group of writes took from the lock to the disk.",
            buckets=_COMMIT_BUCKETS,
            registry=self._timed,
        ).observe
        self.observe_batch = Histogram(
            "acode_sync_batch_seconds",
            "Time PostgreSQL took for one batch.",
            buckets=_BATCH_BUCKETS,
            registry=self._timed,
        ).observe
        self._scraping = asyncio.Lock()
        self._server = PageServer(self._page, limits)

    @property
    def port(self) -> int:
        return self._server.port

    async def open(self, port: int) -> None:
        """Listen; 0 takes any free port. Raises ConfigError where the port cannot be used."""
        try:
            await self._server.open(port)
        except OSError as error:
            raise cannot_listen("--metrics", ADDRESS, port, error) from None

    async def close(self) -> None:
        """Stop listening; harmless if repeated."""
        await self._server.close()

    async def _page(self, accept: str) -> Page:
        # One after the other: clients cannot make the workspace measure itself many times at once.
        async with self._scraping:
            sample = await self._sample()
        encode, content_type = choose_encoder(accept)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Measured(self._timed, sample))
        return Page(content_type, await asyncio.to_thread(encode, registry))

    async def _sample(self) -> Sample | None:
        try:
            async with asyncio.timeout(SCRAPE_SECONDS):
                return await self._take_sample()
        except (AcodeError, TimeoutError) as error:
            log.warning("metrics.unavailable", reason=str(error) or "no answer in time")
            return None


class _Measured(Collector):
    """A sample, and what was timed since the start; only whether it is there, if there is no sample."""

    def __init__(self, timed: CollectorRegistry, sample: Sample | None) -> None:
        self._timed = timed
        self._sample = sample

    def collect(self) -> Iterator[Metric]:
        yield from self._timed.collect()
        up = GaugeMetricFamily("acode_up", "1 if the workspace answers, 0 if not.")
        up.add_metric((), 0 if self._sample is None else 1)
        yield up
        if self._sample is not None:
            yield from families(self._sample)


def families(sample: Sample) -> Iterator[Metric]:
    """The metrics of a sample, in the order of the documentation."""

    def gauge(name: str, text: str, value: float | None) -> Iterator[Metric]:
        if value is not None:
            family = GaugeMetricFamily(name, text)
            family.add_metric((), value)
            yield family

    def counter(name: str, text: str, value: float) -> Iterator[Metric]:
        family = CounterMetricFamily(name, text)
        family.add_metric((), value)
        yield family

    age = 0.0
    if sample.oldest_pending_at is not None:
        age = max(0.0, (sample.now - sample.oldest_pending_at).total_seconds())
    build = GaugeMetricFamily("acode_build_info", "1, with the program's version.", labels=("version",))
    build.add_metric((sample.version,), 1)
    yield build
    yield from gauge("acode_outbox_pending", "Records that wait to be sent.", sample.pending)
    yield from gauge("acode_outbox_oldest_pending_seconds", "Age of the oldest of them; 0 if there is none.", age)
    yield from gauge("acode_outbox_retrying", "Pending records that were refused at least once.", sample.retrying)
    yield from gauge("acode_outbox_attempts", "Refusals of the records that are not finished.", sample.attempts)
    yield from gauge("acode_outbox_dead_letters", "Records that were refused for the last time.", sample.dead_letters)
    yield from counter("acode_conflicts", "Conflicts settled so far.", sample.conflicts)
    yield from gauge("acode_conflicts_unreviewed", "Conflicts that are not reviewed.", sample.unreviewed_conflicts)
    yield from counter("acode_sync_duplicates", "Records that had been applied before.", sample.duplicates)
    yield from gauge("acode_sync_rate_records_per_second", "Speed of the present or last drain.", sample.rate)
    state = GaugeMetricFamily(
        "acode_sync_state", "1 for the state the sync is in, 0 for the others.", labels=("state",)
    )
    for name in sample.states:
        state.add_metric((name,), float(name == sample.state))
    yield state
    yield from gauge(
        "acode_sync_last_success_timestamp_seconds", "When a sync last ended well.", _stamp(sample.last_sync_at)
    )
    yield from gauge(
        "acode_sync_next_attempt_timestamp_seconds", "When the next attempt is due.", _stamp(sample.next_attempt_at)
    )
    yield from gauge("acode_postgres_latency_seconds", "Round trip to PostgreSQL.", sample.latency_seconds)
    yield from gauge(
        "acode_postgres_clock_offset_seconds", "PostgreSQL's clock minus this one.", sample.clock_offset_seconds
    )
    yield from gauge("acode_database_size_bytes", "Size of the workspace file and its WAL.", sample.database_bytes)
    yield from gauge("acode_sessions", "Recorded sessions.", sample.sessions)
    if sample.health:
        ranks = tuple(HealthStatus)
        health = GaugeMetricFamily("acode_health_status", "0 healthy, 1 degraded, 2 unhealthy.", labels=("check",))
        for check, status in sample.health.items():
            health.add_metric((check,), ranks.index(status))
        yield health


def _stamp(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
