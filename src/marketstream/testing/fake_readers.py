"""An in-memory reader of market data, for tests of what serves it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Cancel, Quote, Tick, TickPlace
from marketstream.ports import CacheReader, ForwardReader, HistoryReader
from marketstream.testing.fakes import Switchable

_Item = TypeVar("_Item")
_Versioned = TypeVar("_Versioned", Bar, Indicators)


class InMemoryMarketReader(Switchable, CacheReader, HistoryReader, ForwardReader):
    """A store's reader over ticks, bars, indicators and quotes held in memory; serves as cache and as history.

    Attributes:
        available: Set it to False to make every read raise `StoreUnavailableError`.
    """

    def __init__(self, ticks: Iterable[Tick] = (), bars: Iterable[Bar] = ()) -> None:
        super().__init__()
        self._ticks: dict[str, dict[tuple[str, str], Tick]] = {}
        self._bars: dict[tuple[str, str], dict[int, Bar]] = {}
        self._indicators: dict[tuple[str, str], dict[int, Indicators]] = {}
        self._quotes: dict[str, Quote] = {}
        self._cancelled: dict[str, list[Cancel]] = {}
        self.add(*ticks, *bars)

    def add(self, *items: Tick | Bar | Indicators | Quote | Cancel) -> None:
        """Stores them; the same tick again, an older version of a bar or an older quote changes nothing."""
        for item in items:
            if isinstance(item, Cancel):
                self._cancelled.setdefault(item.symbol, []).append(item)
                continue
            if isinstance(item, Quote):
                self._quotes[item.symbol] = max(
                    item, self._quotes.get(item.symbol, item), key=lambda quote: quote.order
                )
                continue
            if isinstance(item, Tick):
                self._ticks.setdefault(item.symbol, {}).setdefault((item.provider, item.trade_id), item)
                continue
            if isinstance(item, Bar):
                _keep(item, self._bars.setdefault((item.symbol, item.interval), {}))
            else:
                _keep(item, self._indicators.setdefault((item.symbol, item.interval), {}))

    def latest(self, symbol: str) -> Tick | None:
        """The symbol's newest tick by (event time, sequence) that was not taken back by its id."""
        return self.latest_kept(symbol)

    def latest_kept(self, symbol: str) -> Tick | None:
        """The same: nothing here is forgotten."""
        taken_back = self.cancelled(symbol, start_us=0, end_us=2**63)
        standing = (tick for key, tick in self._ticks.get(symbol, {}).items() if key not in taken_back)
        return max(standing, key=lambda tick: tick.order, default=None)

    def ticks(self, symbol: str, *, start_us: int | None, end_us: int | None, limit: int) -> list[Tick]:
        """The newest `limit` ticks in `[start_us, end_us)`, oldest first."""
        self.ping()
        found = [tick for tick in self._ticks.get(symbol, {}).values() if _within(tick.event_time_us, start_us, end_us)]
        return _newest(sorted(found, key=lambda tick: tick.place), limit)

    def ticks_before(self, symbol: str, before: TickPlace, *, start_us: int | None, limit: int) -> list[Tick]:
        """The newest `limit` ticks from `start_us` on that stand before this place, oldest first."""
        found = self.ticks(symbol, start_us=start_us, end_us=None, limit=len(self._ticks.get(symbol, {})))
        return _newest([tick for tick in found if tick.place < before], limit)

    def first_ticks(self, symbol: str, after: TickPlace, *, end_us: int | None, limit: int) -> list[Tick]:
        """The oldest `limit` ticks that stand after this place, oldest first."""
        found = self.ticks(symbol, start_us=None, end_us=end_us, limit=len(self._ticks.get(symbol, {})))
        return [tick for tick in found if tick.place > after][:limit]

    def first_bars(
        self, symbol: str, interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> list[Bar]:
        """The oldest `limit` bars that start in `[start_us, end_us)`, oldest first."""
        stored = len(self._bars.get((symbol, interval.name), {}))
        return self.bars(symbol, interval, start_us=start_us, end_us=end_us, limit=stored)[:limit]

    def first_indicators(
        self, symbol: str, interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> list[Indicators]:
        """The indicators of the oldest `limit` bars that start in `[start_us, end_us)`, oldest first."""
        stored = len(self._indicators.get((symbol, interval.name), {}))
        return self.indicators(symbol, interval, start_us=start_us, end_us=end_us, limit=stored)[:limit]

    def cancelled(self, symbol: str, *, start_us: int, end_us: int) -> set[tuple[str, str]]:
        """(Provider, id) of trades of which a cancel with their id was added."""
        self.ping()
        cancels = [each for each in self._cancelled.get(symbol, ()) if _within(each.event_time_us, start_us, end_us)]
        return {(cancel.provider, cancel.trade_id) for cancel in cancels if cancel.trade_id}

    def bars(
        self, symbol: str, interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> list[Bar]:
        """The newest `limit` bars that start in `[start_us, end_us)`, oldest first."""
        self.ping()
        stored = self._bars.get((symbol, interval.name), {})
        found = [bar for start, bar in sorted(stored.items()) if _within(start, start_us, end_us) and not bar.void]
        return _newest(found, limit)

    def stored_bars(self, symbol: str, interval: Interval, *, start_us: int, end_us: int) -> list[Bar]:
        """All bars that start in `[start_us, end_us)`, void ones too, oldest first."""
        self.ping()
        stored = self._bars.get((symbol, interval.name), {})
        return [bar for start, bar in sorted(stored.items()) if _within(start, start_us, end_us)]

    def indicators(
        self, symbol: str, interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> list[Indicators]:
        """The indicators of the newest `limit` bars that start in `[start_us, end_us)`, oldest first."""
        self.ping()
        versions = self._indicators.get((symbol, interval.name), {})
        return _newest([versions[start] for start in sorted(versions) if _within(start, start_us, end_us)], limit)

    def latest_of(self, symbols: Sequence[str]) -> dict[str, Tick]:
        """The newest tick of each symbol."""
        self.ping()
        return {symbol: tick for symbol in symbols if (tick := self.latest(symbol)) is not None}

    def quotes_of(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """The newest quote of each symbol."""
        self.ping()
        return {symbol: self._quotes[symbol] for symbol in symbols if symbol in self._quotes}

    def ticks_of(
        self, symbols: Sequence[str], *, start_us: int | None, end_us: int | None, limit: int
    ) -> dict[str, list[Tick]]:
        """The newest `limit` ticks of each symbol."""
        self.ping()
        found = {each: self.ticks(each, start_us=start_us, end_us=end_us, limit=limit) for each in symbols}
        return {symbol: ticks for symbol, ticks in found.items() if ticks}

    def bars_of(
        self, symbols: Sequence[str], interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> dict[str, list[Bar]]:
        """The newest `limit` bars of each symbol."""
        self.ping()
        found = {each: self.bars(each, interval, start_us=start_us, end_us=end_us, limit=limit) for each in symbols}
        return {symbol: bars for symbol, bars in found.items() if bars}

    def indicators_of(
        self, symbols: Sequence[str], interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> dict[str, list[Indicators]]:
        """The indicators of the newest `limit` bars of each symbol."""
        self.ping()
        between = {"start_us": start_us, "end_us": end_us}
        found = {each: self.indicators(each, interval, **between, limit=limit) for each in symbols}
        return {symbol: said for symbol, said in found.items() if said}

    def cancelled_of(self, ranges_us: Mapping[str, tuple[int, int]]) -> dict[str, set[tuple[str, str]]]:
        """(Provider, id) of cancelled trades of each symbol in its own range."""
        self.ping()
        found = {each: self.cancelled(each, start_us=first, end_us=end) for each, (first, end) in ranges_us.items()}
        return {symbol: keys for symbol, keys in found.items() if keys}

    def symbols(self) -> list[str]:
        """Symbols with a tick or a bar, sorted."""
        self.ping()
        return sorted({*self._ticks, *(symbol for symbol, _ in self._bars)})

    def intervals(self) -> list[str]:
        """Intervals with a bar."""
        self.ping()
        return list({interval for _, interval in self._bars})

    def quote(self, symbol: str) -> Quote | None:
        """The symbol's newest quote by (event time, sequence)."""
        self.ping()
        return self._quotes.get(symbol)


def _keep(item: _Versioned, versions: dict[int, _Versioned]) -> None:
    known = versions.get(item.start_us)
    if known is None or known.version <= item.version:
        versions[item.start_us] = item


def _newest(items: list[_Item], limit: int) -> list[_Item]:
    return items[-limit:] if limit > 0 else []


def _within(time_us: int, start_us: int | None, end_us: int | None) -> bool:
    return (start_us is None or time_us >= start_us) and (end_us is None or time_us < end_us)
