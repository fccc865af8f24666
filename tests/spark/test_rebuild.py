"""A rebuild on Spark against a real PostgreSQL that was damaged on purpose, repaired by what it publishes."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import polars as pl
import pytest

from lakes import archive_cancels, archive_ticks, rows_of
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.lake.datasets import BAR_ROWS, TICK_ROWS
from marketstream.lake.merge import bars_of, bars_table
from marketstream.lake.places import Partition, date_of
from marketstream.lake.store import LakeStore
from marketstream.lake.writing import write_rows
from marketstream.ports import Message
from marketstream.storage.timescale.history import TimescaleTickHistory
from marketstream.storage.timescale.known import TimescaleKnownTrades
from marketstream.storage.timescale.reader import TimescaleReader
from marketstream.storage.timescale.writer import TimescaleWriter
from marketstream.streaming.rebuild import RebuildRequest
from marketstream.streaming.rebuild_job import Rebuild, RebuildStores
from marketstream.testing.fakes import InMemoryPublisher
from marketstream.testing.samples import sample_bars, sample_ticks
from oracle import differences, expected_bars
from stores import Log, as_owner, fresh_schema, make_cancel

pytestmark = [pytest.mark.spark, pytest.mark.servers]

DAY_US = 86_400_000_000
MINUTE_US = 60_000_000
INTERVALS = tuple(map(Interval.parse, ("1min", "15min")))
# Yesterday: within the time that the table keeps ticks. The range crosses midnight.
MIDNIGHT_US = time.time_ns() // 1_000 // DAY_US * DAY_US - DAY_US
START_US, END_US = MIDNIGHT_US - 20 * MINUTE_US, MIDNIGHT_US + 40 * MINUTE_US
SYMBOLS = ("AAA", "EUR/USD")


@pytest.fixture(scope="module")
def ticks():
    return [
        tick
        for seed, symbol in enumerate(SYMBOLS)
        for tick in sample_ticks(symbol, start_us=START_US, end_us=END_US, per_second=0.5, seed=seed)
    ]


@pytest.fixture(scope="module")
def schema(server_settings: Callable):
    with fresh_schema(server_settings("postgres").postgres) as own:
        yield own


class World:
    """A lake and a table with all ticks, a table with all bars, and what damages them."""

    def __init__(self, settings, spark, ticks):
        self.settings, self.spark, self.ticks = settings, spark, ticks
        self.postgres = settings.postgres
        self.lake = LakeStore.at(settings.lake_url)
        self.publisher = InMemoryPublisher()
        archive_ticks(self.lake, ticks)
        days: dict[Partition, list[Bar]] = {}
        bars = [bar for symbol in SYMBOLS for each in INTERVALS for bar in self.bars_of(symbol, each)]
        self.write(*ticks, *bars)
        for bar in bars:
            days.setdefault(Partition("bars", bar.interval, date_of(bar.start_us), bar.symbol), []).append(bar)
        for partition, inside in days.items():
            write_rows(self.lake, BAR_ROWS, partition, bars_table(inside), 60)

    def bars_of(self, symbol, interval):
        own = [tick for tick in self.ticks if tick.symbol == symbol]
        return [replace(bar, final=True) for bar in sample_bars(own, interval)]

    def write(self, *items):
        with closing(TimescaleWriter(self.postgres)) as writer:
            writer.setup()
            writer.write(Log().add(*items))

    def execute(self, statement):
        with as_owner(self.postgres) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.rowcount

    def run(self, **changes):
        request = replace(RebuildRequest(START_US, END_US, (), INTERVALS), **changes)
        with closing(TimescaleReader(self.postgres)) as reader, closing(TimescaleWriter(self.postgres)) as writer:
            known, history = TimescaleKnownTrades(self.postgres), TimescaleTickHistory(self.postgres)
            stores = RebuildStores(reader, history, known, writer, self.publisher)
            report = Rebuild(request, self.settings, stores, self.spark).run()
            known.close()
        return report

    def apply(self):
        """What every store's writer does with what was published, twice and backwards too."""
        found = [
            Message(each.topic, 0, number, each.key, each.value, 0)
            for number, each in enumerate(self.publisher.delivered)
        ]
        with closing(TimescaleWriter(self.postgres)) as writer:
            writer.setup()
            writer.write(found)
            writer.write(found[::-1])

    def check(self):
        """The table's bars are those that polars makes of the trades."""
        expected = expected_bars(pl.DataFrame(rows_of(self.ticks)), "1min")
        with closing(TimescaleReader(self.postgres)) as reader:
            stored = {
                (symbol, bar.start_us): {name: getattr(bar, name) for name in type(bar).__slots__}
                for symbol in SYMBOLS
                for bar in reader.bars(symbol, INTERVALS[0], start_us=None, end_us=None, limit=10_000)
            }
        assert differences(expected, stored) == []


