"""`MarketData`: which store answers, what an answer says about itself, and what happens while a store is away."""

from dataclasses import replace
from typing import Any

import pytest

from marketstream.domain.errors import StoreUnavailableError
from marketstream.domain.interval import Interval
from marketstream.serving.market_data import MarketData
from marketstream.serving.stores import REST_SECONDS, Store
from marketstream.testing.fake_readers import InMemoryMarketReader
from stores import make_cancel

MINUTE = Interval.parse("1min")


def test_latest_comes_from_the_cache(world: Any) -> None:
    answer = world.market_data.latest("BTCUSDT")
    assert answer.data == world.ticks[-1]
    assert (answer.source, answer.degraded, answer.stale) == ("cache", False, False)
    assert answer.age_seconds == 0.5


def test_latest_falls_back_to_the_database_when_the_cache_has_forgotten(world: Any) -> None:
    market_data = MarketData(
        InMemoryMarketReader(), world.history, symbols=[], stale_after_seconds=30, clock=world.clock
    )
    answer = market_data.latest("BTCUSDT")
    assert (answer.data, answer.source, answer.degraded) == (world.ticks[-1], "database", False)


def test_latest_is_degraded_without_the_cache(world: Any) -> None:
    world.cache.available = False
    answer = world.market_data.latest("BTCUSDT")
    assert (answer.data, answer.source, answer.degraded) == (world.ticks[-1], "database", True)


def test_latest_uses_the_kept_ticks_when_the_price_has_expired_and_the_database_is_away(world: Any) -> None:
    class ExpiredPrice(InMemoryMarketReader):
        def latest(self, symbol: str) -> None:
            self.ping()

    world.history.available = False
    cache = ExpiredPrice(world.ticks[-3:])
    market_data = MarketData(cache, world.history, symbols=[], stale_after_seconds=30, clock=world.clock)
    answer = market_data.latest("BTCUSDT")
    assert (answer.data, answer.source, answer.degraded) == (world.ticks[-1], "cache", True)


def test_a_trade_that_was_taken_back_is_no_latest_price_from_any_store(world: Any) -> None:
    class ExpiredPrice(InMemoryMarketReader):
        def latest(self, symbol: str) -> None:
            self.ping()

    cache = ExpiredPrice(world.ticks[-3:])
    for store in (world.cache, world.history, cache):
        store.add(make_cancel(world.ticks[-1]))
    expired = MarketData(cache, world.history, symbols=[], stale_after_seconds=30, clock=world.clock)
    for market_data in (world.market_data, expired):
        assert market_data.latest("BTCUSDT").data == world.ticks[-2]
    world.history.available = False
    answer = expired.latest("BTCUSDT")
    assert (answer.data, answer.source, answer.degraded) == (world.ticks[-2], "cache", True)


def test_nothing_known_is_no_answer_when_the_database_is_away(world: Any) -> None:
    world.history.available = False
    with pytest.raises(StoreUnavailableError):
        world.market_data.latest("IBM")


@pytest.mark.parametrize("query", ["latest", "ticks", "bars", "indicators"])
def test_both_stores_away_is_an_error(world: Any, query: str) -> None:
    world.cache.available = world.history.available = False
    arguments = {"latest": (), "ticks": (), "bars": (MINUTE,), "indicators": (MINUTE,)}[query]
    with pytest.raises(StoreUnavailableError):
        getattr(world.market_data, query)("BTCUSDT", *arguments)


def test_an_old_tick_is_stale_by_the_time_it_was_received(world: Any) -> None:
    world.clock.advance(29.5)
    assert not world.market_data.latest("BTCUSDT").stale
    world.clock.advance(0.1)
    answer = world.market_data.latest("BTCUSDT")
    assert answer.stale
    assert answer.age_seconds == pytest.approx(30.1)


def test_no_data_is_stale_and_has_no_age(world: Any) -> None:
    answer = world.market_data.ticks("IBM")
    assert (answer.data, answer.stale, answer.age_seconds) == ([], True, None)


