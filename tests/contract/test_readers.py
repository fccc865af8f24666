"""Every reader keeps the `MarketReader` port's promises, the in-memory one and those on real servers alike."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import polars as pl
import pytest

from marketstream.domain.errors import StoreUnavailableError
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Cancel, Tick
from marketstream.ports import MarketReader, QuoteReader
from marketstream.settings import Settings
from marketstream.storage.redis.reader import RedisReader
from marketstream.storage.redis.writer import RedisWriter
from marketstream.storage.timescale.reader import TimescaleReader
from marketstream.storage.timescale.writer import TimescaleWriter
from marketstream.testing.fake_readers import InMemoryMarketReader
from marketstream.testing.samples import sample_bars, sample_ticks
from stores import (
    CLOSED_PORT,
    MINUTE_US,
    TOPICS,
    Log,
    empty_redis,
    fresh_schema,
    make_bar,
    make_cancel,
    make_indicators,
    make_quote,
    make_tick,
    topic_ids,
)

pytestmark = pytest.mark.servers

MINUTE = Interval.parse("1min")
FIVE_MINUTES = Interval.parse("5min")


@dataclass(frozen=True)
class Known:
    """A reader with what was stored for it.

    `all_bars` says whether it keeps more than the newest bar, `rolled_up` which intervals it makes of minutes.
    """

    reader: MarketReader
    away: MarketReader
    ticks: pl.DataFrame
    bars: pl.DataFrame
    indicators: list[Indicators]
    start_us: int
    all_bars: bool
    rolled_up: tuple[str, ...] = ()


@dataclass(frozen=True)
class Paged:
    """A reader of history with what was stored for it."""

    reader: InMemoryMarketReader | TimescaleReader
    ticks: list[Tick]
    bars: list[Bar]
    said: list[Indicators]


@dataclass(frozen=True)
class Quoted:
    """A reader of quotes, and how they get there."""

    reader: QuoteReader
    away: QuoteReader
    store: Callable[..., None]


@pytest.fixture(scope="module", params=["memory", "timescale", "redis"])
def known(request: pytest.FixtureRequest, server_settings: Callable[..., Settings]) -> Iterator[Known]:
    start_us = (time.time_ns() // 1_000 - 30 * MINUTE_US) // MINUTE_US * MINUTE_US
    ticks = [
        tick
        for symbol in ("IBM", "BAC")
        for tick in sample_ticks(symbol, start_us=start_us, end_us=start_us + 12 * MINUTE_US)
    ]
    bars = [
        bar
        for symbol in ("IBM", "BAC")
        for interval in (MINUTE, FIVE_MINUTES)
        for bar in sample_bars((tick for tick in ticks if tick.symbol == symbol), interval)
    ]
    said = [make_indicators(bar) for bar in bars if bar.symbol == "IBM"]
    stored = (frame(ticks), frame(bars), said)
    random.Random(5).shuffle(ticks)
    if request.param == "memory":
        memory, away = InMemoryMarketReader(ticks, bars), InMemoryMarketReader()
        memory.add(*said)
        away.available = False
        yield Known(memory, away, *stored, start_us, all_bars=True)
    elif request.param == "timescale":
        with fresh_schema(server_settings("postgres").postgres) as own, closing(TimescaleReader(own)) as reader:
            fill(TimescaleWriter(own), [*ticks, *bars, *said])
            away = TimescaleReader(own.model_copy(update={"port": CLOSED_PORT}))
            yield Known(reader, away, *stored, start_us, all_bars=True, rolled_up=("1h", "1d"))
    else:
        own = empty_redis(server_settings("redis").redis)
        with closing(RedisReader(own)) as reader:
            fill(RedisWriter(own, TOPICS, topic_ids), [*ticks, *bars, *said])
            away = RedisReader(own.model_copy(update={"port": CLOSED_PORT}))
            yield Known(reader, away, *stored, start_us, all_bars=False)


def fill(writer: RedisWriter | TimescaleWriter, items: Sequence[Tick | Bar | Indicators | Cancel]) -> None:
    log = Log()
    log.add(*items)
    writer.setup()
    writer.write(log.messages)
    writer.close()


def frame(items: Sequence[Tick] | Sequence[Bar]) -> pl.DataFrame:
    names = [name for name in items[0].__slots__ if name != "conditions"]
    return pl.DataFrame({name: [getattr(item, name) for item in items] for name in names})


def newest(rows: pl.DataFrame, order: list[str], limit: int) -> list[dict]:
    return rows.sort(order).tail(limit).to_dicts()


@pytest.mark.parametrize(
    ("after_s", "before_s", "limit"),
    [(None, None, 10), (None, None, 1_000), (60, 300, 1_000), (60, None, 5), (None, 200, 20), (100, 100, 10)],
)
def test_ticks_are_the_newest_of_the_range_oldest_first(
    known: Known, after_s: int | None, before_s: int | None, limit: int
) -> None:
    start_us = None if after_s is None else known.start_us + after_s * 1_000_000
    end_us = None if before_s is None else known.start_us + before_s * 1_000_000
    inside = known.ticks.filter(
        pl.col("symbol") == "IBM",
        pl.col("event_time_us") >= (start_us or 0),
        pl.col("event_time_us") < (end_us or 2**62),
    )

    found = known.reader.ticks("IBM", start_us=start_us, end_us=end_us, limit=limit)

    expected = newest(inside, ["event_time_us", "sequence"], limit)
    assert (frame(found).to_dicts() if found else []) == expected


def test_a_ranges_end_is_outside_and_its_start_inside(known: Known) -> None:
    times = known.ticks.filter(pl.col("symbol") == "BAC")["event_time_us"].sort().to_list()

    found = known.reader.ticks("BAC", start_us=times[10], end_us=times[20], limit=1_000)

    assert [tick.event_time_us for tick in found] == times[10:20]


@pytest.mark.parametrize(("after_s", "limit"), [(None, 1), (None, 7), (120, 1_000)])
def test_many_symbols_at_once_are_as_each_by_itself(known: Known, after_s: int | None, limit: int) -> None:
    reader, names = known.reader, ["BAC", "NONE", "IBM"]
    assert isinstance(reader, InMemoryMarketReader | TimescaleReader | RedisReader)
    page = {"start_us": None if after_s is None else known.start_us + after_s * 1_000_000, "end_us": None}
    page["limit"] = limit

    def each(read: Callable[[str], object]) -> dict[str, object]:
        return {name: found for name in names if (found := read(name))}

    assert reader.latest_of(names) == each(reader.latest)
    assert set(reader.latest_of(names)) == {"BAC", "IBM"}
    assert reader.ticks_of(names, **page) == each(lambda name: reader.ticks(name, **page))
    for interval in (MINUTE, FIVE_MINUTES, Interval.parse("1h")):
        bars = each(lambda name, of=interval: reader.bars(name, of, **page))
        assert reader.bars_of(names, interval, **page) == bars
        said = each(lambda name, of=interval: reader.indicators(name, of, **page))
        assert reader.indicators_of(names, interval, **page) == said
    assert reader.bars_of([], MINUTE, **page) == {}
    assert reader.latest_of([]) == {}


def test_a_void_bar_is_no_bar(server_settings: Callable[..., Settings]) -> None:
    void, other = make_bar(MINUTE_US, 0, cancelled=3), make_bar(2 * MINUTE_US, 1, symbol="BAC")
    cache = empty_redis(server_settings("redis").redis)
    with fresh_schema(server_settings("postgres").postgres) as own:
        fill(TimescaleWriter(own), [make_bar(MINUTE_US, 3), void, other])
        fill(RedisWriter(cache, TOPICS, topic_ids), [make_bar(MINUTE_US, 3), void, other])
        memory = InMemoryMarketReader(bars=[make_bar(MINUTE_US, 3), void, other])
        with closing(TimescaleReader(own)) as history, closing(RedisReader(cache)) as newest:
            for reader in (memory, history, newest):
                found = [reader.bars(name, MINUTE, start_us=None, end_us=None, limit=5) for name in ("IBM", "BAC")]
                assert found == [[], [other]]


@pytest.mark.parametrize("by_id", [True, False])
def test_the_latest_is_no_trade_that_was_taken_back(server_settings: Callable[..., Settings], by_id: bool) -> None:
    trades = [make_tick(MINUTE_US + number, price=100.0 + number) for number in range(3)]
    cancel = make_cancel(trades[2]) if by_id else make_cancel(trades[2], trade_id=None)
    cache = empty_redis(server_settings("redis").redis)
    with fresh_schema(server_settings("postgres").postgres) as own:
        fill(TimescaleWriter(own), [*trades, cancel])
        fill(RedisWriter(cache, TOPICS, topic_ids), [*trades, cancel])
        memory = InMemoryMarketReader()
        memory.add(*trades, make_cancel(trades[2]))
        with closing(TimescaleReader(own)) as history, closing(RedisReader(cache)) as newest:
            for reader in (memory, history, newest):
                assert reader.latest("IBM") == trades[1]
                assert reader.ticks("IBM", start_us=None, end_us=None, limit=5) == trades
            assert newest.latest_kept("IBM") == memory.latest_kept("IBM") == trades[1]


def test_cancelled_trades_of_many_symbols_are_found_each_in_its_range(
    server_settings: Callable[..., Settings],
) -> None:
    trades = [make_tick(MINUTE_US + number, symbol=symbol) for symbol in ("IBM", "BAC") for number in range(4)]
    cancels = [make_cancel(trade) for trade in trades if trade.event_time_us % 2]
    with fresh_schema(server_settings("postgres").postgres) as own, closing(TimescaleReader(own)) as stored:
        fill(TimescaleWriter(own), [*trades, *cancels])
        memory = InMemoryMarketReader()
        memory.add(*trades, *cancels)
        ranges = {"IBM": (MINUTE_US, MINUTE_US + 2), "BAC": (MINUTE_US + 2, MINUTE_US + 9), "NONE": (0, 2**40)}
        each = {name: memory.cancelled(name, start_us=first, end_us=end) for name, (first, end) in ranges.items()}
        for reader in (memory, stored):
            assert reader.cancelled_of(ranges) == {name: keys for name, keys in each.items() if keys}
        assert {name: len(keys) for name, keys in each.items()} == {"IBM": 1, "BAC": 1, "NONE": 0}


@pytest.fixture(params=["memory", "timescale"])
def history(request: pytest.FixtureRequest, server_settings: Callable[..., Settings]) -> Iterator[Paged]:
    """Ticks of which many share their times, and bars with holes, in a store that is read page by page."""
    start_us = (time.time_ns() // 1_000 - 30 * MINUTE_US) // MINUTE_US * MINUTE_US
    chance = random.Random(11)
    ticks = [
        make_tick(start_us + chance.randrange(5), sequence=chance.randrange(3), trade_id=f"{number}", provider=provider)
        for number, provider in enumerate(chance.choices(["finage", "polygon"], k=200))
    ]
    bars = [make_bar(start_us - number * MINUTE_US, 3) for number in range(40) if number % 3]
    said = [make_indicators(bar) for bar in bars]
    if request.param == "memory":
        reader = InMemoryMarketReader(ticks, bars)
        reader.add(*said)
        yield Paged(reader, ticks, bars, said)
        return
    with fresh_schema(server_settings("postgres").postgres) as own, closing(TimescaleReader(own)) as reader:
        with closing(TimescaleWriter(own)) as writer:
            writer.setup()
            writer.write(Log().add(*ticks, *bars, *said))
        yield Paged(reader, ticks, bars, said)


@pytest.mark.parametrize("size", [1, 7, 200])
def test_ticks_are_read_page_by_page_both_ways(history: Paged, size: int) -> None:
    expected = sorted(history.ticks, key=lambda tick: (tick.event_time_us, tick.sequence, tick.provider, tick.trade_id))
    back, place = [], (expected[-1].event_time_us + 1, 0, "", "")
    while page := history.reader.ticks_before("IBM", place, start_us=None, limit=size):
        back, place = page + back, page[0].place
    assert back == expected
    forth, place = [], (0, 0, "", "")
    while page := history.reader.first_ticks("IBM", place, end_us=None, limit=size):
        forth, place = forth + page, page[-1].place
    assert forth == expected
    middle = expected[100]
    after_start = history.reader.ticks_before("IBM", middle.place, start_us=middle.event_time_us, limit=200)
    assert after_start == [tick for tick in expected[:100] if tick.event_time_us == middle.event_time_us]


@pytest.mark.parametrize("size", [1, 7, 200])
def test_bars_are_read_page_by_page_from_the_oldest_on(history: Paged, size: int) -> None:
    for read, stored in ((history.reader.first_bars, history.bars), (history.reader.first_indicators, history.said)):
        expected = sorted(stored, key=lambda each: each.start_us)[1:-1]
        found, start_us, end_us = [], expected[0].start_us, expected[-1].start_us + 1
        while page := read("IBM", MINUTE, start_us=start_us, end_us=end_us, limit=size):
            found, start_us = found + page, page[-1].start_us + 1
        assert found == expected


def test_latest_is_the_newest_tick(known: Known) -> None:
    latest = known.reader.latest("BAC")

    assert latest is not None
    ordered = known.ticks.filter(pl.col("symbol") == "BAC").sort("event_time_us", "sequence")
    assert frame([latest]).to_dicts() == ordered.tail(1).to_dicts()


@pytest.mark.parametrize("interval", [MINUTE, FIVE_MINUTES])
def test_the_newest_bar(known: Known, interval: Interval) -> None:
    rows = known.bars.filter(pl.col("symbol") == "IBM", pl.col("interval") == interval.name)

    found = known.reader.bars("IBM", interval, start_us=None, end_us=None, limit=1)

    assert frame(found).to_dicts() == newest(rows, ["start_us"], 1)


@pytest.mark.parametrize(("first", "end", "limit"), [(0, 12, 100), (3, 9, 100), (0, 12, 4), (2, 10, 3)])
def test_bars_are_the_newest_that_start_in_the_range_oldest_first(
    known: Known, first: int, end: int, limit: int
) -> None:
    start_us, end_us = known.start_us + first * MINUTE_US, known.start_us + end * MINUTE_US
    rows = known.bars.filter(
        pl.col("symbol") == "IBM", pl.col("interval") == "1min", pl.col("start_us").is_between(start_us, end_us - 1)
    )

    found = known.reader.bars("IBM", MINUTE, start_us=start_us, end_us=end_us, limit=limit)

    expected = newest(rows, ["start_us"], limit)
    if not known.all_bars:  # a cache may know less, but never anything else
        assert len(found) == (1 if end == 12 else 0)
        expected = expected[-1:] if found else []
    assert [frame([bar]).to_dicts()[0] for bar in found] == expected


@pytest.mark.parametrize("interval", [MINUTE, FIVE_MINUTES])
def test_the_newest_indicators(known: Known, interval: Interval) -> None:
    said = [each for each in known.indicators if each.interval == interval.name]

    found = known.reader.indicators("IBM", interval, start_us=None, end_us=None, limit=1)

    assert found == said[-1:]
    assert known.reader.indicators("BAC", interval, start_us=None, end_us=None, limit=1) == []


@pytest.mark.parametrize(("first", "end", "limit"), [(0, 12, 100), (3, 9, 100), (0, 12, 4), (2, 10, 3)])
def test_indicators_are_of_the_newest_bars_that_start_in_the_range_oldest_first(
    known: Known, first: int, end: int, limit: int
) -> None:
    start_us, end_us = known.start_us + first * MINUTE_US, known.start_us + end * MINUTE_US
    said = [each for each in known.indicators if each.interval == "1min" and start_us <= each.start_us < end_us]

    found = known.reader.indicators("IBM", MINUTE, start_us=start_us, end_us=end_us, limit=limit)

    if known.all_bars:
        assert found == said[-limit:]
    else:  # a cache may know less, but never anything else
        assert found == (said[-1:] if end == 12 else [])


def test_an_unknown_symbol_has_nothing(known: Known) -> None:
    for symbol in ("NONE", "", "IBM ", "ibm", "x" * 500, "a\0b"):
        assert known.reader.latest(symbol) is None
        assert known.reader.ticks(symbol, start_us=None, end_us=None, limit=10) == []
        assert known.reader.bars(symbol, MINUTE, start_us=None, end_us=None, limit=10) == []
        assert known.reader.indicators(symbol, MINUTE, start_us=None, end_us=None, limit=10) == []


def test_times_beyond_any_calendar_are_only_far_away(known: Known) -> None:
    found = known.reader.ticks("IBM", start_us=-(2**62), end_us=2**62, limit=10)

    assert len(found) == 10
    assert known.reader.ticks("IBM", start_us=2**62, end_us=None, limit=10) == []


@pytest.mark.parametrize("limit", [0, -3])
def test_nothing_wanted_is_nothing_given(known: Known, limit: int) -> None:
    assert known.reader.ticks("IBM", start_us=None, end_us=None, limit=limit) == []
    assert known.reader.bars("IBM", MINUTE, start_us=None, end_us=None, limit=limit) == []
    assert known.reader.indicators("IBM", MINUTE, start_us=None, end_us=None, limit=limit) == []


def test_intervals_are_those_with_bars(known: Known) -> None:
    assert sorted(known.reader.intervals()) == sorted(["1min", "5min", *known.rolled_up])


def test_symbols_are_sorted(known: Known) -> None:
    assert known.reader.symbols() == ["BAC", "IBM"]


def test_ping_returns(known: Known) -> None:
    known.reader.ping()


def test_a_store_that_is_away_is_said_to_be_away(known: Known) -> None:
    calls: list[Callable[[], object]] = [
        known.away.ping,
        known.away.symbols,
        known.away.intervals,
        lambda: known.away.latest("IBM"),
        lambda: known.away.ticks("IBM", start_us=None, end_us=None, limit=1),
        lambda: known.away.bars("IBM", MINUTE, start_us=None, end_us=None, limit=1),
        lambda: known.away.indicators("IBM", MINUTE, start_us=None, end_us=None, limit=1),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailableError):
            call()


@pytest.fixture(params=["memory", "redis"])
def quoted(request: pytest.FixtureRequest, server_settings: Callable[..., Settings]) -> Iterator[Quoted]:
    """A store of quotes, and what it takes to put some there, in batches."""
    if request.param == "memory":
        reader, away = InMemoryMarketReader(), InMemoryMarketReader()
        away.available = False
        yield Quoted(reader, away, lambda *quotes: reader.add(*quotes))
    else:
        own = empty_redis(server_settings("redis").redis)
        log = Log()
        away_settings = own.model_copy(update={"port": CLOSED_PORT})
        with closing(RedisReader(own)) as redis_reader, closing(RedisWriter(own, TOPICS, topic_ids)) as writer:
            writer.setup()
            yield Quoted(redis_reader, RedisReader(away_settings), lambda *quotes: writer.write(log.add(*quotes)))


@pytest.mark.parametrize("one_batch", [True, False])
def test_the_newest_quote_stays_whatever_comes_after(quoted: Quoted, one_batch: bool) -> None:
    quotes = [
        make_quote(20, sequence=1, bid_price=1.0),
        make_quote(30, sequence=5, bid_price=2.0),
        make_quote(30, sequence=4, bid_price=3.0),
        make_quote(10, sequence=9, bid_price=4.0),
        make_quote(10, symbol="BAC", bid_price=5.0),
    ]

    for batch in [quotes] if one_batch else [[quote] for quote in quotes]:
        quoted.store(*batch)

    assert quoted.reader.quote("IBM") == quotes[1]
    assert quoted.reader.quote("BAC") == quotes[4]


@pytest.mark.parametrize("one_batch", [True, False])
def test_of_quotes_of_one_time_the_later_to_arrive_counts(quoted: Quoted, one_batch: bool) -> None:
    first, second = make_quote(20, bid_price=1.0), make_quote(20, bid_price=2.0)

    for batch in [[first, second]] if one_batch else [[first], [second]]:
        quoted.store(*batch)

    assert quoted.reader.quote("IBM") == second


def test_a_symbol_without_quotes_has_none(quoted: Quoted) -> None:
    for symbol in ("NONE", "", "a\0b"):
        assert quoted.reader.quote(symbol) is None


def test_a_store_of_quotes_that_is_away_is_said_to_be_away(quoted: Quoted) -> None:
    with pytest.raises(StoreUnavailableError):
        quoted.away.quote("IBM")
