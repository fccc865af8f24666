"""A believable market from a seed: the same seed, symbols, rate and start give the same trades.

Log prices follow one market factor and one walk per symbol (the single-index model, Sharpe 1963), both in trade time:
each trade moves the clock by its mean spacing, so busy minutes are volatile ones (Clark 1973; Ané & Geman 2000). A
trade prints half a spread above or below the price, by its taker's side (Roll 1984), on the tick grid. Sizes are
log-normal, whole shares for equities and partly in round lots; real tails are heavier (Gopikrishnan et al. 2000).
When trades come is in `arrivals.py`, what trades in `instruments.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from marketstream.domain.market import Side
from marketstream.testing.arrivals import (
    ArrivalProcess,
    Arrivals,
    ClusteredArrivals,
    EvenArrivals,
    Floats,
    Integers,
    activity_shares,
)
from marketstream.testing.instruments import instrument
from marketstream.testing.market_trade import MarketTrade

ArrivalKind = Literal["clustered", "even"]

HALF_SPREAD = 0.00002  # of the price; never below half a tick
SIZE_SIGMA = 1.1  # standard deviation of the log size
ROUND_LOTS = 0.35  # share of equity trades in multiples of 100
_EQUITY_VENUES = ("Q", "N", "P", "Z", "K", "D")
_CRYPTO_VENUE = "BINANCE"
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Market:
    """A market to be generated; holds no state, so it can be run again and from any start.

    Attributes:
        symbols: What trades; the first most often.
        ticks_per_second: Mean trades per second over all symbols.
        seed: Chooses one of all possible histories.
        arrivals: `clustered`, or `even` for evenly spaced trades, the symbols in turn.

    Raises:
        ValueError: No symbol, one twice, or a rate that is not positive.
    """

    symbols: tuple[str, ...]
    ticks_per_second: float = 50.0
    seed: int = 7
    arrivals: ArrivalKind = "clustered"

    def __post_init__(self) -> None:
        if not self.symbols or len(set(self.symbols)) != len(self.symbols):
            raise ValueError("a market needs at least one symbol, each once")
        if not 0 < self.ticks_per_second < float("inf"):
            raise ValueError("ticks_per_second must be positive")

    def chunks(self, start_us: int) -> Iterator[list[MarketTrade]]:
        """The endless market from `start_us`, in chunks of a few hundred trades in event-time order.

        Sequences and trade ids count up from `start_us`, so that they stay unique over runs begun at different times.
        """
        pricing = _Pricing(self, start_us)
        process = self._process(start_us, pricing.random)
        while True:
            yield pricing.trades(process.next_chunk())

    def trades(self, start_us: int) -> Iterator[MarketTrade]:
        """The same, trade by trade."""
        for chunk in self.chunks(start_us):
            yield from chunk

    def _process(self, start_us: int, random: np.random.Generator) -> ArrivalProcess:
        if self.arrivals == "even":
            return EvenArrivals(len(self.symbols), self.ticks_per_second, random)
        classes = [instrument(symbol).asset_class for symbol in self.symbols]
        return ClusteredArrivals(classes, self.ticks_per_second, start_us % _DAY_US / 1_000_000, random)


class _Pricing:
    """Gives arrivals their prices, sizes, venues and numbers; walks on from chunk to chunk."""

    def __init__(self, market: Market, start_us: int) -> None:
        instruments = [instrument(symbol) for symbol in market.symbols]
        count = len(instruments)
        shares = np.full(count, 1 / count) if market.arrivals == "even" else activity_shares(count)
        self.random = np.random.Generator(np.random.PCG64(market.seed))
        self._start_us = start_us
        self._names = market.symbols
        self._log_start = np.log([each.start_price for each in instruments])
        self._price_grid = 10.0 ** np.array([each.price_decimals for each in instruments])
        self._size_grid = 10.0 ** np.array([each.size_decimals for each in instruments])
        self._volatility = np.array([each.volatility for each in instruments])
        self._loading = np.array([each.loading for each in instruments])
        self._log_median_size = np.log([each.median_size for each in instruments])
        self._equity = np.array([each.asset_class == "equity" for each in instruments])
        self._factor_step = market.ticks_per_second**-0.5
        self._own_steps = (shares * market.ticks_per_second) ** -0.5
        self._factor = 0.0
        self._own = np.zeros(count)
        self._counts = np.zeros(count, np.int64)

    def trades(self, arrivals: Arrivals) -> list[MarketTrade]:
        """The chunk as trades."""
        symbols = arrivals.symbols
        times = self._start_us + np.rint(arrivals.seconds * 1_000_000).astype(np.int64)
        by_symbol = np.argsort(symbols, kind="stable")
        sequences = self._sequences(symbols, by_symbol).tolist()
        return list(
            map(
                MarketTrade,
                [self._names[index] for index in symbols.tolist()],
                self._prices(arrivals, by_symbol).tolist(),
                self._sizes(symbols).tolist(),
                times.tolist(),
                self._venues(symbols),
                _sides(arrivals.buys.tolist()),
                map(str, sequences),
                sequences,
            )
        )

    def _prices(self, arrivals: Arrivals, by_symbol: Integers) -> Floats:
        symbols = arrivals.symbols
        factor = self._factor + np.cumsum(self.random.standard_normal(symbols.size)) * self._factor_step
        steps = self.random.standard_normal(symbols.size) * self._own_steps[symbols]
        own = _walks(steps, symbols, by_symbol, self._own)
        if symbols.size:
            self._factor = float(factor[-1])
        loading = self._loading[symbols]
        walk = loading * factor + np.sqrt(1 - loading**2) * own
        middle = np.exp(self._log_start[symbols] + self._volatility[symbols] * walk)
        grid = self._price_grid[symbols]
        half_spread = np.maximum(0.5 / grid, HALF_SPREAD * middle)
        ticks = np.rint((middle + np.where(arrivals.buys, half_spread, -half_spread)) * grid)
        prices: Floats = np.maximum(ticks, 1) / grid
        return prices

    def _sizes(self, symbols: Integers) -> Floats:
        drawn = np.exp(self._log_median_size[symbols] + SIZE_SIGMA * self.random.standard_normal(symbols.size))
        lots = self._equity[symbols] & (self.random.random(symbols.size) < ROUND_LOTS)
        grid = np.where(lots, 0.01, self._size_grid[symbols])
        sizes: Floats = np.maximum(np.rint(drawn * grid), 1) / grid
        return sizes

    def _venues(self, symbols: Integers) -> list[str]:
        venues = self.random.integers(len(_EQUITY_VENUES), size=symbols.size).tolist()
        equity = self._equity[symbols].tolist()
        return [
            _EQUITY_VENUES[venue] if is_equity else _CRYPTO_VENUE
            for venue, is_equity in zip(venues, equity, strict=True)
        ]

    def _sequences(self, symbols: Integers, by_symbol: Integers) -> Integers:
        counts = np.bincount(symbols, minlength=len(self._names))
        firsts = np.cumsum(counts) - counts
        ranks = np.empty(symbols.size, np.int64)
        ranks[by_symbol] = np.arange(symbols.size) - np.repeat(firsts, counts)
        sequences: Integers = self._start_us + self._counts[symbols] + ranks
        self._counts += counts
        return sequences


def _walks(steps: Floats, symbols: Integers, by_symbol: Integers, levels: Floats) -> Floats:
    """Each symbol's own cumulative sum of its steps, going on from `levels`, which is updated."""
    counts = np.bincount(symbols, minlength=levels.size)
    sums = np.concatenate([[0.0], np.cumsum(steps[by_symbol])])
    ends = np.cumsum(counts)
    starts = ends - counts
    walks = np.empty(symbols.size)
    walks[by_symbol] = sums[1:] - np.repeat(sums[starts] - levels, counts)
    levels += sums[ends] - sums[starts]
    return walks


def _sides(buys: Sequence[bool]) -> Iterator[Side]:
    return ("buy" if bought else "sell" for bought in buys)
