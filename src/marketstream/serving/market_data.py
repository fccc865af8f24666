"""Ticks, bars, indicators and quotes for REST and the screens: the cache first, then the database, or either alone.

Reads: through two injected readers, the cache (Redis) and the history (TimescaleDB / PostgreSQL).
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from marketstream.clock import SystemClock
from marketstream.domain.errors import StoreUnavailableError
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import MICROSECONDS, Interval
from marketstream.domain.market import Bar, Quote, Tick
from marketstream.observability.metrics import CACHE_READS
from marketstream.ports import CacheReader, Clock, HistoryReader, MarketReader
from marketstream.serving.stores import Health, Store

T = TypeVar("T")
Versioned = TypeVar("Versioned", Bar, Indicators)
Range = tuple[int | None, int | None]  # [start_us, end_us)
Source = Literal["cache", "database", "both"]

SEEN_KEPT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """Market data and where it came from.

    Attributes:
        data: What was asked for; lists are oldest first.
        source: The store or stores that contributed.
        degraded: A store that belonged in the answer was away, so it may lack something.
        stale: The newest datum was received longer ago than the allowed age, or there is none.
        age_seconds: Age of the newest datum since it was received; None where there is none.
    """

    data: T
    source: Source
    degraded: bool
    stale: bool
    age_seconds: float | None


class MarketData:
    """Composes the cache and the history. Thread-safe if its readers are. Opens nothing.

    Args:
        cache: The newest tick, ticks, bar, indicators and quote of each symbol.
        history: Everything kept.
        symbols: Configured symbols, known even before their first trade.
        intervals: Configured intervals, known even before their first bar.
        stale_after_seconds: Age from which data counts as stale.
        clock: Wall clock.
    """

    def __init__(
        self,
        cache: CacheReader,
        history: HistoryReader,
        *,
        symbols: Sequence[str],
        intervals: Sequence[Interval] = (),
        stale_after_seconds: float,
        clock: Clock | None = None,
    ) -> None:
        self._cache = Store("cache", cache)
        self._history = Store("database", history)
        self._stale_after_seconds = stale_after_seconds
        self._clock = clock or SystemClock()
        self._symbols = _Seen(symbols)
        self._intervals = _Seen(interval.name for interval in intervals)

    def latest(self, symbol: str) -> Answer[Tick | None]:
        """The symbol's newest tick that makes the price: the cache's while it keeps one, else the database's.

        Raises:
            StoreUnavailableError: No store that could know is there.
        """
        cached, cache_away = self._from_cache(lambda reader: reader.latest(symbol))
        if cached is not None:
            return self._answer(cached, "cache", degraded=False, received_us=cached.received_time_us)
        try:
            stored = self._history.read(lambda reader: reader.latest(symbol))
        except StoreUnavailableError:
            # The cache's newest price expires, its list of ticks does not.
            kept, _ = self._from_cache(lambda reader: reader.latest_kept(symbol))
            if kept is None:
                raise
            return self._answer(kept, "cache", degraded=True, received_us=kept.received_time_us)
        received = stored.received_time_us if stored else None
        return self._answer(stored, "database", degraded=cache_away, received_us=received)

    def quote(self, symbol: str) -> Answer[Quote | None]:
        """The symbol's newest quote; only the cache keeps any, and for a minute.

        Raises:
            StoreUnavailableError: The cache is away.
        """
        quote = self._cache.read(lambda reader: reader.quote(symbol))
        return self._answer(quote, "cache", degraded=False, received_us=quote.received_time_us if quote else None)

    def ticks(
        self, symbol: str, *, start_us: int | None = None, end_us: int | None = None, limit: int = 1_000
    ) -> Answer[list[Tick]]:
        """The newest `limit` ticks with event times in `[start_us, end_us)`.

        Without a range the cache answers alone if it holds enough; otherwise the database does, completed by ticks the
        cache already has and the database does not yet.

        Raises:
            StoreUnavailableError: Both stores are away.
        """

        def query(reader: MarketReader) -> list[Tick]:
            return reader.ticks(symbol, start_us=start_us, end_us=end_us, limit=limit)

        ranged = start_us is not None or end_us is not None
        cached, cache_away = (None, False) if ranged else self._from_cache(query)
        if cached is not None and len(cached) >= limit:
            return self._ticks_answer(cached[-limit:], "cache", degraded=False)
        try:
            stored = self._history.read(query)
        except StoreUnavailableError:
            kept, away = self._from_cache(query) if ranged else (cached, cache_away)
            if away or kept is None:
                raise
            return self._ticks_answer(kept[-limit:], "cache", degraded=True)
        merged, source = _merge_ticks(stored, cached or [], limit)
        return self._ticks_answer(merged, source, degraded=cache_away)

    def cancelled(self, ticks: Sequence[Tick]) -> list[Tick] | None:
        """Those of one symbol's ticks that were taken back; None where the database, which knows it, is away."""
        if not ticks:
            return []
        times_us = [tick.event_time_us for tick in ticks]

        def query(reader: HistoryReader) -> set[tuple[str, str]]:
            return reader.cancelled(ticks[0].symbol, start_us=min(times_us), end_us=max(times_us) + 1)

        try:
            known = self._history.read(query)
        except StoreUnavailableError:
            return None
        return [tick for tick in ticks if (tick.provider, tick.trade_id) in known]

    def bars(
        self,
        symbol: str,
        interval: Interval,
        *,
        start_us: int | None = None,
        end_us: int | None = None,
        limit: int = 1_000,
    ) -> Answer[list[Bar]]:
        """The newest `limit` bars that start in `[start_us, end_us)`: the database's, with the cache's live newest bar.

        The newest bar alone, without a range, is the cache's own matter.

        Raises:
            StoreUnavailableError: Both stores are away.
        """

        def query(reader: MarketReader, between: Range, limit: int) -> list[Bar]:
            return reader.bars(symbol, interval, start_us=between[0], end_us=between[1], limit=limit)

        return self._with_live(query, (start_us, end_us), limit)

    def indicators(
        self,
        symbol: str,
        interval: Interval,
        *,
        start_us: int | None = None,
        end_us: int | None = None,
        limit: int = 1_000,
    ) -> Answer[list[Indicators]]:
        """The indicators of the newest `limit` bars that start in `[start_us, end_us)`, by the rules of `bars`.

        Raises:
            StoreUnavailableError: Both stores are away.
        """

        def query(reader: MarketReader, between: Range, limit: int) -> list[Indicators]:
            return reader.indicators(symbol, interval, start_us=between[0], end_us=between[1], limit=limit)

        return self._with_live(query, (start_us, end_us), limit)

    def symbols(self) -> list[str]:
        """Configured symbols and those the stores have seen, sorted; remembered for a few seconds."""
        return sorted(self._symbols.all(lambda: self._seen(lambda reader: reader.symbols())))

    def intervals(self) -> list[Interval]:
        """Configured intervals and those of which the stores have bars, shortest first; remembered as symbols are.

        Providers send bars of lengths that are not made here, and so may a backfill.
        """
        return sorted(map(Interval.parse, self._intervals.all(lambda: self._seen(lambda reader: reader.intervals()))))

    def interval(self, name: str) -> Interval | None:
        """The interval of that name, where it is one of `intervals`."""
        return next((interval for interval in self.intervals() if interval.name == name), None)

    def health(self) -> list[Health]:
        """Asks every store whether it answers, never from memory."""
        return [store.ping() for store in (self._cache, self._history)]

    def _seen(self, query: Callable[[MarketReader], list[str]]) -> set[str]:
        seen: set[str] = set()
        for store in (self._cache, self._history):
            try:
                seen.update(store.read(query))
            except StoreUnavailableError:
                continue  # logged by the store; what is configured is known anyway
        return seen

    def _with_live(
        self, query: Callable[[MarketReader, Range, int], list[Versioned]], between: Range, limit: int
    ) -> Answer[list[Versioned]]:
        cached, cache_away = self._from_cache(lambda reader: query(reader, (None, None), 1))
        live = [bar for bar in cached or [] if _starts_in(bar, between)]
        if live and limit == 1 and between == (None, None):
            return self._bars_answer(live, "cache", degraded=False)
        try:
            stored = self._history.read(lambda reader: query(reader, between, limit))
        except StoreUnavailableError:
            if cache_away:
                raise
            return self._bars_answer(live, "cache", degraded=True)
        overlaid, source = _overlay(stored, live, limit)
        return self._bars_answer(overlaid, source, degraded=cache_away)

    def _from_cache(self, query: Callable[[CacheReader], T]) -> tuple[T | None, bool]:
        try:
            found = self._cache.read(query)
        except StoreUnavailableError:
            CACHE_READS.labels("away").inc()
            return None, True
        CACHE_READS.labels("hit" if found else "miss").inc()
        return found, False

    def _ticks_answer(self, ticks: list[Tick], source: Source, *, degraded: bool) -> Answer[list[Tick]]:
        newest = max((tick.received_time_us for tick in ticks), default=None)
        return self._answer(ticks, source, degraded=degraded, received_us=newest)

    def _bars_answer(self, bars: list[Versioned], source: Source, *, degraded: bool) -> Answer[list[Versioned]]:
        newest = max((bar.last_received_time_us for bar in bars), default=None)
        return self._answer(bars, source, degraded=degraded, received_us=newest)

    def _answer(self, data: T, source: Source, *, degraded: bool, received_us: int | None) -> Answer[T]:
        age = None if received_us is None else max(0, self._clock.now_us() - received_us) / MICROSECONDS
        stale = age is None or age > self._stale_after_seconds
        return Answer(data, source, degraded, stale, age)


