"""Bars for indicators, and every indicator of whole series from TA-Lib or, where it has none, from the formula.

The formulas look at each window anew, in numpy, and share no code with the platform.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
import talib
from numpy.lib.stride_tricks import sliding_window_view

from marketstream.analytics.indicators import IndicatorCalculator
from marketstream.analytics.parameters import IndicatorParameters
from marketstream.analytics.sessions import Session, Sessions, UtcDays
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar

DEFAULT = IndicatorParameters()
MINUTE_US = 60_000_000
RELATIVE = 1e-9


@dataclass(frozen=True)
class OneSession:
    """A market that is open once."""

    session: Session

    def session_of(self, time_us: int) -> Session | None:
        return self.session if self.session.open_us <= time_us < self.session.close_us else None


def price_bar(
    number: int, prices: float | tuple[float, float, float, float], volume: float = 1.0, **fields: object
) -> Bar:
    """The minute bar that starts `number` minutes after the epoch; `prices` are open, high, low and close, or all."""
    opened, high, low, close = prices if isinstance(prices, tuple) else (prices,) * 4
    start_us = number * MINUTE_US
    values = {
        "symbol": "BTCUSDT",
        "interval": "1min",
        "start_us": start_us,
        "end_us": start_us + MINUTE_US,
        "open": opened,
        "high": high,
        "low": low,
        "close": close,
        "volume": volume,
        "vwap": (high + low) / 2,
        "trade_count": 1,
        "last_event_time_us": start_us,
        "last_received_time_us": start_us,
        "final": True,
    }
    return Bar(**(values | fields))


def walk(count: int, *, seed: int = 1, price: float = 1e5, quiet: float = 0.2) -> list[Bar]:
    """A random walk with minutes that are missing, prices that stand still, and volumes from 1e-8 to 1e9."""
    chance = random.Random(seed)
    bars, minute = [], 0
    for _ in range(count):
        minute += chance.choice((1, 1, 1, 2, 5))
        opened = price
        if chance.random() > quiet:
            price = round(price * (1 + chance.gauss(0, 2e-3)), 12)
        high = max(opened, price) * (1 + chance.random() * 1e-3)
        low = min(opened, price) * (1 - chance.random() * 1e-3)
        bars.append(price_bar(minute, (opened, high, low, price), 10 ** chance.uniform(-8, 9)))
    return bars


def recorded(frame: pl.DataFrame, interval: Interval) -> list[Bar]:
    """Bars of a frame with start_us, open, high, low, close, volume and perhaps vwap."""
    rows = frame.sort("start_us").iter_rows(named=True)
    ours = {"interval": interval.name, "provider": "recording"}
    return [
        price_bar(
            0,
            (row["open"], row["high"], row["low"], row["close"]),
            row["volume"],
            start_us=row["start_us"],
            end_us=row["start_us"] + interval.us,
            vwap=row.get("vwap"),
            **ours,
        )
        for row in rows
    ]


def streamed(bars: Sequence[Bar], sessions: Sessions | None = None) -> dict[str, np.ndarray]:
    """Every value of every bar, fed one by one; NaN where absent. What `preview` says first, `close` must say."""
    calculator = IndicatorCalculator(DEFAULT, sessions or UtcDays())
    series = {name: np.full(len(bars), np.nan) for name in DEFAULT.names}
    for at, bar in enumerate(bars):
        previewed = calculator.preview(bar)
        values = calculator.close(bar)
        assert values == previewed
        for name, value in values.items():
            series[name][at] = value
    return series


def expected(bars: Sequence[Bar], sessions: Sequence[Session]) -> dict[str, np.ndarray]:
    """The same from TA-Lib and the formulas; `sessions` are those whose beginning the bars show."""
    frame = pl.DataFrame([(bar.high, bar.low, bar.close) for bar in bars], ("high", "low", "close"), orient="row")
    high, low, close = (frame[name].to_numpy() for name in frame.columns)
    # Nothing by nothing is 0 there and absent here.
    never_moved = np.cumsum(np.abs(np.diff(close, prepend=close[0]))) == 0
    macd, signal, histogram = talib.MACD(close, 12, 26, 9)
    upper, middle, lower = talib.BBANDS(close, timeperiod=20, nbdevup=2.0, nbdevdn=2.0, matype=0)
    return {
        **{f"sma_{period}": talib.SMA(close, period) for period in (20, 50, 200)},
        **{f"ema_{period}": talib.EMA(close, period) for period in (12, 20, 26, 50)},
        "rsi_14": np.where(never_moved, np.nan, talib.RSI(close, 14)),
        "macd": macd,
        "macd_signal": signal,
        "macd_histogram": histogram,
        "bollinger_upper": upper,
        "bollinger_middle": middle,
        "bollinger_lower": lower,
        "atr_14": talib.ATR(high, low, close, 14),
        **_by_formula(bars, close, sessions),
    }


def _by_formula(bars: Sequence[Bar], close: np.ndarray, sessions: Sequence[Session]) -> dict[str, np.ndarray]:
    volume = np.array([bar.volume for bar in bars])
    price = np.array([bar.vwap if bar.vwap is not None else (bar.high + bar.low + bar.close) / 3 for bar in bars])
    vwap, ratio, volatility, session = (np.full(len(bars), np.nan) for _ in range(4))
    with np.errstate(invalid="ignore", divide="ignore"):
        vwap[19:] = windows(price * volume, 20).sum(axis=1) / windows(volume, 20).sum(axis=1)
        ratio[20:] = volume[20:] / windows(volume, 20)[:-1].mean(axis=1)
        returns = np.log(close[1:] / close[:-1])
        volatility[20:] = windows(returns, 20).std(axis=1, ddof=1)
        for one in sessions:
            inside = np.array([one.open_us <= bar.start_us and bar.end_us <= one.close_us for bar in bars])
            session[inside] = np.cumsum((price * volume)[inside]) / np.cumsum(volume[inside])
    return {"vwap": vwap, "volume_ratio": ratio, "volatility": volatility, "vwap_session": session}


def windows(numbers: np.ndarray, length: int) -> np.ndarray:
    """Every window of that length, each a row."""
    return sliding_window_view(numbers, length) if len(numbers) >= length else np.empty((0, length))


def deviations(actual: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> dict[str, float]:
    """The largest relative deviation by name; infinite where a value is absent on one side only."""
    assert actual.keys() == wanted.keys()
    return {name: _deviation(actual[name], wanted[name]) for name in wanted}


def _deviation(actual: np.ndarray, wanted: np.ndarray) -> float:
    if (np.isnan(actual) != np.isnan(wanted)).any():
        return float("inf")
    different = actual != wanted
    different &= ~np.isnan(wanted)
    if (wanted[different] == 0).any():
        return float("inf")
    return float(np.max(np.abs(actual[different] / wanted[different] - 1), initial=0.0))


def utc_days(bars: Sequence[Bar]) -> list[Session]:
    """The UTC days the bars show from the beginning: those that an earlier bar precedes."""
    day = 86_400_000_000
    opens = sorted({bar.start_us // day * day for bar in bars})
    opens = opens if bars[0].start_us == opens[0] else [later for _, later in pairwise(opens)]
    return [Session(open_us, open_us + day) for open_us in opens]
