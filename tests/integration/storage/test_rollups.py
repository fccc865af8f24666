"""Bars of an hour and a day made of those of a minute, with and without TimescaleDB."""

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace

import polars as pl
import psycopg2
import pytest

from cut import age_parts, refresh_rollups
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.settings import PostgresSettings, Settings
from marketstream.storage.timescale.connection import connect
from marketstream.storage.timescale.migrate import migrate
from marketstream.storage.timescale.reader import TimescaleReader
from marketstream.storage.timescale.writer import TimescaleWriter
from stores import MINUTE_US, Log, as_owner, drop_schema, fresh_schema, make_bar, make_provider_bar, make_tick

pytestmark = pytest.mark.servers

HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
OLD_DAY_US = 1_381_104_000_000_000  # 2013-10-07
HOUR = Interval.parse("1h")
DAY = Interval.parse("1d")
CLOSE_TO = {"volume": 1e-12, "vwap": 1e-9}  # sums depend on their order


@pytest.fixture
def database(server_settings: Callable[..., Settings]) -> Iterator[PostgresSettings]:
    with fresh_schema(server_settings("postgres").postgres) as own:
        yield own


@pytest.fixture
def writer(database: PostgresSettings) -> Iterator[TimescaleWriter]:
    with closing(TimescaleWriter(database)) as opened:
        opened.setup()
        yield opened


@pytest.fixture
def reader(database: PostgresSettings) -> Iterator[TimescaleReader]:
    with closing(TimescaleReader(database)) as opened:
        yield opened


def write(writer: TimescaleWriter, *items: Bar | Tick) -> None:
    writer.write(Log().add(*items))


def minutes(seed: int, *, symbol: str, days: int) -> list[Bar]:
    """Some of the minutes of some days, made here."""
    chance = random.Random(seed)
    bars = []
    for number in sorted(chance.sample(range(days * 1_440), k=days * 300)):
        start_us = OLD_DAY_US + number * MINUTE_US
        low, *middle, high = sorted(chance.uniform(10, 20) for _ in range(5))
        chance.shuffle(middle)
        bars.append(
            make_bar(
                start_us,
                chance.randint(1, 500),
                symbol=symbol,
                open=middle[0],
                close=middle[1],
                vwap=middle[2],
                low=low,
                high=high,
                volume=chance.choice([0.0, chance.uniform(0, 1e5)]),
                last_event_time_us=start_us + chance.randrange(MINUTE_US),
                last_received_time_us=start_us + chance.randrange(DAY_US),
                final=True,
                revision=chance.choice([0, 0, 0, 1, 2]),
            )
        )
    return bars


