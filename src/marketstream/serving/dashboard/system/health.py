"""How the platform is, read for the page: services, lags, machine; feeds, their completeness, what was refused.

Reads: through `PlatformMetrics`, `FeedData` and the `DeadLetterDesk`.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from marketstream.contracts.dead_letters import DeadLetterDesk, LetterFilter, LetterGroups
from marketstream.contracts.feed_state import FeedState, MinuteRecord
from marketstream.contracts.messages import FeedEvent
from marketstream.observability import exporter
from marketstream.serving.feed_data import FeedData
from marketstream.serving.platform_metrics import PlatformMetrics, Value

MINUTE_US = 60_000_000
MINUTES = 60
MOST_SYMBOLS = 40
MOST_EVENTS = 40
_FEEDS_SECONDS = 8.0
_LETTERS_SECONDS = 60.0
_LETTERS_LOOK_BACK_US = 24 * 60 * MINUTE_US

T = TypeVar("T")


class Remembered(Generic[T]):
    """What takes a while to ask, asked at most every so often for all viewers together. Thread-safe."""

    def __init__(self, ask: Callable[[], T], seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._lock = threading.Lock()
        self._known: tuple[float, T] | None = None

    def get(self) -> T:
        """What is known, or is asked now; raises as that does."""
        with self._lock:
            if self._known is None or time.monotonic() >= self._known[0]:
                found = self._ask()
                self._known = time.monotonic() + self._seconds, found
            return self._known[1]


@dataclass(frozen=True, slots=True)
class Now:
    """What the processes say of themselves now.

    Attributes:
        services: As the launcher knows them; empty where it started nothing.
        processes: How many run of each.
        lags: Messages that each consumer group and query has still to take.
        last_tick_age_seconds: Since a trade was put onto Kafka.
        machine: Processors and memory.
        disk_free_share: Of the data's disk.
        bars_behind_seconds: How much later the newest trade came than those in bars.
    """

    services: Sequence[Mapping[str, Any]]
    processes: Mapping[str, int]
    lags: Mapping[str, int]
    last_tick_age_seconds: float | None
    machine: Mapping[str, Any]
    disk_free_share: float | None
    bars_behind_seconds: float | None


@dataclass(frozen=True, slots=True)
class Feeds:
    """How the feeds are: their states, what happened last, and each minute's completeness."""

    states: Sequence[FeedState]
    events: Sequence[FeedEvent]
    minutes: Sequence[MinuteRecord]
    now_us: int


def read_now(metrics: PlatformMetrics) -> Now:
    """Asks the exporters, the launcher and the machine.

    Raises:
        StoreUnavailableError: No exporter answers.
    """
    said = metrics.families.get()
    free, size = said.number(exporter.DISK_FREE), said.number(exporter.DISK_SIZE)
    return Now(
        services=metrics.services.get(),
        processes={each.labels["process"]: int(each.number) for each in said.values("marketstream_up")},
        lags={
            **_lags(said.values(exporter.CONSUMER_LAG), "group"),
            **_lags(said.values("marketstream_query_lag_messages"), "query"),
        },
        last_tick_age_seconds=said.number(exporter.LAST_TICK_AGE),
        machine=metrics.machine(),
        disk_free_share=free / size if free is not None and size else None,
        bars_behind_seconds=said.number("marketstream_bars_behind_seconds"),
    )


def feeds_of(feed_data: FeedData, symbols: Callable[[], Sequence[str]]) -> Remembered[Feeds]:
    """Reads the feeds; raises `StoreUnavailableError` where the database is away."""

    def read() -> Feeds:
        now_us = feed_data.now_us()
        end_us = now_us - now_us % MINUTE_US
        events = feed_data.events(provider=None, kind=None, limit=MOST_EVENTS)
        minutes = feed_data.completeness(list(symbols())[:MOST_SYMBOLS], end_us - MINUTES * MINUTE_US, end_us)
        return Feeds(feed_data.feeds(), [event for _, event in events], minutes, now_us)

    return Remembered(read, _FEEDS_SECONDS)


def letters_of(desk: DeadLetterDesk, now_us: Callable[[], int]) -> Remembered[LetterGroups]:
    """Counts a day's dead letters; raises `BusError` where Kafka is away."""
    return Remembered(lambda: desk.groups(LetterFilter(since_us=now_us() - _LETTERS_LOOK_BACK_US)), _LETTERS_SECONDS)


def _lags(values: Sequence[Value], label: str) -> dict[str, int]:
    lags: dict[str, int] = {}
    for each in values:
        name = each.labels.get(label, "") + (" query" if label == "query" else "")
        lags[name] = lags.get(name, 0) + int(each.number)
    return lags
