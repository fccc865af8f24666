"""Market data of many symbols at once, in as few questions to the stores as for one.

Answers are composed by the rules of `MarketData`, and are the same as it gives for each symbol.

Reads: through the stores of a `MarketData`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from marketstream.domain.errors import StoreUnavailableError
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Quote, Tick
from marketstream.observability.metrics import CACHE_READS
from marketstream.ports import BatchReader, CacheReader
from marketstream.serving.filling import FilledBar, fill, holes_of
from marketstream.serving.market_data import Answer, MarketData
from marketstream.serving.merging import Range, Versioned, merge_ticks, overlay, starts_in

T = TypeVar("T")
Outcomes = dict[str, Answer[T] | StoreUnavailableError]
_Asked = Callable[[BatchReader, Sequence[str], Range, int], dict[str, list[Versioned]]]
_Single = Callable[[str], Answer[list[Versioned]]]


class MarketBatches:
    """Asks the stores of one `MarketData` about many symbols at once. Thread-safe if its readers are.

    Where no store can tell of a symbol, its outcome is the error.

    Args:
        market_data: Whose stores are asked.
    """

    def __init__(self, market_data: MarketData) -> None:
        self._market_data = market_data

    def latest(self, symbols: Sequence[str]) -> Outcomes[Tick | None]:
        """As `MarketData.latest`."""
        market = self._market_data
        cached, cache_away = self._from_cache(lambda reader: reader.latest_of(symbols), len(symbols))
        found: Outcomes[Tick | None] = {
            symbol: market.answer(tick, "cache", degraded=False, received_us=tick.received_time_us)
            for symbol, tick in cached.items()
        }
        rest = [symbol for symbol in symbols if symbol not in found]
        if not rest:
            return found
        try:
            stored = market.history.read(lambda reader: reader.latest_of(rest))
        except StoreUnavailableError:
            return {**found, **_each(rest, market.latest)}
        for symbol in rest:
            tick = stored.get(symbol)
            received_us = tick.received_time_us if tick else None
            found[symbol] = market.answer(tick, "database", degraded=cache_away, received_us=received_us)
        return found

    def quotes(self, symbols: Sequence[str]) -> Outcomes[Quote | None]:
        """As `MarketData.quote`."""
        market = self._market_data
        try:
            cached = market.cache.read(lambda reader: reader.quotes_of(symbols))
        except StoreUnavailableError as error:
            return dict.fromkeys(symbols, error)
        quotes = {symbol: cached.get(symbol) for symbol in symbols}
        return {
            symbol: market.answer(quote, "cache", degraded=False, received_us=quote.received_time_us if quote else None)
            for symbol, quote in quotes.items()
        }

    def ticks(self, symbols: Sequence[str], between: Range, limit: int) -> Outcomes[list[Tick]]:
        """As `MarketData.ticks` without a place."""
        market = self._market_data
        start_us, end_us = between
        ranged = start_us is not None or end_us is not None
        kept: Mapping[str, list[Tick]] = {}
        cache_away = False
        if not ranged:  # one more than wanted, as there
            kept, cache_away = self._from_cache(
                lambda reader: reader.ticks_of(symbols, start_us=None, end_us=None, limit=limit + 1), len(symbols)
            )
        known = {symbol: sorted(ticks, key=lambda tick: tick.place) for symbol, ticks in kept.items()}
        found: Outcomes[list[Tick]] = {
            symbol: market.ticks_answer(ticks[-limit:], "cache", degraded=False)
            for symbol, ticks in known.items()
            if len(ticks) > limit and ticks[0].order < ticks[1].order
        }
        rest = [symbol for symbol in symbols if symbol not in found]
        if not rest:
            return found
        try:
            stored = market.history.read(
                lambda reader: reader.ticks_of(rest, start_us=start_us, end_us=end_us, limit=limit)
            )
        except StoreUnavailableError:
            single = partial(market.ticks, start_us=start_us, end_us=end_us, limit=limit)
            return {**found, **_each(rest, single)}
        for symbol in rest:
            merged, source = merge_ticks(stored.get(symbol, []), known.get(symbol, []), limit)
            found[symbol] = market.ticks_answer(merged, source, degraded=cache_away)
        return found

    def cancelled(self, ranges_us: Mapping[str, tuple[int, int]]) -> Mapping[str, set[tuple[str, str]]] | None:
        """(Provider, id) of each symbol's trades that were taken back; None where the database is away."""
        try:
            return self._market_data.history.read(lambda reader: reader.cancelled_of(ranges_us))
        except StoreUnavailableError:
            return None

    def bars(self, symbols: Sequence[str], interval: Interval, between: Range, limit: int) -> Outcomes[list[Bar]]:
        """As `MarketData.bars`."""

        def asked(reader: BatchReader, symbols: Sequence[str], between: Range, limit: int) -> dict[str, list[Bar]]:
            return reader.bars_of(symbols, interval, start_us=between[0], end_us=between[1], limit=limit)

        def single(symbol: str) -> Answer[list[Bar]]:
            return self._market_data.bars(symbol, interval, start_us=between[0], end_us=between[1], limit=limit)

        return self._with_live(symbols, asked, single, (between, limit))

    def indicators(
        self, symbols: Sequence[str], interval: Interval, between: Range, limit: int
    ) -> Outcomes[list[Indicators]]:
        """As `MarketData.indicators`."""

        def asked(
            reader: BatchReader, symbols: Sequence[str], between: Range, limit: int
        ) -> dict[str, list[Indicators]]:
            return reader.indicators_of(symbols, interval, start_us=between[0], end_us=between[1], limit=limit)

        def single(symbol: str) -> Answer[list[Indicators]]:
            return self._market_data.indicators(symbol, interval, start_us=between[0], end_us=between[1], limit=limit)

        return self._with_live(symbols, asked, single, (between, limit))

    def filled(
        self, symbols: Sequence[str], interval: Interval, between: Range, limit: int
    ) -> Outcomes[list[FilledBar]]:
        """As `filled_bars`; symbols whose first window is the same share the question for the bar before it."""
        now_us = self._market_data.now_us()
        outcomes = self.bars(symbols, interval, between, limit)
        answers = {symbol: it for symbol, it in outcomes.items() if isinstance(it, Answer)}
        holes = {symbol: holes_of(it.data, interval, between, limit, now_us) for symbol, it in answers.items()}
        open_at: dict[int, list[str]] = {}
        for symbol, each in holes.items():
            if each.open:
                open_at.setdefault(each.first_us, []).append(symbol)
        before: Outcomes[list[Bar]] = {}
        for first_us, names in open_at.items():
            before |= self.bars(names, interval, (None, first_us), 1)
        found: Outcomes[list[FilledBar]] = {}
        for symbol in symbols:
            outcome, first = outcomes[symbol], before.get(symbol)
            if isinstance(outcome, Answer) and not isinstance(first, StoreUnavailableError):
                found[symbol] = fill(outcome, first, interval, holes[symbol])
            else:
                found[symbol] = outcome if isinstance(outcome, StoreUnavailableError) else _error(first)
        return found

    def _with_live(
        self, symbols: Sequence[str], asked: _Asked[Versioned], single: _Single[Versioned], page: tuple[Range, int]
    ) -> Outcomes[list[Versioned]]:
        market, (between, limit) = self._market_data, page
        cached, cache_away = self._from_cache(lambda reader: asked(reader, symbols, (None, None), 1), len(symbols))
        live = {name: [bar for bar in bars if starts_in(bar, between)] for name, bars in cached.items()}
        found: Outcomes[list[Versioned]] = {}
        if limit == 1 and between == (None, None):
            found |= {name: market.bars_answer(bars, "cache", degraded=False) for name, bars in live.items() if bars}
        rest = [symbol for symbol in symbols if symbol not in found]
        if not rest:
            return found
        try:
            stored = market.history.read(lambda reader: asked(reader, rest, between, limit))
        except StoreUnavailableError:
            return {**found, **_each(rest, single)}
        for symbol in rest:
            overlaid, source = overlay(stored.get(symbol, []), live.get(symbol, []), limit)
            found[symbol] = market.bars_answer(overlaid, source, degraded=cache_away)
        return found

    def _from_cache(self, query: Callable[[CacheReader], dict[str, T]], count: int) -> tuple[dict[str, T], bool]:
        try:
            found = self._market_data.cache.read(query)
        except StoreUnavailableError:
            CACHE_READS.labels("away").inc(count)
            return {}, True
        CACHE_READS.labels("hit").inc(len(found))
        CACHE_READS.labels("miss").inc(count - len(found))
        return found, False


def _each(symbols: Iterable[str], single: Callable[[str], Answer[T]]) -> Outcomes[T]:
    """One after the other: the database is away and left alone, so this asks the cache only, by the exact rules."""
    found: Outcomes[T] = {}
    for symbol in symbols:
        try:
            found[symbol] = single(symbol)
        except StoreUnavailableError as error:
            found[symbol] = error
    return found


def _error(outcome: object) -> StoreUnavailableError:
    assert isinstance(outcome, StoreUnavailableError)  # noqa: S101  # the only other kind of outcome
    return outcome
