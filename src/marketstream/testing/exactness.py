"""Trades that are hard to make exact bars of, for tests that compare every bar with an independent recomputation."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from marketstream.domain.interval import MICROSECONDS
from marketstream.testing.instruments import instrument
from marketstream.testing.market_trade import MarketTrade

DEFAULT_START_US = 1_704_205_800_000_000  # 2024-01-02 14:30 UTC
_MINUTE_US = 60 * MICROSECONDS
_ODD_SIZES = np.array([1, 2, 3, 7, 33, 99, 100, 101, 1_000, 250_000])


def exactness_trades(
    count: int,
    symbols: Sequence[str],
    *,
    hours: float = 2.0,
    seed: int = 11,
    start_us: int = DEFAULT_START_US,
) -> list[MarketTrade]:
    """About `count` trades in replay order, with everything that bars get wrong.

    Per symbol: a trade exactly at and 1 ms before minute edges, runs of trades at one time with differing prices, whole
    sizes from 1 to 250,000 shares, minutes without any trade, and (all but the first symbol) a silence of about a sixth
    of the span. Times are whole milliseconds, so that no provider's format loses anything; sequences count from 1.

    Args:
        count: Trades in total, split evenly.
        symbols: Which symbols.
        hours: The span of event time.
        seed: The same seed gives the same trades.
        start_us: Start of the span; a whole minute keeps the edges on bar edges.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    each = max(1, count // len(symbols))
    span_us = round(hours * 3_600 * MICROSECONDS)
    trades: list[MarketTrade] = []
    for number, symbol in enumerate(symbols):
        times = start_us + _times(each, span_us, random, silent=number > 0)
        trades += _symbol_trades(symbol, times, random)
    trades.sort(key=lambda trade: (trade.event_time_us, trade.symbol, trade.sequence))
    return trades


def _times(count: int, span_us: int, random: np.random.Generator, *, silent: bool) -> NDArray[np.int64]:
    times = random.integers(0, span_us // 1_000, count) * 1_000
    edges = random.random(count) < 0.1
    times[edges] -= times[edges] % _MINUTE_US
    before_edges = edges & (random.random(count) < 0.5) & (times > 0)
    times[before_edges] -= 1_000
    times.sort()
    for index in np.flatnonzero(random.random(count) < 0.15).tolist():
        times[index] = times[max(index - 1, 0)]
    minutes = times // _MINUTE_US
    kept = (minutes % 7 != 3) | (random.random(count) < 0.002)
    if silent:
        kept &= (times < span_us // 2) | (times >= span_us * 2 // 3)
    kept[0] = True
    result: NDArray[np.int64] = np.sort(times[kept])
    return result


def _symbol_trades(symbol: str, times: NDArray[np.int64], random: np.random.Generator) -> list[MarketTrade]:
    steps = random.normal(0, 0.0008, times.size) + np.where(random.random(times.size) < 0.01, 0.01, 0.0)
    cents = np.maximum(1, np.rint(instrument(symbol).start_price * np.exp(np.cumsum(steps - steps.mean())) * 100))
    sizes = random.choice(_ODD_SIZES, times.size)
    buys = random.random(times.size) < 0.5
    return [
        MarketTrade(symbol, cents_ / 100, float(size), time, "NP"[buy], "buy" if buy else "sell", str(number), number)
        for number, (cents_, size, time, buy) in enumerate(
            zip(cents.tolist(), sizes.tolist(), times.tolist(), buys.tolist(), strict=True), start=1
        )
    ]
