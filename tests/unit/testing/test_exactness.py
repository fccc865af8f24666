"""The exactness data set really holds the cases that bars get wrong."""

from collections import Counter

from marketstream.testing.exactness import DEFAULT_START_US, exactness_trades

MINUTE_US = 60_000_000
SYMBOLS = ("IBM", "BAC", "AAPL")
TRADES = exactness_trades(12_000, SYMBOLS, hours=3)


def test_it_is_ordered_and_numbered() -> None:
    times = [trade.event_time_us for trade in TRADES]
    assert times == sorted(times)
    assert DEFAULT_START_US <= times[0] < times[-1] < DEFAULT_START_US + 3 * 3_600_000_000
    assert all(time % 1_000 == 0 for time in times)
    for symbol in SYMBOLS:
        sequences = [trade.sequence for trade in TRADES if trade.symbol == symbol]
        assert sequences == list(range(1, len(sequences) + 1))
    assert 9_000 < len(TRADES) <= 12_000


def test_it_holds_trades_at_and_just_before_minute_edges() -> None:
    offsets = Counter(trade.event_time_us % MINUTE_US for trade in TRADES)
    assert offsets[0] > 100
    assert offsets[MINUTE_US - 1_000] > 100


def test_it_holds_equal_times_with_differing_prices() -> None:
    prices: dict[tuple[str, int], set[float]] = {}
    for trade in TRADES:
        prices.setdefault((trade.symbol, trade.event_time_us), set()).add(trade.price)
    assert sum(len(found) > 1 for found in prices.values()) > 500


def test_it_holds_odd_sizes_in_whole_shares() -> None:
    sizes = {trade.size for trade in TRADES}
    assert {1.0, 33.0, 250_000.0} <= sizes
    assert all(size.is_integer() for size in sizes)


def test_symbols_fall_silent_and_minutes_stay_empty() -> None:
    minutes = {symbol: {t.event_time_us // MINUTE_US for t in TRADES if t.symbol == symbol} for symbol in SYMBOLS}
    first = DEFAULT_START_US // MINUTE_US
    assert not minutes["BAC"] & set(range(first + 91, first + 119))
    assert minutes["IBM"] & set(range(first + 91, first + 119))
    assert len(minutes["IBM"]) < 179


def test_the_same_seed_gives_the_same_trades() -> None:
    assert exactness_trades(300, SYMBOLS, seed=3) == exactness_trades(300, SYMBOLS, seed=3)
    assert exactness_trades(300, SYMBOLS, seed=3) != exactness_trades(300, SYMBOLS, seed=4)
