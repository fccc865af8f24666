"""Generated trades and one-minute bars, as rows that PostgreSQL's COPY reads."""

import time
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import polars as pl

BATCH = 5_000
DAY_US = 86_400_000_000
MINUTE_US = 60_000_000
SYMBOLS = [f"S{number:02d}USDT" for number in range(50)]


class Market:
    """Generated trades and one-minute bars that end at the last midnight, the same for every server."""

    def __init__(self, ticks: int, tick_days: int, bar_days: int) -> None:
        self.end_us = time.time_ns() // 1_000 // DAY_US * DAY_US
        self.ticks, self.tick_days, self.bar_days = ticks, tick_days, bar_days

    def tick_batches(self) -> Iterator[bytes]:
        """Rows for `incoming_ticks` in the order of time, day by day."""
        per_day = self.ticks // self.tick_days
        for day in range(self.tick_days):
            chance = np.random.default_rng(day)
            times = self.end_us + (day - self.tick_days) * DAY_US + np.sort(chance.integers(0, DAY_US, per_day))
            yield from batches(tick_frame(chance, times, day * per_day))

    def bar_batches(self) -> Iterator[bytes]:
        """Rows for `incoming_bars` in the order of time, day by day."""
        for day in range(self.bar_days):
            start_us = self.end_us + (day - self.bar_days) * DAY_US
            starts = np.repeat(np.arange(start_us, start_us + DAY_US, MINUTE_US), len(SYMBOLS))
            yield from batches(bar_frame(np.random.default_rng(1_000 + day), starts))

    def late_batches(self, count: int) -> Iterator[bytes]:
        """Trades of the first day that nobody has yet, as a backfill brings them."""
        chance = np.random.default_rng(10_000)
        times = self.end_us - self.tick_days * DAY_US + np.sort(chance.integers(0, DAY_US, count))
        return batches(tick_frame(chance, times, self.ticks))


def tick_frame(chance: np.random.Generator, times: np.ndarray, first: int) -> pl.DataFrame:
    """In the columns of `incoming_ticks`."""
    count = len(times)
    numbers = np.arange(first, first + count)
    return pl.DataFrame(
        {
            "symbol": np.array(SYMBOLS)[chance.integers(0, len(SYMBOLS), count)],
            "event_time_us": times,
            "received_time_us": times + chance.integers(5_000, 80_000, count),
            "price": np.round(100 + np.cumsum(chance.normal(0, 0.01, count)), 2).clip(1),
            "size": np.round(chance.exponential(1, count), 4),
            "provider": "binance",
            "trade_id": numbers.astype(str),
            "sequence": numbers,
            "exchange": "BINANCE",
            "side": np.array(["buy", "sell"])[chance.integers(0, 2, count)],
            "asset_class": "crypto",
            "conditions": "{}",
        }
    )


def bar_frame(chance: np.random.Generator, starts: np.ndarray) -> pl.DataFrame:
    """In the columns of `incoming_bars`: every symbol at each start."""
    count = len(starts)
    middle = np.round(100 + np.cumsum(chance.normal(0, 0.05, count)), 2).clip(2)
    return pl.DataFrame(
        {
            "symbol": np.resize(np.array(SYMBOLS), count),
            "interval": "1min",
            "start_us": starts,
            "end_us": starts + MINUTE_US,
            "open": middle,
            "high": np.round(middle + chance.exponential(0.2, count), 2),
            "low": np.round(middle - chance.uniform(0, 0.5, count), 2),
            "close": middle,
            "volume": np.round(chance.exponential(50, count), 4),
            "vwap": middle + chance.normal(0, 0.01, count),
            "trade_count": chance.integers(1, 500, count),
            "last_event_time_us": starts + chance.integers(50_000_000, MINUTE_US, count),
            "last_received_time_us": starts + MINUTE_US,
            "final": "t",
            "revision": 0,
            "provider": "\\N",
        }
    )


def batches(frame: pl.DataFrame) -> Iterator[bytes]:
    """The frame in pieces as COPY reads them."""
    for piece in frame.iter_slices(BATCH):
        buffer = BytesIO()
        piece.write_csv(buffer, include_header=False, separator="\t", quote_style="never")
        yield buffer.getvalue()
