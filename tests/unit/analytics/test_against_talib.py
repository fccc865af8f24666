"""Every value of every indicator of every bar, streamed one by one, equals TA-Lib's or its formula's to 1e-9."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import talib

from indicator_cases import (
    DEFAULT,
    RELATIVE,
    OneSession,
    deviations,
    expected,
    price_bar,
    recorded,
    streamed,
    utc_days,
    walk,
    windows,
)
from marketstream.analytics.sessions import Session
from marketstream.domain.interval import Interval

DATA = Path(__file__).parents[4] / "shared" / "data"


def beyond(found: dict[str, float]) -> dict[str, float]:
    return {name: deviation for name, deviation in found.items() if deviation > RELATIVE}


def assert_equal_to_oracle(bars: list, sessions: list[Session], market: OneSession | None = None) -> None:
    wanted = expected(bars, sessions)
    assert beyond(deviations(streamed(bars, market), wanted)) == {}
    assert [name for name, series in wanted.items() if np.isnan(series).all()] == []


@pytest.mark.parametrize("price", [1e5, 100.0, 1e-6])
@pytest.mark.parametrize("seed", [1, 2])
def test_generated_bars(price: float, seed: int) -> None:
    bars = walk(3_000, seed=seed, price=price)
    assert_equal_to_oracle(bars, utc_days(bars))


def test_nothing_drifts() -> None:
    """Prices that rose and fell by orders of magnitude, and volumes over seventeen of them, leave no trace.

    In TA-Lib they do: its moving averages add and subtract. Here the windows' own means are the measure.
    """
    bars = walk(4_000, seed=3)
    wild = [(1e12, 1e15), (1e-3, 1e-8), (1e12, 0.0), (50.0, 1e9)] * 500
    bars += [price_bar(100_000 + at, price, volume) for at, (price, volume) in enumerate(wild)]
    bars += [price_bar(200_000 + at, 50 + at % 7, 1e-8 * (1 + at % 3)) for at in range(1_000)]
    wanted = expected(bars, utc_days(bars))
    close = np.array([bar.close for bar in bars])
    assert wanted["sma_20"][-1] != pytest.approx(close[-20:].mean(), rel=1e-7)
    for period in (20, 50, 200):
        wanted[f"sma_{period}"][period - 1 :] = windows(close, period).mean(axis=1)
    for name, away in (("upper", 2), ("middle", 0), ("lower", -2)):
        wanted[f"bollinger_{name}"] = wanted["sma_20"].copy()
        wanted[f"bollinger_{name}"][19:] += away * windows(close, 20).std(axis=1)
    assert beyond(deviations(streamed(bars), wanted)) == {}


def test_prices_that_stand_still() -> None:
    """A long silence after some movement leaves RSI where it was, and no spread."""
    bars = walk(60, seed=4, price=10.0) + [price_bar(1_000 + at, 10.0) for at in range(600)]
    found = streamed(bars)
    assert beyond(deviations(found, expected(bars, utc_days(bars)))) == {}
    assert found["rsi_14"][-1] == pytest.approx(found["rsi_14"][61], rel=1e-9)
    assert found["volatility"][-1] == 0
    assert found["bollinger_upper"][-1] == found["bollinger_lower"][-1] == 10


def test_prices_that_never_moved() -> None:
    """Nothing by nothing: RSI is undefined and absent, where TA-Lib says 0."""
    close = np.full(300, 46_000.1)
    values = streamed([price_bar(at, 46_000.1) for at in range(300)])
    assert talib.RSI(close, 14)[-1] == 0
    assert np.isnan(values["rsi_14"]).all()
    last = {name: series[-1] for name, series in values.items()}
    assert last["atr_14"] == last["volatility"] == 0
    assert last["macd"] == talib.MACD(close)[0][-1] == pytest.approx(0, abs=1e-10)
    averages = [last[name] for name in ("sma_200", "ema_50", "bollinger_upper", "bollinger_lower")]
    assert averages == pytest.approx([46_000.1] * 4, rel=1e-14)


def test_each_value_begins_where_talib_begins() -> None:
    bars = walk(201, seed=5)
    first = {name: int(np.argmax(~np.isnan(series))) for name, series in streamed(bars).items()}
    assert {name: first[name] for name in DEFAULT.names if name != "vwap_session"} == {
        **{"sma_20": 19, "sma_50": 49, "sma_200": 199, "ema_12": 11, "ema_20": 19, "ema_26": 25, "ema_50": 49},
        **{"rsi_14": 14, "macd": 33, "macd_signal": 33, "macd_histogram": 33, "atr_14": 14},
        **{"bollinger_upper": 19, "bollinger_middle": 19, "bollinger_lower": 19},
        **{"vwap": 19, "volume_ratio": 20, "volatility": 20},
    }


@pytest.mark.parametrize("symbol", ["IBM", "BAC"])
@pytest.mark.parametrize("interval", ["10s", "1min"])
def test_recorded_shares(symbol: str, interval: str) -> None:
    length = Interval.parse(interval)
    trades = pl.read_csv(_recording("us_equity_trades_20131007.csv.gz")).filter(pl.col("symbol") == symbol)
    start = (pl.col("event_time_us") // length.us * length.us).alias("start_us")
    price, size = pl.col("price"), pl.col("size").cast(pl.Float64)
    frame = trades.sort("event_time_us", "sequence").group_by(start, maintain_order=True)
    bars = recorded(
        frame.agg(
            open=price.first(),
            high=price.max(),
            low=price.min(),
            close=price.last(),
            volume=size.sum(),
            vwap=(price * size).sum() / size.sum(),
        ),
        length,
    )
    # 2013-10-07, 9:30 to 16:00 in New York; trading before the open is recorded, too.
    session = Session(1_381_152_600_000_000, 1_381_176_000_000_000)
    assert bars[0].start_us < session.open_us < session.close_us < bars[-1].start_us
    assert_equal_to_oracle(bars, [session], OneSession(session))


def test_recorded_bitcoin() -> None:
    time = pl.col("timestamp").str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC")
    frame = pl.read_csv(_recording("btc_perp_1min_202201.csv.gz")).with_columns(start_us=time.cast(pl.Int64))
    bars = recorded(frame, Interval.parse("1min"))
    assert len(bars) == 45_031
    assert_equal_to_oracle(bars, utc_days(bars))


def _recording(name: str) -> Path:
    if not (path := DATA / name).exists():
        pytest.skip(f"the recording {name} is not in ../shared/data")
    return path
