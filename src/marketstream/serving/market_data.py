"""Ticks, bars, indicators and quotes for REST and the screens: the cache first, then the database, or either alone.

Reads: through two injected readers, the cache (Redis) and the history (TimescaleDB / PostgreSQL).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from marketstream.clock import SystemClock
from marketstream.domain.errors import StoreUnavailableError
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import MICROSECONDS, Interval
from marketstream.domain.market import Bar, Quote, Tick, TickPlace
from marketstream.observability.metrics import CACHE_READS
from marketstream.ports import CacheReader, Clock, HistoryReader, LatestReader, MarketReader
from marketstream.serving.merging import Range, Source, Versioned, merge_ticks, overlay, place_of, starts_in
from marketstream.serving.seen import Seen
from marketstream.serving.stores import Health, Store

T = TypeVar("T")

_ALL = 10_000  # more ticks than the cache keeps


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """Market data and where it came from.

    Attributes:
        data: What was asked for; lists are oldest first.
        source: The store or stores that contributed.
        degraded: A store that belonged in the answer was away, so it may lack something.
        stale: The newest datum was received longer ago than the allowed age, or there is none.
        age_seconds: Age of the newest datum since it was received; None where there is none.
        received_us: When that was.
    """

    data: T
    source: Source
    degraded: bool
    stale: bool
    age_seconds: float | None
    received_us: int | None = None


class MarketData:
    """Composes the cache and the history. Thread-safe if its readers are. Opens nothing.

    Args:
        cache: The newest tick, ticks, bar, indicators and quote of each symbol.
        history: Everything kept.
        symbols: Configured symbols, known even before their first trade.
        intervals: Configured intervals, known even before their first bar.
        stale_after_seconds: Age from which data counts as stale.
        clock: Wall clock.
        newest: Reads the cache's newest ticks without a thread, where there is such a reader.
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
        newest: LatestReader | None = None,
    ) -> None:
        self._newest = newest
        self.cache = Store("cache", cache)
        self.history = Store("database", history)
        self._stale_after_seconds = stale_after_seconds
        self._clock = clock or SystemClock()
        self._symbols = Seen(symbols)
        self._intervals = Seen(interval.name for interval in intervals)

    def now_us(self) -> int:
        """The present, in µs UTC."""
        return self._clock.now_us()

    async def latest_at_once(self, symbol: str) -> Answer[Tick | None] | None:
        """The symbol's newest tick where the cache has it, without a thread; None where `latest` has to be asked."""
        if self._newest is None:
            return None
        newest = self._newest
        try:
            cached = await self.cache.wait_for(lambda: newest.latest(symbol))
        except StoreUnavailableError:
            return None
        if cached is None:
            return None
        CACHE_READS.labels("hit").inc()
        return self.answer(cached, "cache", degraded=False, received_us=cached.received_time_us)

    def latest(self, symbol: str) -> Answer[Tick | None]:
        """The symbol's newest tick that makes the price: the cache's while it keeps one, else the database's.

        Raises:
            StoreUnavailableError: No store that could know is there.
        """
        cached, cache_away = self._from_cache(lambda reader: reader.latest(symbol))
        if cached is not None:
            return self.answer(cached, "cache", degraded=False, received_us=cached.received_time_us)
        try:
            stored = self.history.read(lambda reader: reader.latest(symbol))
        except StoreUnavailableError:
            # The cache's newest price expires, its list of ticks does not.
            kept, _ = self._from_cache(lambda reader: reader.latest_kept(symbol))
            if kept is None:
                raise
            return self.answer(kept, "cache", degraded=True, received_us=kept.received_time_us)
        received = stored.received_time_us if stored else None
        return self.answer(stored, "database", degraded=cache_away, received_us=received)

    def quote(self, symbol: str) -> Answer[Quote | None]:
        """The symbol's newest quote; only the cache keeps any, and for a minute.

        Raises:
            StoreUnavailableError: The cache is away.
        """
        quote = self.cache.read(lambda reader: reader.quote(symbol))
        return self.answer(quote, "cache", degraded=False, received_us=quote.received_time_us if quote else None)

    def ticks(
        self,
        symbol: str,
        *,
        start_us: int | None = None,
        end_us: int | None = None,
        before: TickPlace | None = None,
        limit: int = 1_000,
    ) -> Answer[list[Tick]]:
        """The newest `limit` ticks with event times in `[start_us, end_us)` that stand before a place.

        Without a range the cache answers alone if it holds enough; otherwise the database does, completed by ticks the
        cache already has and the database does not yet.

        Raises:
            StoreUnavailableError: Both stores are away.
        """

        def cache(reader: MarketReader, most: int) -> list[Tick]:
            kept = reader.ticks(symbol, start_us=start_us, end_us=end_us, limit=most)
            return sorted((tick for tick in kept if before is None or tick.place < before), key=place_of)

        def history(reader: HistoryReader) -> list[Tick]:
            if before is not None:
                return reader.ticks_before(symbol, before, start_us=start_us, limit=limit)
            return reader.ticks(symbol, start_us=start_us, end_us=end_us, limit=limit)

        ranged = start_us is not None or end_us is not None
        alone = not ranged and before is None
        # One more than wanted, to see that the oldest wanted shares its order with none that would be left out.
        kept, cache_away = (
            (None, False) if ranged else self._from_cache(lambda it: cache(it, limit + 1 if alone else _ALL))
        )
        if alone and kept is not None and len(kept) > limit and kept[0].order < kept[1].order:
            return self.ticks_answer(kept[-limit:], "cache", degraded=False)
        try:
            stored = self.history.read(history)
        except StoreUnavailableError:
            kept, away = self._from_cache(lambda it: cache(it, _ALL))
            if away or kept is None:
                raise
            return self.ticks_answer(kept[-limit:], "cache", degraded=True)
        merged, source = merge_ticks(stored, kept or [], limit)
        return self.ticks_answer(merged, source, degraded=cache_away)

    def cancelled(self, ticks: Sequence[Tick]) -> list[Tick] | None:
        """Those of one symbol's ticks that were taken back; None where the database, which knows it, is away."""
        if not ticks:
            return []
        times_us = [tick.event_time_us for tick in ticks]

        def query(reader: HistoryReader) -> set[tuple[str, str]]:
            return reader.cancelled(ticks[0].symbol, start_us=min(times_us), end_us=max(times_us) + 1)

        try:
            known = self.history.read(query)
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
        return [store.ping() for store in (self.cache, self.history)]

    def _seen(self, query: Callable[[MarketReader], list[str]]) -> set[str]:
        seen: set[str] = set()
        for store in (self.cache, self.history):
            try:
                seen.update(store.read(query))
            except StoreUnavailableError:
                continue  # logged by the store; what is configured is known anyway
        return seen

    def _with_live(
        self, query: Callable[[MarketReader, Range, int], list[Versioned]], between: Range, limit: int
    ) -> Answer[list[Versioned]]:
        cached, cache_away = self._from_cache(lambda reader: query(reader, (None, None), 1))
        live = [bar for bar in cached or [] if starts_in(bar, between)]
        if live and limit == 1 and between == (None, None):
            return self.bars_answer(live, "cache", degraded=False)
        try:
            stored = self.history.read(lambda reader: query(reader, between, limit))
        except StoreUnavailableError:
            if cache_away:
                raise
            return self.bars_answer(live, "cache", degraded=True)
        overlaid, source = overlay(stored, live, limit)
        return self.bars_answer(overlaid, source, degraded=cache_away)

    def _from_cache(self, query: Callable[[CacheReader], T]) -> tuple[T | None, bool]:
        try:
            found = self.cache.read(query)
        except StoreUnavailableError:
            CACHE_READS.labels("away").inc()
            return None, True
        CACHE_READS.labels("hit" if found else "miss").inc()
        return found, False

    def ticks_answer(self, ticks: list[Tick], source: Source, *, degraded: bool) -> Answer[list[Tick]]:
        """Ticks with where they came from."""
        newest = max((tick.received_time_us for tick in ticks), default=None)
        return self.answer(ticks, source, degraded=degraded, received_us=newest)

    def bars_answer(self, bars: list[Versioned], source: Source, *, degraded: bool) -> Answer[list[Versioned]]:
        """Bars or indicators with where they came from."""
        newest = max((bar.last_received_time_us for bar in bars), default=None)
        return self.answer(bars, source, degraded=degraded, received_us=newest)

    def answer(self, data: T, source: Source, *, degraded: bool, received_us: int | None) -> Answer[T]:
        """Data with where it came from and how old it is."""
        age = None if received_us is None else max(0, self._clock.now_us() - received_us) / MICROSECONDS
        stale = age is None or age > self._stale_after_seconds
        return Answer(data, source, degraded, stale, age, received_us)