def expected(bars: Iterable[Bar], interval: Interval) -> list[dict]:
    """One symbol's rollups as polars makes them."""
    names = [name for name in Bar.__slots__ if name not in ("interval", "start_us", "end_us")]
    rows = pl.DataFrame([{name: getattr(bar, name) for name in ("start_us", *names)} for bar in bars])
    vwap, volume, trades = pl.col("vwap"), pl.col("volume"), pl.col("trade_count")
    plain = (vwap * trades).sum() / trades.sum()
    frame = (
        rows.sort("start_us")
        .group_by((pl.col("start_us") // interval.us * interval.us).alias("start_us"), maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            volume.sum(),
            pl.when(volume.sum() > 0).then((vwap * volume).sum() / volume.sum()).otherwise(plain).alias("vwap"),
            trades.sum(),
            pl.col("last_event_time_us").max(),
            pl.col("last_received_time_us").max(),
            pl.col("revision").max(),
        )
    )
    return frame.to_dicts()


def assert_rolled_up(reader: TimescaleReader, bars: Iterable[Bar], symbol: str, interval: Interval) -> None:
    found = reader.bars(symbol, interval, start_us=None, end_us=None, limit=10_000)
    wanted = expected((bar for bar in bars if bar.symbol == symbol), interval)
    assert len(found) == len(wanted) > 0
    for bar, row in zip(found, wanted, strict=True):
        assert (bar.interval, bar.end_us, bar.provider) == (interval.name, bar.start_us + interval.us, None)
        for name, value in row.items():
            assert getattr(bar, name) == pytest.approx(value, rel=CLOSE_TO.get(name, 0), abs=0), name


@pytest.mark.parametrize("interval", [HOUR, DAY])
@pytest.mark.parametrize("when", ["never", "first", "between", "last"])
def test_hours_and_days_equal_a_recomputation_however_far_the_rollup_has_come(
    database: PostgresSettings, writer: TimescaleWriter, reader: TimescaleReader, interval: Interval, when: str
) -> None:
    bars = [*minutes(1, symbol="IBM", days=3), *minutes(2, symbol="BAC", days=2)]
    half = OLD_DAY_US + DAY_US
    if when == "first":
        refresh_rollups(database)
    write(writer, *(bar for bar in bars if bar.start_us < half))
    if when == "between":
        refresh_rollups(database)
    write(writer, *(bar for bar in bars if bar.start_us >= half))
    if when == "last":
        refresh_rollups(database)

    for symbol in ("IBM", "BAC"):
        assert_rolled_up(reader, bars, symbol, interval)


def test_a_range_and_a_limit_choose_the_newest(
    database: PostgresSettings, writer: TimescaleWriter, reader: TimescaleReader
) -> None:
    write(writer, *minutes(3, symbol="IBM", days=2))
    refresh_rollups(database)
    every = reader.bars("IBM", HOUR, start_us=None, end_us=None, limit=100)

    found = reader.bars("IBM", HOUR, start_us=every[5].start_us, end_us=every[20].start_us, limit=4)

    assert found == every[16:20]
    assert reader.bars("NONE", HOUR, start_us=None, end_us=None, limit=10) == []
    assert reader.bars("IBM", HOUR, start_us=None, end_us=None, limit=0) == []


def test_a_minute_that_comes_late_or_anew_reaches_its_hour(
    database: PostgresSettings, writer: TimescaleWriter, reader: TimescaleReader
) -> None:
    bars = minutes(4, symbol="IBM", days=3)
    late = set(random.Random(4).sample(range(len(bars)), k=200))
    write(writer, *(bar for number, bar in enumerate(bars) if number not in late))
    write(writer, *(replace(bar, trade_count=1, volume=1e9, high=1e9) for bar in bars[:50]))  # older versions
    refresh_rollups(database)
    newer = {bar.start_us: replace(bar, trade_count=1_000, volume=5.0, revision=3) for bar in bars[:100]}

    write(writer, *(bars[number] for number in late))
    write(writer, *newer.values())
    refresh_rollups(database)

    for interval in (HOUR, DAY):
        assert_rolled_up(reader, (newer.get(bar.start_us, bar) for bar in bars), "IBM", interval)


def test_a_rollup_is_final_once_its_minutes_are_and_a_later_one_is(
    database: PostgresSettings, writer: TimescaleWriter, reader: TimescaleReader
) -> None:
    def finals() -> list[bool]:
        return [bar.final for bar in reader.bars("IBM", HOUR, start_us=None, end_us=None, limit=10)]

    write(writer, make_bar(OLD_DAY_US, 3, final=True), make_bar(OLD_DAY_US + MINUTE_US, 3))
    assert finals() == [False]
    write(writer, make_bar(OLD_DAY_US + HOUR_US, 1))
    assert finals() == [False, False]
    write(writer, make_bar(OLD_DAY_US + MINUTE_US, 3, final=True))
    refresh_rollups(database)
    assert finals() == [False, False]
    write(writer, make_bar(OLD_DAY_US + HOUR_US, 1, final=True))
    refresh_rollups(database)
    assert finals() == [True, False]


def test_a_minute_whose_trades_were_all_taken_back_is_in_no_rollup(
    database: PostgresSettings, writer: TimescaleWriter, reader: TimescaleReader
) -> None:
    kept, wild = make_bar(OLD_DAY_US, 3), make_bar(OLD_DAY_US + MINUTE_US, 2, high=9e9, volume=1e9)
    alone = make_bar(OLD_DAY_US + HOUR_US, 1)
    whole = make_bar(OLD_DAY_US + 2 * HOUR_US, 1, interval="1h", end_us=OLD_DAY_US + 3 * HOUR_US)
    write(writer, kept, wild, alone, whole)
    refresh_rollups(database)

    write(writer, *(replace(bar, trade_count=0, cancelled=bar.trade_count) for bar in (wild, alone, whole)))
    refresh_rollups(database)

    assert_rolled_up(reader, [kept], "IBM", HOUR)
    assert_rolled_up(reader, [kept], "IBM", DAY)


def test_providers_minutes_roll_up_to_providers_hours_until_one_was_made_here(
    database: PostgresSettings, writer: TimescaleWriter, reader: TimescaleReader
) -> None:
    received = OLD_DAY_US + DAY_US
    first, second = (make_provider_bar(OLD_DAY_US + number * MINUTE_US, received) for number in range(2))
    write(writer, first, second)
    refresh_rollups(database)
    [bar] = reader.bars("IBM", HOUR, start_us=None, end_us=None, limit=10)
    assert (bar.provider, bar.vwap, bar.trade_count, bar.volume) == ("finazon", None, 0, 2 * first.volume)

    write(writer, make_bar(second.start_us, 4, vwap=182.5))
    refresh_rollups(database)

    [bar] = reader.bars("IBM", HOUR, start_us=None, end_us=None, limit=10)
    assert (bar.provider, bar.vwap, bar.trade_count, bar.volume) == (None, 182.5, 4, first.volume + 400)


def test_the_average_of_trades_without_size_is_the_plain_one(
    database: PostgresSettings, writer: TimescaleWriter, reader: TimescaleReader
) -> None:
    write(
        writer,
        make_bar(OLD_DAY_US, 1, volume=0.0, vwap=182.0),
        make_bar(OLD_DAY_US + MINUTE_US, 3, volume=0.0, vwap=183.0),
    )
    refresh_rollups(database)

    [bar] = reader.bars("IBM", HOUR, start_us=None, end_us=None, limit=10)

    assert (bar.vwap, bar.volume) == (182.75, 0)


def test_an_hour_that_was_stored_counts_unless_it_is_a_providers(
    database: PostgresSettings, writer: TimescaleWriter, reader: TimescaleReader
) -> None:
    starts = [OLD_DAY_US + hour * HOUR_US for hour in range(4)]
    write(writer, *(make_bar(start, 2) for start in starts[:3]))
    whole = {"interval": "1h", "end_us": starts[1] + HOUR_US}
    made_here = make_bar(starts[1], 9, **whole)
    providers = make_provider_bar(starts[2], OLD_DAY_US, **{**whole, "end_us": starts[2] + HOUR_US})
    only = make_provider_bar(starts[3], OLD_DAY_US, **{**whole, "end_us": starts[3] + HOUR_US})

    write(writer, made_here, providers, only)
    refresh_rollups(database)

    found = reader.bars("IBM", HOUR, start_us=None, end_us=None, limit=10)
    assert [(bar.start_us, bar.trade_count, bar.provider) for bar in found] == [
        (starts[0], 2, None),
        (starts[1], 9, None),
        (starts[2], 2, None),
        (starts[3], 0, "finazon"),
    ]
    assert found[1] == made_here
    assert found[3] == only
    assert reader.bars("IBM", HOUR, start_us=None, end_us=None, limit=2) == found[2:]


def test_where_there_are_minutes_there_are_hours_and_days(writer: TimescaleWriter, reader: TimescaleReader) -> None:
    assert reader.intervals() == []
    write(writer, make_bar(OLD_DAY_US, 1, interval="5min", end_us=OLD_DAY_US + 5 * MINUTE_US))
    assert reader.intervals() == ["5min"]
    write(writer, make_bar(OLD_DAY_US, 1))
    assert sorted(reader.intervals()) == ["1d", "1h", "1min", "5min"]


def test_dropping_trades_leaves_the_rollups_and_dropping_minutes_takes_them(
    database: PostgresSettings,
    writer: TimescaleWriter,
    reader: TimescaleReader,
    server_settings: Callable[..., Settings],
) -> None:
    bars = minutes(6, symbol="IBM", days=1)
    write(writer, *bars, *(make_tick(bar.start_us) for bar in bars))
    refresh_rollups(database)
    age_parts(server_settings("postgres"), database, 30)

    writer.apply_retention({"tick_data": 7, "aggregated_data": 365})
    refresh_rollups(database)
    assert reader.latest("IBM") is None
    for interval in (HOUR, DAY):
        assert_rolled_up(reader, bars, "IBM", interval)

    writer.apply_retention({"tick_data": 7, "aggregated_data": 7})
    refresh_rollups(database)
    for interval in (HOUR, DAY):
        assert reader.bars("IBM", interval, start_us=None, end_us=None, limit=10) == []


def test_minutes_stored_before_there_were_rollups_are_rolled_up(server_settings: Callable[..., Settings]) -> None:
    settings = server_settings("postgres").postgres
    own = settings.model_copy(update={"schema_name": "test_before_rollups"})
    bars = minutes(7, symbol="IBM", days=1)
    with as_owner(settings) as connection, connection.cursor() as cursor:
        cursor.execute(f"create schema {own.schema_name}")
        migrate(own, target="0004")
        with closing(TimescaleWriter(own)) as writer, closing(TimescaleReader(own)) as reader:
            writer.setup()
            write(writer, *bars)
            migrate(own)
            for interval in (HOUR, DAY):
                assert_rolled_up(reader, bars, "IBM", interval)
        drop_schema(connection, own.schema_name)


@pytest.mark.parametrize("role", ["reader", "writer"])
def test_nobody_but_the_owner_changes_a_rollup(database: PostgresSettings, role: str) -> None:
    statements = ("update rolled_up_bars set volume = 0", "delete from bars_1h", "drop view rolled_up_bars")
    with closing(connect(database, role, statement_seconds=5)) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from bars_1h")
        for statement in statements:
            with pytest.raises((psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ObjectNotInPrerequisiteState)):
                cursor.execute(statement)
            connection.rollback()