class _Seen:
    """Configured names and those the stores have seen, remembered for a moment."""

    def __init__(self, configured: Iterable[str]) -> None:
        self._configured = frozenset(configured)
        self._remembered: tuple[float, frozenset[str]] = (0.0, frozenset())
        self._lock = threading.Lock()

    def all(self, look: Callable[[], set[str]]) -> frozenset[str]:
        with self._lock:
            until, names = self._remembered
        if time.monotonic() < until:
            return names
        names = self._configured | look()
        with self._lock:
            self._remembered = (time.monotonic() + SEEN_KEPT_SECONDS, names)
        return names


def _starts_in(bar: Bar | Indicators, between: Range) -> bool:
    start_us, end_us = between
    return (start_us is None or bar.start_us >= start_us) and (end_us is None or bar.start_us < end_us)


def _merge_ticks(stored: list[Tick], cached: list[Tick], limit: int) -> tuple[list[Tick], Source]:
    known = {(tick.provider, tick.trade_id) for tick in stored}
    newer = [tick for tick in cached if (tick.provider, tick.trade_id) not in known]
    if not newer:
        return stored[-limit:], "database"
    return sorted(stored + newer, key=lambda tick: tick.order)[-limit:], "both" if stored else "cache"


def _overlay(stored: list[Versioned], live: list[Versioned], limit: int) -> tuple[list[Versioned], Source]:
    by_start = {bar.start_us: bar for bar in stored}
    newer = [bar for bar in live if bar.start_us not in by_start or bar.version > by_start[bar.start_us].version]
    if not newer:
        return stored[-limit:], "database"
    by_start.update((bar.start_us, bar) for bar in newer)
    return [by_start[start] for start in sorted(by_start)][-limit:], "both" if stored else "cache"