@pytest.fixture
def world(server_settings, schema, spark, ticks, tmp_path):
    settings = server_settings("postgres").model_copy(update={"postgres": schema, "data_dir": tmp_path})
    with as_owner(schema) as connection, connection.cursor() as cursor:
        cursor.execute("truncate tick_data, aggregated_data, trade_cancels")
    return World(settings, spark, ticks)


def test_whole_stores_have_no_difference(world):
    report = world.run(repair=True)
    assert (report.clean, report.differences, report.repaired) == (True, {}, 0)
    assert report.bars > 120
    assert world.run(source="table").clean
    world.check()


def test_a_lake_without_bars_gets_the_tables_and_nothing_is_published(world):
    world.lake.filesystem.delete_dir(world.lake.path("bars"))
    report = world.run(repair=True)
    assert {store for store, _ in report.differences} == {"lake"}
    assert (report.clean, report.repaired) == (True, report.bars)
    assert not world.publisher.delivered
    assert not world.run().differences


def test_a_damaged_table_is_told_of_and_repaired(world):
    gone = world.execute(
        "delete from aggregated_data where symbol = 'AAA' and \"interval\" = '1min' and"
        " end_time <= date_trunc('day', now()) - interval '1 day'"
    )
    wrong = world.execute(
        "update aggregated_data set high = high + 1 where symbol = 'EUR/USD' and \"interval\" = '15min'"
    )
    lost = world.execute("delete from tick_data where symbol = 'AAA' and sequence % 3 = 0")
    assert min(gone, wrong, lost) > 2

    told = world.run()
    assert told.differences == {("aggregated_data", "missing"): gone, ("aggregated_data", "wrong"): wrong}
    assert (told.ticks_missing, told.left) == (lost, gone + wrong)
    assert not told.clean

    repaired = world.run(repair=True)
    assert (repaired.repaired, repaired.ticks_restored) == (gone + wrong, lost)
    assert repaired.clean
    world.apply()
    assert not world.run().differences
    assert world.run().ticks_missing == 0
    world.check()


def test_bars_with_trades_too_many_are_repaired_only_when_told_and_no_replay_takes_that_back(world):
    too_many = [overfull(bar) for bar in world.bars_of("AAA", INTERVALS[0])[:3]]
    world.write(*too_many)
    report = world.run(repair=True)
    assert report.differences == {("aggregated_data", "overfull"): 3}
    assert (report.repaired, report.left) == (0, 3)
    report = world.run(repair=True, drop_trades=True)
    assert (report.repaired, report.left) == (3, 0)
    world.apply()
    world.write(*too_many)
    assert not world.run().differences
    world.check()
    lake_bars = [
        bar
        for partition in world.lake.partitions(BAR_ROWS)
        for file in world.lake.files(partition)
        for bar in bars_of(world.lake.read(BAR_ROWS, file))
    ]
    assert sum(bar.cancelled > 0 for bar in lake_bars) == 3


def overfull(bar):
    return replace(bar, trade_count=bar.trade_count + 5, volume=bar.volume + 5)


def test_no_trade_is_taken_out_of_bars_that_the_lake_has_not_got_to(world):
    reached_us = MIDNIGHT_US + 20 * MINUTE_US
    world.lake.filesystem.delete_dir(world.lake.path("ticks"))
    archive_ticks(world.lake, [tick for tick in world.ticks if tick.event_time_us < reached_us])
    world.write(overfull(world.bars_of("AAA", INTERVALS[0])[0]))
    report = world.run(repair=True, drop_trades=True)
    assert (report.repaired, report.clean) == (1, False)
    assert report.left >= 2 * 20
    world.apply()
    world.check()


def test_no_trade_is_taken_out_of_bars_of_a_day_that_the_lake_lacks(world):
    day = date_of(START_US).isoformat()
    world.lake.filesystem.delete_dir(world.lake.path(f"ticks/date={day}"))
    report = world.run(repair=True, drop_trades=True)
    assert (report.repaired, report.clean) == (0, False)
    assert report.left > 2 * 20
    assert not world.publisher.delivered


def test_days_of_which_the_table_keeps_no_ticks_are_left_alone(world):
    month_us = 30 * DAY_US
    bar = world.bars_of("AAA", INTERVALS[0])[0]
    old = replace(bar, **{name: getattr(bar, name) - month_us for name in ("start_us", "end_us", "last_event_time_us")})
    world.write(old)
    report = world.run(source="table", repair=True, drop_trades=True, start_us=START_US - month_us)
    assert (report.differences, report.repaired) == ({}, 0)
    assert report.days_skipped > 20
    assert not report.clean
    report = world.run(source="table", repair=True, drop_trades=True)
    assert (report.days_skipped, report.clean) == (0, True)


