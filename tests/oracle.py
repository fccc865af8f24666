"""Bars recomputed offline, sharing no code with the platform: in polars of a table, in plain Python of a market."""

from collections.abc import Iterable
from math import fsum

import polars as pl

from marketstream.testing.market_trade import MarketTrade

INTERVAL_US = {"1min": 60_000_000, "5min": 300_000_000, "15min": 900_000_000}
EXACT_FIELDS = ("open", "high", "low", "close", "trade_count", "last_event_time_us")
VWAP_RELATIVE = 1e-9
# The order in which fractions are added is not the same in Spark; whole numbers add up the same in any.
FRACTIONAL_VOLUME_RELATIVE = 1e-12


def expected_bars(trades: pl.DataFrame, interval: str) -> dict[tuple[str, int], dict]:
    """Every bar of one interval by (symbol, start in µs).

    `trades` has symbol, event_time_us, sequence, price and size.
    """
    length = INTERVAL_US[interval]
    ordered = trades.sort("symbol", "event_time_us", "sequence")
    start = (pl.col("event_time_us") // length * length).alias("start_us")
    bars = ordered.group_by("symbol", start, maintain_order=True).agg(
        open=pl.col("price").first(),
        high=pl.col("price").max(),
        low=pl.col("price").min(),
        close=pl.col("price").last(),
        volume=pl.col("size").cast(pl.Float64).sum(),
        whole=(pl.col("size") % 1 == 0).all(),
        notional=(pl.col("price") * pl.col("size")).sum(),
        mean=pl.col("price").mean(),
        trade_count=pl.len(),
        last_event_time_us=pl.col("event_time_us").max(),
    )
    vwap = pl.when(pl.col("volume") > 0).then(pl.col("notional") / pl.col("volume")).otherwise(pl.col("mean"))
    rows = bars.with_columns(vwap=vwap).iter_rows(named=True)
    return {(row["symbol"], row["start_us"]): row for row in rows}


def differences(expected: dict[tuple[str, int], dict], actual: dict[tuple[str, int], dict]) -> list[str]:
    """Every way in which `actual` bars are not the expected ones; empty when all are equal."""
    found = [f"missing {key}" for key in expected.keys() - actual.keys()]
    found += [f"unexpected {key}" for key in actual.keys() - expected.keys()]
    for key in expected.keys() & actual.keys():
        want, have = expected[key], actual[key]
        found += [
            f"{key} {name}: {have[name]} is not {want[name]}" for name in EXACT_FIELDS if have[name] != want[name]
        ]
        tolerance = 0.0 if want["whole"] else FRACTIONAL_VOLUME_RELATIVE * want["volume"]
        if abs(have["volume"] - want["volume"]) > tolerance:
            found.append(f"{key} volume: {have['volume']} is not {want['volume']}")
        if abs(have["vwap"] - want["vwap"]) > VWAP_RELATIVE * abs(want["vwap"]):
            found.append(f"{key} vwap: {have['vwap']} is not {want['vwap']}")
    return found


Values = tuple[float, float, float, float, float]


def recomputed_of(
    trades: Iterable[MarketTrade], symbol: str, length_us: int, start_us: int, end_us: int
) -> dict[int, Values]:
    """What `recomputed` makes for one symbol, of bars that start in `[start_us, end_us)`; by start."""
    made = recomputed((trade for trade in trades if trade.symbol == symbol), length_us)
    return {start: values for (_, start), values in made.items() if start_us <= start < end_us}


def recomputed(trades: Iterable[MarketTrade], length_us: int = 60_000_000) -> dict[tuple[str, int], Values]:
    """Open, high, low, close and volume by (symbol, start in µs) of trades in order."""
    spans: dict[tuple[str, int], list[MarketTrade]] = {}
    for trade in trades:
        spans.setdefault((trade.symbol, trade.event_time_us - trade.event_time_us % length_us), []).append(trade)
    made = {}
    for key, span in spans.items():
        prices = [trade.price for trade in span]
        made[key] = (prices[0], max(prices), min(prices), prices[-1], fsum(trade.size for trade in span))
    return made
