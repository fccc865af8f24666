"""A small market in memory: a cache that holds the newest, a history that holds everything, and a clock."""

from dataclasses import dataclass

import pytest

from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.serving.feed_data import FeedData
from marketstream.serving.market_data import MarketData
from marketstream.testing.fake_feeds import InMemoryFeedReader
from marketstream.testing.fake_readers import InMemoryMarketReader
from marketstream.testing.fakes import FakeClock
from marketstream.testing.samples import sample_bars, sample_ticks
from stores import make_indicators

START_US = 1_700_000_040_000_000  # a whole minute
HOUR_US = 3_600 * 1_000_000


@dataclass
class World:
    """What a test can turn: the stores and the clock, with the market they hold."""

    cache: InMemoryMarketReader
    history: InMemoryMarketReader
    clock: FakeClock
    market_data: MarketData
    feeds: InMemoryFeedReader
    feed_data: FeedData
    ticks: list[Tick]
    bars: list[Bar]
    indicators: list[Indicators]


@pytest.fixture
def world() -> World:
    """Two hours of BTCUSDT in both stores, as 1-minute bars; IBM is configured and has never traded."""
    ticks = list(sample_ticks("BTCUSDT", start_us=START_US, end_us=START_US + 2 * HOUR_US, per_second=0.2))
    bars = list(sample_bars(ticks, Interval.parse("1min"), final_before_us=START_US + 2 * HOUR_US - 60_000_000))
    cache = InMemoryMarketReader(ticks[-100:], bars[-1:])
    history = InMemoryMarketReader(ticks, bars)
    indicators = [make_indicators(bar) for bar in bars]
    cache.add(indicators[-1])
    history.add(*indicators)
    clock = FakeClock(ticks[-1].received_time_us + 500_000)
    intervals = [Interval.parse(name) for name in ("1min", "5min", "15min")]
    market_data = MarketData(
        cache, history, symbols=["BTCUSDT", "IBM"], intervals=intervals, stale_after_seconds=30.0, clock=clock
    )
    feeds = InMemoryFeedReader(ticks)
    feed_data = FeedData(feeds, providers=["polygon", "binance"], clock=clock)
    return World(cache, history, clock, market_data, feeds, feed_data, ticks, bars, indicators)