def test_trades_too_many_are_taken_out_with_the_table_as_source_too(world):
    world.write(overfull(world.bars_of("AAA", INTERVALS[0])[0]))
    assert world.run(source="table", repair=True, drop_trades=True).repaired == 1
    world.apply()
    world.check()


@pytest.mark.parametrize("source", ["lake", "table"])
def test_a_void_bar_that_has_trades_is_repaired(world, source):
    bar = world.bars_of("AAA", INTERVALS[0])[0]
    void = replace(bar, volume=0.0, vwap=bar.close, trade_count=0, cancelled=bar.trade_count, revision=1)
    world.write(void)
    report = world.run(source=source, repair=True)
    assert report.differences == {("aggregated_data", "wrong"): 1}
    assert (report.repaired, report.clean) == (1, True)
    world.apply()
    world.write(void)
    assert world.run(source=source).clean
    world.check()


def test_cancelled_trades_are_in_no_rebuilt_bar(world):
    taken = world.execute(
        "with taken as (update tick_data set cancelled_time = now() where symbol = 'AAA' and sequence = 30 returning *)"
        " insert into trade_cancels select symbol, event_time, provider, trade_id, price, size, received_time,"
        " asset_class, now(), trade_id from taken"
    )
    assert taken == 1
    report = world.run(repair=True, drop_trades=True)
    assert report.repaired == len(INTERVALS)
    world.apply()
    assert not world.run().differences
    without = [tick for tick in world.ticks if (tick.symbol, tick.sequence) != ("AAA", 30)]
    world.ticks = without
    world.check()


def cancelled_in_lake(world):
    """Takes two trades back, one without telling its id; the lake has the cancels and the bars without the trades."""
    taken = [tick for tick in world.ticks if (tick.symbol, tick.sequence) in {("AAA", 30), ("EUR/USD", 40)}]
    archive_cancels(world.lake, make_cancel(taken[0]), make_cancel(taken[1], trade_id=None))
    held = [bar for symbol in SYMBOLS for each in INTERVALS for bar in world.bars_of(symbol, each) if holds(bar, taken)]
    assert len(held) == len(taken) * len(INTERVALS)
    world.ticks = [tick for tick in world.ticks if tick not in taken]
    for symbol in SYMBOLS:
        for bar in (bar for each in INTERVALS for bar in world.bars_of(symbol, each) if holds(bar, taken)):
            partition = Partition("bars", bar.interval, date_of(bar.start_us), symbol)
            write_rows(world.lake, BAR_ROWS, partition, bars_table([replace(bar, cancelled=1, revision=1)]), 60)
    return taken, held


def holds(bar, trades):
    return any(bar.symbol == tick.symbol and bar.start_us <= tick.event_time_us < bar.end_us for tick in trades)


def cancelled_in_table(world):
    """What the table's ticks say, which REST answers with, and what its cancels say."""
    with as_owner(world.postgres) as connection, connection.cursor() as cursor:
        cursor.execute("select symbol, trade_id from tick_data where cancelled_time is not null")
        marked = set(cursor.fetchall())
        cursor.execute("select symbol, matched_id from trade_cancels")
        assert marked == set(cursor.fetchall())
    return marked


def test_restored_trades_keep_the_mark_of_their_cancel(world):
    taken = [tick for tick in world.ticks if (tick.symbol, tick.sequence) == ("AAA", 30)]
    world.write(make_cancel(taken[0]))
    assert cancelled_in_table(world) == {("AAA", "30")}
    lost = world.execute("delete from tick_data where symbol = 'AAA' and sequence % 3 = 0")
    assert world.run(repair=True).ticks_restored == lost
    assert cancelled_in_table(world) == {("AAA", "30")}


def test_a_lost_table_is_rebuilt_without_what_the_lake_knows_as_cancelled(world):
    taken, held = cancelled_in_lake(world)
    world.execute("truncate tick_data, aggregated_data, trade_cancels")
    report = world.run(repair=True)
    assert report.differences == {("aggregated_data", "missing"): report.bars}
    assert report.clean
    assert cancelled_in_table(world) == {(tick.symbol, tick.trade_id) for tick in taken}
    world.apply()
    world.write(*held)  # as a replay of older versions brings them
    assert not world.run().differences
    world.check()


def test_a_source_that_lacks_a_day_takes_nothing_away(world):
    day = date_of(MIDNIGHT_US)
    for partition in list(world.lake.partitions(TICK_ROWS, (day.isoformat(), day.isoformat()))):
        for file in world.lake.files(partition):
            world.lake.filesystem.delete_file(world.lake.path(file.path))
    report = world.run(repair=True)
    assert {kind for _, kind in report.differences} == {"unexplained"}
    assert report.repaired == 0
    assert report.left > 50
    assert not report.clean
    world.check()
