"""When the generated market trades, what, and from which side: clustered arrivals, or evenly spaced ones.

Clustered arrivals are a multivariate Hawkes process with exponential kernel (Hawkes 1971), drawn exactly through its
cluster representation: immigrants are a Poisson process, and every trade has Poisson(n) children after exponential
delays (Hawkes & Oakes 1974; Møller & Rasmussen 2005). Unlike the one-trade-at-a-time recursion it vectorises. Children
mostly keep their parent's symbol and side, which gives clusters per symbol and the persistence of order flow (Lillo &
Farmer 2004). Immigrants follow the intraday curves; rare bursts add more, fading exponentially.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from marketstream.domain.market import AssetClass

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

CHUNK_TRADES = 512  # small enough not to hold up a paced feed by more than about 1 ms, large enough to vectorise

BRANCHING = 0.6  # children per trade
DECAY_SECONDS = 0.3  # mean delay of a child
SAME_SYMBOL = 0.9
SAME_SIDE = 0.75
BURST_EVERY_SECONDS = 300.0
BURST_FACTOR = 8.0  # activity at a burst's start, as a multiple of the usual
BURST_DECAY_SECONDS = 15.0
BURST_OF_WHOLE_MARKET = 0.2  # chance; otherwise a burst is one symbol's
_BURN_IN_SECONDS = 4.0  # until the process is stationary: what is missing fades as exp(-(1 - n) t / decay)

_SESSION_OPEN_HOUR, _SESSION_CLOSE_HOUR = 13.5, 20.0  # New York's session in summer, UTC
_OUT_OF_SESSION = 0.6
_CRYPTO_PEAK_HOUR = 15.0
_CRYPTO_SWING = 0.35


@dataclass(frozen=True, slots=True)
class Arrivals:
    """A chunk of trades without prices, in time order.

    Attributes:
        seconds: Time since the market's start, shape (n,).
        symbols: Index of each trade's symbol, shape (n,).
        buys: Whether the taker bought, shape (n,).
    """

    seconds: Floats
    symbols: Integers
    buys: Booleans

    @classmethod
    def joined(cls, parts: Sequence["Arrivals"]) -> Self:
        """All parts in one, unsorted."""
        return cls(
            np.concatenate([part.seconds for part in parts]),
            np.concatenate([part.symbols for part in parts]),
            np.concatenate([part.buys for part in parts]),
        )

    def at(self, index: Integers | Booleans) -> "Arrivals":
        """The trades an index selects, in its order."""
        return Arrivals(self.seconds[index], self.symbols[index], self.buys[index])


class ArrivalProcess(Protocol):
    """Yields the market's arrivals chunk by chunk, later chunks after earlier ones."""

    def next_chunk(self) -> Arrivals:
        """The next stretch of time's trades; may be empty."""


class EvenArrivals:
    """Evenly spaced trades, the symbols in turn: a load of an exact rate.

    Args:
        symbol_count: Number of symbols.
        ticks_per_second: Trades per second over all symbols.
        random: Source of the sides.
    """

    def __init__(self, symbol_count: int, ticks_per_second: float, random: np.random.Generator) -> None:
        self._symbol_count = symbol_count
        self._ticks_per_second = ticks_per_second
        self._random = random
        self._made = 0

    def next_chunk(self) -> Arrivals:
        """The next `CHUNK_TRADES` trades."""
        numbers = np.arange(self._made, self._made + CHUNK_TRADES, dtype=np.int64)
        self._made += CHUNK_TRADES
        return Arrivals(
            seconds=numbers / self._ticks_per_second,
            symbols=numbers % self._symbol_count,
            buys=self._random.random(CHUNK_TRADES) < 0.5,
        )


