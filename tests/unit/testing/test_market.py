"""The generated market has the properties its model promises, checked by plain statistics on fixed seeds."""

from itertools import islice, pairwise

import numpy as np
import pytest

from marketstream.testing.arrivals import crypto_curve, equity_curve
from marketstream.testing.instruments import instrument
from marketstream.testing.market import SIZE_SIGMA, ArrivalKind, Market
from marketstream.testing.market_trade import MarketTrade

MIDNIGHT_US = 1_704_153_600_000_000  # 2024-01-02 00:00 UTC
HOUR_US = 3_600_000_000
CRYPTO = ("BTCUSDT", "ETHUSDT")


def until(market: Market, start_us: int, hours: float) -> list[MarketTrade]:
    found = []
    for chunk in market.chunks(start_us):
        found += chunk
        if chunk and chunk[-1].event_time_us > start_us + hours * HOUR_US:
            break
    return [trade for trade in found if trade.event_time_us < start_us + hours * HOUR_US]


def minute_prices(trades: list[MarketTrade], symbol: str) -> np.ndarray:
    last: dict[int, float] = {}
    for trade in trades:
        if trade.symbol == symbol:
            last[trade.event_time_us // 60_000_000] = trade.price
    return np.array([last[minute] for minute in sorted(last)])


@pytest.fixture(scope="module")
def crypto_day() -> list[MarketTrade]:
    return until(Market(CRYPTO, ticks_per_second=3.0, seed=1), MIDNIGHT_US, 24)


def test_both_curves_have_mean_one_over_the_day() -> None:
    hours = np.arange(0, 24, 1 / 600)
    assert equity_curve(hours).mean() == pytest.approx(1, abs=2e-3)
    assert crypto_curve(hours).mean() == pytest.approx(1, abs=1e-9)


def test_equities_trade_most_at_open_and_close() -> None:
    trades = until(Market(("IBM", "BAC"), ticks_per_second=2.0, seed=2), MIDNIGHT_US, 24)
    at_open, at_noon, at_close = (
        sum(start <= (trade.event_time_us - MIDNIGHT_US) / HOUR_US < start + 1 for trade in trades)
        for start in (13.5, 16.25, 19.0)
    )
    assert at_open > 1.5 * at_noon
    assert at_close > 1.5 * at_noon


def test_the_mean_rate_over_a_day_is_the_one_asked_for(crypto_day: list[MarketTrade]) -> None:
    assert len(crypto_day) / 86_400 == pytest.approx(3.0, rel=0.06)


def test_arrivals_cluster(crypto_day: list[MarketTrade]) -> None:
    seconds = np.array([trade.event_time_us // 1_000_000 for trade in crypto_day])
    counts = np.bincount(seconds - seconds.min())
    assert counts.var() / counts.mean() > 1.8  # 1 for a Poisson process


def test_bursts_stand_out(crypto_day: list[MarketTrade]) -> None:
    tens = np.array([trade.event_time_us // 10_000_000 for trade in crypto_day])
    counts = np.bincount(tens - tens.min())
    assert counts.max() > 5 * counts.mean()


def test_prices_move_together_as_much_as_their_loadings_say(crypto_day: list[MarketTrade]) -> None:
    first, second = (np.diff(np.log(minute_prices(crypto_day, symbol))) for symbol in CRYPTO)
    expected = instrument(CRYPTO[0]).loading * instrument(CRYPTO[1]).loading
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(expected, abs=0.12)


@pytest.mark.parametrize("symbol", CRYPTO)
def test_volatility_is_the_instruments(crypto_day: list[MarketTrade], symbol: str) -> None:
    returns = np.diff(np.log(minute_prices(crypto_day, symbol)))
    assert returns.std() == pytest.approx(instrument(symbol).volatility * 60**0.5, rel=0.15)


def test_sizes_are_log_normal(crypto_day: list[MarketTrade]) -> None:
    logs = np.log([trade.size for trade in crypto_day if trade.symbol == "BTCUSDT"])
    assert np.median(logs) == pytest.approx(np.log(instrument("BTCUSDT").median_size), abs=0.02)
    assert logs.std() == pytest.approx(SIZE_SIGMA, rel=0.02)
    assert ((logs - logs.mean()) ** 3).mean() / logs.std() ** 3 == pytest.approx(0, abs=0.06)


def test_the_takers_side_persists(crypto_day: list[MarketTrade]) -> None:
    sides = [trade.side for trade in crypto_day if trade.symbol == "BTCUSDT"]
    assert np.mean([first == second for first, second in pairwise(sides)]) > 0.55
    assert sides.count("buy") / len(sides) == pytest.approx(0.5, abs=0.02)


def test_even_arrivals_are_exactly_spaced_and_share_equally() -> None:
    symbols = tuple(f"S{number}" for number in range(20))
    market = Market(symbols, ticks_per_second=1_000.0, arrivals="even")
    trades = list(islice(market.trades(MIDNIGHT_US), 4_000))
    assert [trade.event_time_us for trade in trades] == list(range(MIDNIGHT_US, MIDNIGHT_US + 4_000_000, 1_000))
    assert [trade.symbol for trade in trades] == list(symbols) * 200


@pytest.mark.parametrize(
    ("symbols", "rate"), [((), 1.0), (("A", "A"), 1.0), (("A",), 0.0), (("A",), float("inf")), (("A",), float("nan"))]
)
def test_an_impossible_market_is_refused(symbols: tuple[str, ...], rate: float) -> None:
    with pytest.raises(ValueError, match=r"a market needs|ticks_per_second"):
        Market(symbols, rate)


@pytest.mark.parametrize("arrivals", ["clustered", "even"])
def test_each_symbols_numbers_count_on_from_the_start_without_a_hole(arrivals: ArrivalKind) -> None:
    start_us = 1_700_000_000_000_000
    numbers: dict[str, list[int]] = {}
    for chunk in islice(Market(("BTCUSDT", "ETHUSDT", "IBM"), 300.0, arrivals=arrivals).chunks(start_us), 20):
        for trade in chunk:
            assert trade.trade_id == str(trade.sequence)
            numbers.setdefault(trade.symbol, []).append(trade.sequence)
    assert len(numbers) == 3
    for sequences in numbers.values():
        assert sequences == list(range(start_us, start_us + len(sequences)))
