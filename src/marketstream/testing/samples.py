"""Small deterministic samples of ticks and bars, for tests and for looking at screens without a feed."""

import math
import random
from collections.abc import Iterable, Iterator
from itertools import groupby

from marketstream.domain.interval import MICROSECONDS, Interval
from marketstream.domain.market import Bar, Tick

_TRANSIT_US = 20_000


def sample_ticks(
    symbol: str, *, start_us: int, end_us: int, per_second: float = 1.0, price: float = 100.0, seed: int = 7
) -> Iterator[Tick]:
    """A random walk of trades in `[start_us, end_us)`: Poisson arrivals, prices in cents, 0.01 % per trade."""
    chance = random.Random(f"{symbol}-{seed}")  # noqa: S311  # a sample, no secret
    time_us = float(start_us)
    sequence = 0
    while (time_us := time_us + chance.expovariate(per_second) * MICROSECONDS) < end_us:
        move = chance.gauss(0.0, 1e-4)
        price *= math.exp(move)
        sequence += 1
        yield Tick(
            symbol=symbol,
            price=max(0.01, round(price, 2)),
            size=round(chance.lognormvariate(-2.0, 1.2), 4),
            event_time_us=int(time_us),
            received_time_us=int(time_us) + _TRANSIT_US,
            provider="sample",
            trade_id=str(sequence),
            sequence=sequence,
            asset_class="crypto",
            exchange="SAMPLE",
            side="buy" if move >= 0 else "sell",
        )


def sample_bars(ticks: Iterable[Tick], interval: Interval, *, final_before_us: int | None = None) -> Iterator[Bar]:
    """The bars of one symbol's ticks, which come in order; those that end by `final_before_us` are final."""
    for start_us, group in groupby(ticks, key=lambda tick: interval.start_of(tick.event_time_us)):
        inside = list(group)
        prices = [tick.price for tick in inside]
        volume = math.fsum(tick.size for tick in inside)
        value = math.fsum(tick.price * tick.size for tick in inside)
        yield Bar(
            symbol=inside[0].symbol,
            interval=interval.name,
            start_us=start_us,
            end_us=start_us + interval.us,
            open=prices[0],
            high=max(prices),
            low=min(prices),
            close=prices[-1],
            volume=volume,
            vwap=value / volume if volume else math.fsum(prices) / len(prices),
            trade_count=len(inside),
            last_event_time_us=inside[-1].event_time_us,
            last_received_time_us=max(tick.received_time_us for tick in inside),
            final=final_before_us is not None and start_us + interval.us <= final_before_us,
        )