class ClusteredArrivals:
    """Hawkes arrivals under the intraday curves, with bursts. The mean rate over a whole day is `ticks_per_second`.

    Args:
        asset_classes: Of each symbol; chooses its curve.
        ticks_per_second: Mean trades per second over all symbols.
        start_second_of_day: The market's start, in seconds after midnight UTC.
        random: Source of all chance.
    """

    def __init__(
        self,
        asset_classes: Sequence[AssetClass],
        ticks_per_second: float,
        start_second_of_day: float,
        random: np.random.Generator,
    ) -> None:
        count = len(asset_classes)
        self._random = random
        self._start_second_of_day = start_second_of_day
        self._crypto = np.array([name == "crypto" for name in asset_classes])
        self._shares = activity_shares(count)
        self._cumulative_shares = np.cumsum(self._shares)
        burst_load = (BURST_FACTOR - 1) * BURST_DECAY_SECONDS / BURST_EVERY_SECONDS
        added = burst_load * (BURST_OF_WHOLE_MARKET + (1 - BURST_OF_WHOLE_MARKET) / count)
        self._immigrants_per_second = ticks_per_second * (1 - BRANCHING) / (1 + added)
        self._chunk_seconds = CHUNK_TRADES / ticks_per_second
        self._now = -_BURN_IN_SECONDS
        self._pending = Arrivals(np.empty(0), np.empty(0, np.int64), np.empty(0, np.bool_))

    def next_chunk(self) -> Arrivals:
        """The trades of the next stretch of time; those before second 0 are dropped, they only warm the process up."""
        end = max(self._now, 0.0) + self._chunk_seconds
        born = self._descendants(Arrivals.joined([self._immigrants(end), self._bursts(end)]))
        everything = Arrivals.joined([self._pending, born])
        self._now = end
        self._pending = everything.at(everything.seconds >= end)
        ready = everything.at((everything.seconds < end) & (everything.seconds >= 0))
        return ready.at(np.argsort(ready.seconds, kind="stable"))

    def _immigrants(self, end: float) -> Arrivals:
        # Thinning (Lewis & Shedler 1979): propose at the curves' highest value, keep by the curve.
        highest = max(1 + _CRYPTO_SWING, equity_curve(np.array([_SESSION_OPEN_HOUR]))[0])
        proposed = self._random.poisson(self._immigrants_per_second * highest * (end - self._now))
        seconds = self._random.uniform(self._now, end, proposed)
        symbols = self._any_symbols(proposed)
        hours = ((seconds + self._start_second_of_day) / 3_600) % 24
        activity = np.where(self._crypto[symbols], crypto_curve(hours), equity_curve(hours))
        kept = self._random.random(proposed) * highest < activity
        return Arrivals(seconds, symbols, self._random.random(proposed) < 0.5).at(kept)

    def _bursts(self, end: float) -> Arrivals:
        parts = [Arrivals(np.empty(0), np.empty(0, np.int64), np.empty(0, np.bool_))]
        for _ in range(self._random.poisson((end - self._now) / BURST_EVERY_SECONDS)):
            whole_market = self._random.random() < BURST_OF_WHOLE_MARKET
            symbol = int(self._random.integers(len(self._shares)))
            share = 1.0 if whole_market else self._shares[symbol]
            usual = self._immigrants_per_second * share * BURST_DECAY_SECONDS
            count = self._random.poisson((BURST_FACTOR - 1) * usual)
            start = self._random.uniform(self._now, end)
            mostly_buys = self._random.random() < 0.5
            parts.append(
                Arrivals(
                    start + self._random.exponential(BURST_DECAY_SECONDS, count),
                    self._any_symbols(count) if whole_market else np.full(count, symbol, np.int64),
                    (self._random.random(count) < 0.7) == mostly_buys,
                )
            )
        return Arrivals.joined(parts)

    def _descendants(self, generation: Arrivals) -> Arrivals:
        generations = [generation]
        while generation.seconds.size:
            children = np.repeat(
                np.arange(generation.seconds.size), self._random.poisson(BRANCHING, generation.seconds.size)
            )
            parents, count = generation.at(children), children.size
            generation = Arrivals(
                parents.seconds + self._random.exponential(DECAY_SECONDS, count),
                np.where(self._random.random(count) < SAME_SYMBOL, parents.symbols, self._any_symbols(count)),
                (self._random.random(count) < SAME_SIDE) == parents.buys,
            )
            generations.append(generation)
        return Arrivals.joined(generations)

    def _any_symbols(self, count: int) -> Integers:
        drawn = np.searchsorted(self._cumulative_shares, self._random.random(count), side="right")
        return np.minimum(drawn, len(self._shares) - 1).astype(np.int64)


def activity_shares(count: int) -> Floats:
    """Each symbol's share of the trades: the first named trade most, as 1 / √rank; they add up to 1."""
    weights = 1 / np.sqrt(np.arange(1, count + 1))
    shares: Floats = weights / weights.sum()
    return shares


def equity_curve(hours: Floats) -> Floats:
    """Activity of equities by hour UTC, mean 1 over the day: a U over New York's session (Jain & Joh 1988).

    Out of session the generated market goes on at a flat `0.6`, so that a demo trades at any hour; a real one hardly
    would.
    """
    length = _SESSION_CLOSE_HOUR - _SESSION_OPEN_HOUR
    in_session_mean = (24 - _OUT_OF_SESSION * (24 - length)) / length
    position = 2 * (hours - _SESSION_OPEN_HOUR) / length - 1  # -1 at the open, 1 at the close
    u_shape = in_session_mean * (0.7 + 0.9 * position**2)  # the mean of 0.7 + 0.9 x² over [-1, 1] is 1
    return np.where((position >= -1) & (position < 1), u_shape, _OUT_OF_SESSION)


def crypto_curve(hours: Floats) -> Floats:
    """Activity of crypto by hour UTC, mean 1 over the day: highest in the European afternoon (Eross et al. 2019)."""
    curve: Floats = 1 + _CRYPTO_SWING * np.cos(2 * np.pi * (hours - _CRYPTO_PEAK_HOUR) / 24)
    return curve