def test_ticks_that_the_cache_holds_come_from_it_alone(world: Any) -> None:
    world.history.available = False
    answer = world.market_data.ticks("BTCUSDT", limit=99)
    assert (answer.data, answer.source, answer.degraded) == (world.ticks[-99:], "cache", False)


def test_the_cache_leaves_to_the_database_what_it_may_have_cut_through(world: Any) -> None:
    oldest = world.ticks[-99]
    twin = replace(oldest, trade_id="0", provider="another")
    world.cache.add(twin)
    world.history.add(twin)
    answer = world.market_data.ticks("BTCUSDT", limit=99)
    assert answer.source == "database"
    assert answer.data == sorted([*world.ticks, twin], key=lambda tick: tick.place)[-99:]


class AtOnce:
    """A reader of newest ticks over the cache of a world."""

    def __init__(self, world: Any) -> None:
        self.cache = world.cache
        self.asked = 0

    async def latest(self, symbol: str) -> Any:
        self.asked += 1
        return self.cache.latest(symbol)


async def test_the_newest_tick_is_told_without_a_thread_while_the_cache_has_it(world: Any) -> None:
    reader = AtOnce(world)
    data = MarketData(world.cache, world.history, symbols=[], stale_after_seconds=30, clock=world.clock, newest=reader)
    answer = await data.latest_at_once("BTCUSDT")
    assert (answer.data, answer.source, answer.stale, answer.degraded) == (world.ticks[-1], "cache", False, False)
    assert await data.latest_at_once("IBM") is None
    assert await world.market_data.latest_at_once("BTCUSDT") is None
    world.cache.available = False
    assert [await data.latest_at_once("BTCUSDT") for _ in range(3)] == [None] * 3
    assert reader.asked == 3  # the cache is left alone for a moment
    assert data.latest("BTCUSDT").degraded


def test_more_ticks_than_the_cache_holds_come_from_the_database(world: Any) -> None:
    answer = world.market_data.ticks("BTCUSDT", limit=101)
    assert (answer.data, answer.source) == (world.ticks[-101:], "database")


def test_ticks_the_database_lacks_so_far_are_added_from_the_cache(world: Any) -> None:
    newest = replace(world.ticks[-1], trade_id="new", event_time_us=world.ticks[-1].event_time_us + 1)
    world.cache.add(newest)
    answer = world.market_data.ticks("BTCUSDT", limit=500)
    assert (answer.data, answer.source) == ([*world.ticks[-499:], newest], "both")


def test_a_range_of_ticks_is_the_databases_matter(world: Any) -> None:
    start, end = world.ticks[10].event_time_us, world.ticks[20].event_time_us
    answer = world.market_data.ticks("BTCUSDT", start_us=start, end_us=end)
    assert (answer.data, answer.source, answer.degraded) == (world.ticks[10:20], "database", False)


def test_a_range_of_ticks_is_what_the_cache_has_of_it_while_the_database_is_away(world: Any) -> None:
    world.history.available = False
    start = world.ticks[-150].event_time_us
    answer = world.market_data.ticks("BTCUSDT", start_us=start, end_us=world.ticks[-50].event_time_us)
    assert (answer.data, answer.source, answer.degraded) == (world.ticks[-100:-50], "cache", True)


def test_the_caches_newer_version_of_the_current_bar_wins(world: Any) -> None:
    last = world.bars[-1]
    live = replace(last, trade_count=last.trade_count + 1, close=last.high)
    world.cache.add(live)
    answer = world.market_data.bars("BTCUSDT", MINUTE, limit=10)
    assert (answer.data, answer.source) == ([*world.bars[-10:-1], live], "both")


def test_the_caches_older_version_of_a_bar_loses(world: Any) -> None:
    last = world.bars[-1]
    final = replace(last, final=True)
    world.history.add(final)
    answer = world.market_data.bars("BTCUSDT", MINUTE, limit=2)
    assert (answer.data, answer.source) == ([world.bars[-2], final], "database")


