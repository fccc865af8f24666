"""The backlog every engine drains: made-up trades in slight disorder, and the bars that polars makes of them.

Writes: topic `tick_data`. Each symbol's last trade comes an hour after all others, so that engines which put out a bar
only once it is over have put out all bars before it; the bars of these last trades are not compared.
"""

import time
from dataclasses import dataclass

import numpy as np
import polars as pl

from marketstream.bus.publisher import KafkaPublisher
from marketstream.contracts.messages import encode
from marketstream.contracts.topics import TICKS
from marketstream.domain.errors import BusBackpressureError
from marketstream.domain.interval import Interval
from marketstream.domain.market import Tick
from marketstream.settings import Settings

START_US = 1_699_999_200_000_000  # 2023-11-14T22:00:00Z
_HOUR_US = 3_600_000_000
_LATE_SHARE, _LATE_US = 0.05, 2_000_000  # so many trades come up to this much later than their time
_SLICE = 100_000


@dataclass(frozen=True)
class Backlog:
    """Trades in the order in which they arrive.

    Attributes:
        trades: Columns `symbol`, `price`, `size`, `event_time_us` and `sequence`.
        closing: The same of the trades that come after all others, one of each symbol.
    """

    trades: pl.DataFrame
    closing: pl.DataFrame

    @property
    def count(self) -> int:
        """All messages."""
        return len(self.trades) + len(self.closing)


def make_backlog(count: int, symbols: int, *, ticks_per_second: float) -> Backlog:
    """Trades of all symbols at so many a second of event time, fractional sizes, 5 % of them out of order by up to 2 s.

    Args:
        count: How many trades.
        symbols: Of how many symbols.
        ticks_per_second: Of all symbols together.
    """
    random = np.random.Generator(np.random.PCG64(5))
    times = START_US + (np.arange(count) * (1_000_000 / ticks_per_second)).astype(np.int64)
    names = np.array([f"S{number:05d}" for number in range(symbols)])
    places = random.integers(0, symbols, count)
    late = np.where(random.random(count) < _LATE_SHARE, random.integers(0, _LATE_US, count), 0)
    frame = pl.DataFrame(
        {
            "symbol": names[places],
            "price": np.round(100 + places % 50 + random.normal(0, 1, count), 2),
            "size": np.round(random.exponential(1.0, count) + 0.0001, 4),
            "event_time_us": times,
            "arrival": times + late,
        }
    )
    numbered = frame.with_columns(sequence=pl.int_range(1, pl.len() + 1).over("symbol"))
    last = pl.DataFrame({"symbol": names, "price": 100.0, "size": 1.0})
    last = last.with_columns(event_time_us=pl.lit(int(times[-1]) + _HOUR_US), sequence=pl.lit(count + 1))
    return Backlog(numbered.sort("arrival", maintain_order=True).drop("arrival"), last)


def publish(backlog: Backlog, settings: Settings) -> float:
    """Puts the whole backlog onto `tick_data`; returns messages a second."""
    publisher = KafkaPublisher(settings.kafka.bootstrap_servers, linger_ms=20)
    begun = time.perf_counter()
    for frame in (*backlog.trades.iter_slices(_SLICE), backlog.closing):
        for symbol, price, size, event_time_us, sequence in frame.iter_rows():
            tick = make_tick(symbol, price, size, event_time_us, sequence)
            put(publisher, tick)
    if left := publisher.flush(60):
        raise RuntimeError(f"Kafka did not take {left} trades")
    return backlog.count / (time.perf_counter() - begun)


def make_tick(symbol: str, price: float, size: float, event_time_us: int, sequence: int) -> Tick:
    """A trade with all that a provider's has."""
    return Tick(
        symbol=symbol,
        price=price,
        size=size,
        event_time_us=event_time_us,
        received_time_us=event_time_us + 4_000,
        provider="binance",
        trade_id=str(sequence),
        sequence=sequence,
        asset_class="crypto",
        side="buy",
    )


def put(publisher: KafkaPublisher, tick: Tick) -> None:
    """Publishes a trade, waiting while the queue is full."""
    value = encode(tick)
    while True:
        try:
            publisher.publish(TICKS, tick.symbol, value)
            return
        except BusBackpressureError as full:
            time.sleep(full.retry_after_seconds)


def expected_bars(trades: pl.DataFrame, interval: Interval) -> pl.DataFrame:
    """One interval's bars, recomputed in polars: sorted by (symbol, event time, sequence), then grouped."""
    start = (pl.col("event_time_us") // interval.us * interval.us).alias("start_us")
    ordered = trades.sort("symbol", "event_time_us", "sequence")
    bars = ordered.group_by("symbol", start, maintain_order=True).agg(
        open=pl.col("price").first(),
        high=pl.col("price").max(),
        low=pl.col("price").min(),
        close=pl.col("price").last(),
        volume=pl.col("size").sum(),
        vwap=(pl.col("price") * pl.col("size")).sum() / pl.col("size").sum(),
        trade_count=pl.len().cast(pl.Int64),
    )
    return bars.with_columns(interval=pl.lit(interval.name))
