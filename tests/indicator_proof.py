"""Stored indicators of a whole day against TA-Lib and the formulas over the bars that polars makes of its trades."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from indicator_cases import DEFAULT, RELATIVE, deviations, expected, price_bar
from marketstream.analytics.sessions import Session
from marketstream.domain.market import Bar
from oracle import ALL_INTERVAL_US, expected_bars

# New York's hours on the recorded day, 2013-10-07, and on the made one, 2024-01-02.
SESSIONS = (
    Session(1_381_152_600_000_000, 1_381_176_000_000_000),
    Session(1_704_205_800_000_000, 1_704_229_200_000_000),
)
Said = Mapping[tuple[str, int], tuple[bool, Mapping[str, float]]]  # final, values; by (symbol, start in µs)


def indicator_faults(trades: pl.DataFrame, interval: str, said: Said) -> list[str]:
    """Every way in which `said` is not what the bars of all trades say when they are final; empty when it is."""
    made = expected_bars(trades, interval)
    found = [f"missing {key}" for key in sorted(made.keys() - said.keys())]
    found += [f"unexpected {key}" for key in sorted(said.keys() - made.keys())]
    found += [f"not final {key}" for key, (final, _) in sorted(said.items()) if not final]
    if found:
        return found
    for symbol in trades["symbol"].unique().sort():
        bars = bars_of(made, symbol, interval)
        series = {name: np.full(len(bars), np.nan) for name in DEFAULT.names}
        for at, bar in enumerate(bars):
            for name, value in said[symbol, bar.start_us][1].items():
                series[name][at] = value
        away = deviations(series, expected(bars, SESSIONS))
        found += [f"{symbol} {interval} {name}: off by {off:g}" for name, off in away.items() if off > RELATIVE]
    return found


def bars_of(made: Mapping[tuple[str, int], dict], symbol: str, interval: str) -> list[Bar]:
    """One symbol's bars of `expected_bars`, the oldest first."""
    rows = [made[key] for key in sorted(made) if key[0] == symbol]
    return [
        price_bar(
            0,
            (row["open"], row["high"], row["low"], row["close"]),
            row["volume"],
            symbol=symbol,
            interval=interval,
            start_us=row["start_us"],
            end_us=row["start_us"] + ALL_INTERVAL_US[interval],
            vwap=row["vwap"],
            trade_count=row["trade_count"],
        )
        for row in rows
    ]
