"""What has been played, for the providers' REST APIs: the past is what a listener could have heard."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import fsum

from marketstream.testing.market_trade import MarketTrade

MAX_TRADES_PER_SYMBOL = 500_000


@dataclass(frozen=True, slots=True)
class PlayedBar:
    """A bar of played trades over `[start_us, end_us)`."""

    start_us: int
    end_us: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float
    trade_count: int
    first_sequence: int
    last_sequence: int


def bar_of(trades: Sequence[MarketTrade], start_us: int, end_us: int) -> PlayedBar:
    """The bar of trades in order of time, at least one."""
    prices = [trade.price for trade in trades]
    volume = fsum(trade.size for trade in trades)
    value = fsum(trade.price * trade.size for trade in trades)
    return PlayedBar(
        start_us=start_us,
        end_us=end_us,
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        volume=volume,
        vwap=value / volume if volume else fsum(prices) / len(prices),
        trade_count=len(trades),
        first_sequence=trades[0].sequence,
        last_sequence=trades[-1].sequence,
    )


def _order(trade: MarketTrade) -> tuple[int, int]:
    return (trade.event_time_us, trade.sequence)


@dataclass
class _Symbol:
    by_time: list[MarketTrade] = field(default_factory=list)
    by_sequence: dict[int, MarketTrade] = field(default_factory=dict)
    newest_sequence: int = -1
    played: int = 0
    first_sequence: int = -1


class PlayedHistory:
    """The trades played so far, by symbol; the oldest of a symbol go beyond `MAX_TRADES_PER_SYMBOL`."""

    def __init__(self, max_trades_per_symbol: int = MAX_TRADES_PER_SYMBOL) -> None:
        self._limit = max_trades_per_symbol
        self._symbols: dict[str, _Symbol] = {}

    def add(self, trades: Iterable[MarketTrade]) -> None:
        """Notes trades as played, whether or not anybody heard them."""
        for trade in trades:
            known = self._symbols.setdefault(trade.symbol, _Symbol())
            if not known.by_time or _order(known.by_time[-1]) <= _order(trade):
                known.by_time.append(trade)
            else:
                insort(known.by_time, trade, key=_order)
            known.by_sequence[trade.sequence] = trade
            known.first_sequence = trade.sequence if not known.played else min(known.first_sequence, trade.sequence)
            known.played += 1
            known.newest_sequence = max(known.newest_sequence, trade.sequence)
            if len(known.by_time) > self._limit * 1.25:
                self._shed(known)

    def symbols(self) -> list[str]:
        """Symbols that have traded."""
        return list(self._symbols)

    def summary(self) -> dict[str, dict[str, int]]:
        """By symbol, how many trades were `played` in all, and their `first` and `highest` sequence."""
        return {
            symbol: {"played": known.played, "first": known.first_sequence, "highest": known.newest_sequence}
            for symbol, known in self._symbols.items()
        }

    def last(self, symbol: str) -> MarketTrade | None:
        """The symbol's newest trade by event time."""
        known = self._symbols.get(symbol)
        return known.by_time[-1] if known else None

    def between(self, symbol: str, start_us: int, end_us: int) -> list[MarketTrade]:
        """The symbol's trades with event times `[start_us, end_us)`, by (event time, sequence)."""
        known = self._symbols.get(symbol)
        if known is None:
            return []
        first = bisect_left(known.by_time, (start_us, -1), key=_order)
        end = bisect_left(known.by_time, (end_us, -1), key=_order)
        return known.by_time[first:end]

    def numbered_from(self, symbol: str, first: int, limit: int) -> list[MarketTrade]:
        """Up to `limit` trades with sequences from `first` on, rising."""
        known = self._symbols.get(symbol)
        if known is None:
            return []
        found: list[MarketTrade] = []
        oldest = next(iter(known.by_sequence), 0)
        for number in range(max(first, oldest), known.newest_sequence + 1):
            if (trade := known.by_sequence.get(number)) is not None:
                found.append(trade)
                if len(found) == limit:
                    break
        return found

    def bars(self, symbol: str, length_us: int, start_us: int, end_us: int) -> Iterator[PlayedBar]:
        """The symbol's bars that start in `[start_us, end_us)`, oldest first; the newest may go on yet."""
        first_us = -(-start_us // length_us) * length_us
        span: list[MarketTrade] = []
        for trade in self.between(symbol, first_us, -(-end_us // length_us) * length_us):
            if span and trade.event_time_us // length_us != span[0].event_time_us // length_us:
                yield _spanned(span, length_us)
                span = []
            span.append(trade)
        if span:
            yield _spanned(span, length_us)

    def _shed(self, known: _Symbol) -> None:
        for trade in known.by_time[: -self._limit]:
            known.by_sequence.pop(trade.sequence, None)
        del known.by_time[: -self._limit]


def _spanned(trades: Sequence[MarketTrade], length_us: int) -> PlayedBar:
    start_us = trades[0].event_time_us // length_us * length_us
    return bar_of(trades, start_us, start_us + length_us)


class LiveBars:
    """Each symbol's bar as it grows, for protocols that stream bars.

    Args:
        length_us: Bar length.
    """

    def __init__(self, length_us: int) -> None:
        self._length_us = length_us
        self._open: dict[str, list[MarketTrade]] = {}

    def add(self, trade: MarketTrade) -> tuple[PlayedBar | None, PlayedBar]:
        """The bar that this trade closed, if it did, and the one it is in; a trade of a closed bar counts as newest."""
        span = self._open.setdefault(trade.symbol, [])
        closed = None
        if span and trade.event_time_us // self._length_us > span[0].event_time_us // self._length_us:
            closed = _spanned(span, self._length_us)
            span.clear()
        span.append(trade)
        return closed, _spanned(span, self._length_us)
