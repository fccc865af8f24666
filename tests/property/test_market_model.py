"""Whatever the seed, symbols, rate and start, a generated market is orderly and repeatable."""

from itertools import islice

from hypothesis import given, settings
from hypothesis import strategies as st

from marketstream.testing.instruments import instrument
from marketstream.testing.market import Market

symbols = st.lists(
    st.one_of(st.sampled_from(["BTCUSDT", "XRPUSDT", "IBM", "BAC"]), st.from_regex(r"[A-Z]{1,5}", fullmatch=True)),
    min_size=1,
    max_size=8,
    unique=True,
)
markets = st.builds(
    Market,
    symbols=symbols.map(tuple),
    ticks_per_second=st.floats(0.05, 50_000),
    seed=st.integers(0, 2**32),
    arrivals=st.sampled_from(["clustered", "even"]),
)
starts = st.integers(0, 4_000_000_000_000_000)


@settings(max_examples=60, deadline=None)
@given(market=markets, start_us=starts)
def test_time_never_goes_back_and_numbers_rise(market: Market, start_us: int) -> None:
    trades = list(islice(market.trades(start_us), 1_500))
    times = [trade.event_time_us for trade in trades]
    assert times == sorted(times)
    assert times[0] >= start_us
    for symbol in market.symbols:
        sequences = [trade.sequence for trade in trades if trade.symbol == symbol]
        assert sequences == list(range(start_us, start_us + len(sequences)))
    assert all(trade.trade_id == str(trade.sequence) for trade in trades)


@settings(max_examples=60, deadline=None)
@given(market=markets, start_us=starts)
def test_prices_and_sizes_lie_on_their_grids(market: Market, start_us: int) -> None:
    for trade in islice(market.trades(start_us), 600):
        rules = instrument(trade.symbol)
        assert trade.price > 0
        assert trade.size > 0
        assert float(f"{trade.price:.{rules.price_decimals}f}") == trade.price
        assert float(f"{trade.size:.{rules.size_decimals}f}") == trade.size


@settings(max_examples=30, deadline=None)
@given(market=markets, start_us=starts)
def test_the_same_market_again_is_the_same_and_another_seed_is_not(market: Market, start_us: int) -> None:
    again = Market(market.symbols, market.ticks_per_second, market.seed, market.arrivals)
    other = Market(market.symbols, market.ticks_per_second, market.seed + 1, market.arrivals)
    trades = list(islice(market.trades(start_us), 700))
    assert trades == list(islice(again.trades(start_us), 700))
    assert trades != list(islice(other.trades(start_us), 700))