def test_a_bar_only_the_cache_has_is_appended_within_the_limit(world: Any) -> None:
    history = InMemoryMarketReader(bars=world.bars[:-1])
    market_data = MarketData(world.cache, history, symbols=[], stale_after_seconds=30, clock=world.clock)
    answer = market_data.bars("BTCUSDT", MINUTE, limit=3)
    assert (answer.data, answer.source) == (world.bars[-3:], "both")


def test_the_live_bar_stays_out_of_a_range_that_ends_before_it(world: Any) -> None:
    world.cache.add(replace(world.bars[-1], trade_count=1_000))
    answer = world.market_data.bars("BTCUSDT", MINUTE, end_us=world.bars[-1].start_us, limit=5)
    assert (answer.data, answer.source) == (world.bars[-6:-1], "database")


def test_the_newest_bar_alone_is_the_caches_matter(world: Any) -> None:
    world.history.available = False
    answer = world.market_data.bars("BTCUSDT", MINUTE, limit=1)
    assert (answer.data, answer.source, answer.degraded) == (world.bars[-1:], "cache", False)


def test_bars_go_on_with_either_store_away(world: Any) -> None:
    world.cache.available = False
    without_cache = world.market_data.bars("BTCUSDT", MINUTE, limit=4)
    assert (without_cache.data, without_cache.source, without_cache.degraded) == (world.bars[-4:], "database", True)


def test_bars_without_the_database_are_the_live_one(world: Any) -> None:
    world.history.available = False
    answer = world.market_data.bars("BTCUSDT", MINUTE, limit=4)
    assert (answer.data, answer.source, answer.degraded) == (world.bars[-1:], "cache", True)


def test_indicators_are_the_databases_with_the_caches_live_ones(world: Any) -> None:
    last = world.indicators[-1]
    live = replace(last, trade_count=last.trade_count + 1, values={"sma_20": 1.0})
    world.cache.add(live)
    answer = world.market_data.indicators("BTCUSDT", MINUTE, limit=10)
    assert (answer.data, answer.source) == ([*world.indicators[-10:-1], live], "both")
    world.history.available = False
    alone = world.market_data.indicators("BTCUSDT", MINUTE, limit=10)
    assert (alone.data, alone.source, alone.degraded) == ([live], "cache", True)


def test_corrected_indicators_of_the_same_version_are_the_databases(world: Any) -> None:
    corrected = replace(world.indicators[-1], values={"sma_20": 1.0})
    world.history.add(corrected)
    answer = world.market_data.indicators("BTCUSDT", MINUTE, limit=2)
    assert (answer.data, answer.source) == ([world.indicators[-2], corrected], "database")


def test_symbols_are_the_configured_and_the_seen(world: Any) -> None:
    world.history.add(replace(world.ticks[0], symbol="ETHUSDT"))
    assert world.market_data.symbols() == ["BTCUSDT", "ETHUSDT", "IBM"]


def test_symbols_survive_both_stores(world: Any) -> None:
    world.cache.available = world.history.available = False
    assert world.market_data.symbols() == ["BTCUSDT", "IBM"]


def test_health_names_the_store_that_is_away(world: Any) -> None:
    world.history.available = False
    cache, database = world.market_data.health()
    assert (cache.name, cache.error) == ("cache", None)
    assert database.name == "database"
    assert database.error is not None
    assert cache.milliseconds >= 0


def test_a_store_that_failed_is_left_alone_for_a_moment() -> None:
    now = [0.0]
    reader = InMemoryMarketReader()
    store = Store("cache", reader, monotonic=lambda: now[0])
    reader.available = False
    with pytest.raises(StoreUnavailableError, match="switched off"):
        store.read(lambda found: found.symbols())
    reader.available = True
    with pytest.raises(StoreUnavailableError, match="the cache is away"):
        store.read(lambda found: found.symbols())
    now[0] = REST_SECONDS
    assert store.read(lambda found: found.symbols()) == []
