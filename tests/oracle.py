"""Bars recomputed offline, sharing no code with the platform: in polars of a table, in plain Python of a market."""

from collections.abc import Iterable
from math import fsum

import polars as pl

from marketstream.testing.market_trade import MarketTrade

INTERVAL_US = {"1min": 60_000_000, "5min": 300_000_000, "15min": 900_000_000}  # those of the platform as it comes
ALL_INTERVAL_US = {"1s": 1_000_000, "10s": 10_000_000, **INTERVAL_US, "1h": 3_600_000_000, "1d": 86_400_000_000}
EXACT_FIELDS = ("open", "high", "low", "close", "trade_count", "last_event_time_us")
VWAP_RELATIVE = 1e-9
# Flags of a trade file (`sale_condition`) that keep a trade from prices: cash, next day, seller, stock-option, average
# price, price variation, official close and open, odd lot; from open and close only: out of sequence (in extended hours
# from all prices), derivatively priced, prior reference price; from volume: official close and open.
_VOLUME_ONLY_FLAGS = 0x2 | 0x4 | 0x8 | 0x40000 | 0x100000 | 0x400000 | 0x1000000 | 0x4000000 | 0x80000000
_NOT_LAST_FLAGS = _VOLUME_ONLY_FLAGS | 0x4000 | 0x200 | 0x2000000
_NOT_VOLUME_FLAGS = 0x1000000 | 0x4000000
_EXTENDED_OUT_OF_SEQUENCE = 0x2000 | 0x4000
# The same by Massive's numbers (`conditions`), which Finage has too.
_VOLUME_ONLY_CODES = ["2", "7", "13", "15", "16", "20", "21", "29", "37", "52", "53"]
_NOT_LAST_CODES = [*_VOLUME_ONLY_CODES, "5", "10", "17", "22", "32", "33"]
_NOT_VOLUME_CODES = ["15", "16", "38"]
_WITH_CODES = ["polygon", "finage"]
# The order in which fractions are added is not the same in Spark; whole numbers add up the same in any.
FRACTIONAL_VOLUME_RELATIVE = 1e-12


def expected_bars(trades: pl.DataFrame, interval: str) -> dict[tuple[str, int], dict]:
    """Every bar of one interval by (symbol, start in µs).

    `trades` has symbol, event_time_us, sequence, price and size; where sale conditions are to count, also
    `sale_condition` (hexadecimal flags), or `conditions` (Massive's numbers) and `provider`.
    """
    length = ALL_INTERVAL_US[interval]
    ordered = _with_updates(trades).sort("symbol", "event_time_us", "sequence")
    start = (pl.col("event_time_us") // length * length).alias("start_us")
    price, counted = pl.col("price"), pl.col("updates_volume")
    size = pl.when(counted).then(pl.col("size").cast(pl.Float64)).otherwise(0.0)
    bars = ordered.group_by("symbol", start, maintain_order=True).agg(
        open=price.filter("updates_last").first(),
        high=price.filter("updates_high_low").max(),
        low=price.filter("updates_high_low").min(),
        close=price.filter("updates_last").last(),
        volume=size.sum(),
        whole=(pl.col("size") % 1 == 0).all(),
        notional=(price * size).sum(),
        mean=price.filter(counted).mean(),
        trade_count=pl.len(),
        last_event_time_us=pl.col("event_time_us").max(),
    )
    mean = pl.coalesce("mean", "close")
    vwap = pl.when(pl.col("volume") > 0).then(pl.col("notional") / pl.col("volume")).otherwise(mean)
    rows = bars.filter(pl.col("open").is_not_null()).with_columns(vwap=vwap).iter_rows(named=True)
    return {(row["symbol"], row["start_us"]): row for row in rows}


def _with_updates(trades: pl.DataFrame) -> pl.DataFrame:
    """Adds what each trade updates."""
    if "sale_condition" in trades.columns:
        flags = [int(text or "0", 16) for text in trades["sale_condition"].cast(pl.String).to_list()]
        out = [each & _EXTENDED_OUT_OF_SEQUENCE == _EXTENDED_OUT_OF_SEQUENCE for each in flags]
        return trades.with_columns(
            updates_last=pl.Series([not each & _NOT_LAST_FLAGS for each in flags]),
            updates_high_low=pl.Series(
                [not (each & _VOLUME_ONLY_FLAGS or o) for each, o in zip(flags, out, strict=True)]
            ),
            updates_volume=pl.Series([not each & _NOT_VOLUME_FLAGS for each in flags]),
        )
    if "conditions" in trades.columns:
        codes = pl.col("conditions").cast(pl.List(pl.String))
        told = pl.col("provider").is_in(_WITH_CODES)

        def free_of(listed: list[str]) -> pl.Expr:
            return ~(told & (codes.list.set_intersection(listed).list.len() > 0))

        return trades.with_columns(
            updates_last=free_of(_NOT_LAST_CODES),
            updates_high_low=free_of(_VOLUME_ONLY_CODES),
            updates_volume=free_of(_NOT_VOLUME_CODES),
        )
    return trades.with_columns(updates_last=True, updates_high_low=True, updates_volume=True)


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
