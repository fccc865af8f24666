"""What only PostgreSQL has: tables cut by time, retention, roles with few rights, plans, and text to the bit.

The same with and without TimescaleDB; CONTRIBUTING.md says how to choose.
"""

import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cut import age_parts, drop_parts, has_hypertables, parts
from marketstream.domain.conditions import RULES
from marketstream.domain.errors import StoreError, StoreUnavailableError
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.settings import PostgresSettings, Settings
from marketstream.storage.timescale.connection import connect
from marketstream.storage.timescale.migrate import migrate
from marketstream.storage.timescale.reader import TimescaleReader
from marketstream.storage.timescale.writer import TimescaleWriter
from stores import (
    MINUTE_US,
    Log,
    as_owner,
    drop_schema,
    environment,
    fresh_schema,
    make_bar,
    make_indicators,
    make_provider_bar,
    make_tick,
)

pytestmark = pytest.mark.servers

DAY_US = 86_400_000_000
OLD_DAY_US = 1_381_104_000_000_000  # 2013-10-07
MINUTE = Interval.parse("1min")
NOW_US = int(datetime.now(UTC).timestamp() * 1_000_000)


@pytest.fixture(scope="module")
def schema(server_settings: Callable[..., Settings]) -> Iterator[PostgresSettings]:
    with fresh_schema(server_settings("postgres").postgres) as own:
        yield own


@pytest.fixture
def database(schema: PostgresSettings) -> PostgresSettings:
    """Migrated, empty tables without partitions."""
    drop_parts(schema)
    return schema


@pytest.fixture
def writer(database: PostgresSettings) -> Iterator[TimescaleWriter]:
    with closing(TimescaleWriter(database)) as opened:
        opened.setup()
        yield opened


@pytest.fixture
def reader(database: PostgresSettings) -> Iterator[TimescaleReader]:
    with closing(TimescaleReader(database)) as opened:
        yield opened


def write(writer: TimescaleWriter, *items: Tick | Bar | Indicators) -> None:
    writer.write(Log().add(*items))


def test_migrating_again_changes_nothing(database: PostgresSettings) -> None:
    with as_owner(database) as connection, connection.cursor() as cursor:
        query = "select oid, relname, relacl::text from pg_class where relnamespace = %s::regnamespace order by oid"
        cursor.execute(query, (database.schema_name,))
        before = cursor.fetchall()
        migrate(database)
        cursor.execute(query, (database.schema_name,))
        assert cursor.fetchall() == before


def test_two_migrations_at_once_do_not_meet(server_settings: Callable[..., Settings]) -> None:
    settings = server_settings("postgres")
    own = settings.postgres.model_copy(update={"schema_name": "test_two_at_once"})
    with as_owner(own) as connection, connection.cursor() as cursor:
        cursor.execute(f"create schema {own.schema_name}")
        command = [sys.executable, "-c", "from marketstream.cli import main; main()", "migrate"]
        variables = environment(settings.model_copy(update={"postgres": own}))
        both = [subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        complaints = [process.communicate(timeout=60)[1] for process in both]
        cursor.execute("select count(*) from test_two_at_once.partitioned_tables")
        assert cursor.fetchall() == [(4,)]
        drop_schema(connection, own.schema_name)
    assert [process.returncode for process in both] == [0, 0], complaints


def test_bars_stored_before_providers_sent_any_stay_as_they_are(server_settings: Callable[..., Settings]) -> None:
    settings = server_settings("postgres").postgres
    own = settings.model_copy(update={"schema_name": "test_from_the_first"})
    with as_owner(settings) as connection, connection.cursor() as cursor, closing(TimescaleReader(own)) as reader:
        cursor.execute(f"create schema {own.schema_name}")
        migrate(own, target="0001")
        cursor.execute(f"set search_path = {own.schema_name}")
        cursor.execute("select ensure_partitions('aggregated_data', array[timestamptz '2013-10-07'])")
        cursor.execute(
            "insert into aggregated_data select"
            " 'IBM', '1min', start, start + interval '1 minute', 1, 4, 1, 2, 10, 1.5, 3, start, start, true, 7"
            " from (select timestamptz '2013-10-07' as start) as bar"
        )
        migrate(own)

        expected = make_bar(OLD_DAY_US, 3, open=1.0, high=4.0, low=1.0, close=2.0, volume=10.0, vwap=1.5, revision=7)
        expected = replace(expected, final=True, last_event_time_us=OLD_DAY_US, last_received_time_us=OLD_DAY_US)
        assert reader.bars("IBM", MINUTE, start_us=None, end_us=None, limit=10) == [expected]
        with closing(TimescaleWriter(own)) as writer:
            writer.setup()
            later = make_provider_bar(OLD_DAY_US + MINUTE_US, NOW_US)
            write(writer, make_provider_bar(OLD_DAY_US, NOW_US), later)
        assert reader.bars("IBM", MINUTE, start_us=None, end_us=None, limit=10) == [expected, later]
        drop_schema(connection, own.schema_name)


def test_without_migrations_the_writer_waits_and_says_what_to_do(server_settings: Callable[..., Settings]) -> None:
    settings = server_settings("postgres").postgres.model_copy(update={"schema_name": "not_there"})

    with pytest.raises(StoreUnavailableError, match="marketstream migrate"):
        TimescaleWriter(settings).setup()
    with pytest.raises(StoreUnavailableError, match="marketstream migrate"):
        TimescaleReader(settings).ping()


def midnight(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us // DAY_US * 86_400, UTC)


def test_any_day_gets_its_partition(
    writer: TimescaleWriter, reader: TimescaleReader, database: PostgresSettings
) -> None:
    days = [OLD_DAY_US, OLD_DAY_US + DAY_US - 1, OLD_DAY_US + DAY_US, NOW_US, 0]
    written = [make_tick(time_us) for time_us in days]
    bars = [make_bar(OLD_DAY_US, 3), make_bar(OLD_DAY_US + 40 * DAY_US, 3)]
    said = list(map(make_indicators, bars))

    write(writer, *written, *bars, *said)

    made = parts(database)
    assert {part for part in made if part[0] == "tick_data"} == {
        ("tick_data", start, start + timedelta(days=1))
        for start in (midnight(OLD_DAY_US), midnight(OLD_DAY_US + DAY_US), midnight(NOW_US), midnight(0))
    }
    for table in ("aggregated_data", "technical_indicators"):  # by months, or by 30 days on TimescaleDB
        spans = sorted((start, end) for name, start, end in made if name == table)
        assert len(spans) == 2
        for bar, (start, end) in zip(bars, spans, strict=True):
            assert start <= midnight(bar.start_us) < end <= start + timedelta(days=31)
    assert reader.ticks("IBM", start_us=None, end_us=None, limit=10) == sorted(written, key=lambda tick: tick.order)
    assert reader.bars("IBM", MINUTE, start_us=None, end_us=None, limit=10) == bars
    assert reader.indicators("IBM", MINUTE, start_us=None, end_us=None, limit=10) == said


def test_writers_that_meet_a_new_day_together_both_succeed(database: PostgresSettings, reader: TimescaleReader) -> None:
    writers = [TimescaleWriter(database) for _ in range(4)]
    faults: list[Exception] = []
    gate = threading.Barrier(len(writers))

    def run(writer: TimescaleWriter, number: int) -> None:
        try:
            writer.setup()
            gate.wait(10)
            write(writer, *(make_tick(OLD_DAY_US + day * DAY_US, trade_id=f"{number}") for day in range(10)))
        except Exception as error:
            faults.append(error)
        finally:
            writer.close()

    threads = [threading.Thread(target=run, args=(writer, number)) for number, writer in enumerate(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert faults == []
    assert len(reader.ticks("IBM", start_us=None, end_us=None, limit=100)) == 40


@pytest.mark.parametrize("time_us", [-1, -(2**62), 2**62, pytest.param(NOW_US + 400 * DAY_US, id="in 400 days")])
def test_a_senseless_time_is_refused_for_good_and_makes_no_partition(
    writer: TimescaleWriter, database: PostgresSettings, time_us: int
) -> None:
    with pytest.raises(StoreError) as caught:
        write(writer, make_tick(time_us))

    assert not isinstance(caught.value, StoreUnavailableError)
    assert parts(database) == set()
    write(writer, make_tick(NOW_US))  # the connection is as good as before


@pytest.mark.parametrize(
    "item",
    [
        make_tick(NOW_US, symbol="a\0b"),
        make_tick(NOW_US, trade_id=random.Random(1).randbytes(5_000).hex()),  # longer than a key may be
        make_bar(NOW_US, 1, symbol="a\0b"),
    ],
)
def test_a_value_postgresql_can_not_hold_is_refused_for_good(writer: TimescaleWriter, item: Tick | Bar) -> None:
    with pytest.raises(StoreError) as caught:
        write(writer, item)

    assert not isinstance(caught.value, StoreUnavailableError)


@pytest.fixture
def age_partitions(server_settings: Callable[..., Settings], database: PostgresSettings) -> Callable[[int], None]:
    """Makes the partitions, not what is in them, so many days older."""
    return lambda days: age_parts(server_settings("postgres"), database, days)


def test_retention_keeps_an_old_day_that_was_stored_lately(writer: TimescaleWriter, database: PostgresSettings) -> None:
    write(writer, make_tick(OLD_DAY_US), make_bar(OLD_DAY_US, 1))

    writer.apply_retention({"tick_data": 7, "aggregated_data": 365})

    assert {table for table, _, _ in parts(database)} == {"tick_data", "aggregated_data"}


def test_retention_drops_what_is_old_and_was_stored_long_ago(
    writer: TimescaleWriter, reader: TimescaleReader, age_partitions: Callable[[int], None]
) -> None:
    six, nine = (make_tick(NOW_US - days * DAY_US) for days in (6, 9))
    bar = make_bar(OLD_DAY_US, 1)
    write(writer, make_tick(OLD_DAY_US), six, nine, bar, make_indicators(bar))
    age_partitions(8)

    writer.apply_retention({"tick_data": 7, "aggregated_data": 365, "technical_indicators": 7})

    assert reader.ticks("IBM", start_us=None, end_us=None, limit=10) == [six]
    assert reader.indicators("IBM", MINUTE, start_us=None, end_us=None, limit=10) == []
    assert len(reader.bars("IBM", Interval.parse("1min"), start_us=None, end_us=None, limit=10)) == 1


def test_retention_never_cuts_into_a_partition_that_is_not_wholly_old(
    writer: TimescaleWriter, reader: TimescaleReader, age_partitions: Callable[[int], None]
) -> None:
    seven_days_ago = make_tick(NOW_US - 7 * DAY_US)
    write(writer, seven_days_ago)
    age_partitions(100)

    writer.apply_retention({"tick_data": 7})

    assert reader.latest("IBM") == seven_days_ago


def test_a_dropped_day_can_be_written_again(
    writer: TimescaleWriter, reader: TimescaleReader, age_partitions: Callable[[int], None], database: PostgresSettings
) -> None:
    write(writer, make_tick(OLD_DAY_US))
    age_partitions(8)
    with closing(TimescaleWriter(database)) as other:
        other.setup()
        other.apply_retention({"tick_data": 7})
    assert reader.latest("IBM") is None

    write(writer, make_tick(OLD_DAY_US))  # which still believes the partition to be there

    assert reader.latest("IBM") == make_tick(OLD_DAY_US)


def test_the_latest_tick_is_the_newest_that_updates_the_last_price(
    writer: TimescaleWriter, reader: TimescaleReader, database: PostgresSettings
) -> None:
    priced = make_tick(NOW_US, conditions=("12", "41"))
    odd_lot = make_tick(NOW_US + 1, conditions=("41", "37"))
    write(writer, priced, odd_lot)
    assert reader.latest("IBM") == priced
    with closing(TimescaleReader(database, rules=RULES["all"])) as every:
        assert every.latest("IBM") == odd_lot
    elsewhere = make_tick(NOW_US + 2, provider="binance", conditions=("37",))
    write(writer, elsewhere)
    assert reader.latest("IBM") == elsewhere


@pytest.mark.parametrize("days", [0, -5])
def test_retention_of_less_than_a_day_is_refused(writer: TimescaleWriter, days: int) -> None:
    with pytest.raises(StoreError, match="retention"):
        writer.apply_retention({"tick_data": days})


FORBIDDEN = {
    "writer": [
        "delete from tick_data",
        "truncate tick_data",
        "drop table tick_data",
        "alter table tick_data add column x int",
        "create table {schema}.mine (x int)",
        "delete from aggregated_data",
        "delete from technical_indicators",
        "{catalog}",
        "delete from feeds",
        "delete from feed_events",
        "delete from feed_gaps",
        "insert into partitioned_tables values ('x', 'y', 'day')",
        "drop function ensure_partitions(text, timestamptz[])",
    ],
    "reader": [
        "insert into aggregated_data select * from aggregated_data",
        "update tick_data set price = 1",
        "update feed_gaps set state = 'closed'",
        "update technical_indicators set final = true",
        "delete from feed_events",
        "insert into feeds select * from feeds",
        "delete from tick_data",
        "drop table aggregated_data",
        "create table {schema}.mine (x int)",
        "select ensure_partitions('tick_data', array[now()])",
        "select apply_retention('tick_data', 7)",
    ],
}


# Where it stands what the partitions are, without and with TimescaleDB.
CATALOGS = ("select * from table_partitions", "update _timescaledb_catalog.chunk set creation_time = now()")


@pytest.mark.parametrize(("role", "statement"), [(role, each) for role, them in FORBIDDEN.items() for each in them])
def test_no_role_can_do_more_than_its_work(database: PostgresSettings, role: str, statement: str) -> None:
    catalog = CATALOGS[has_hypertables(database)]
    with closing(connect(database, role, statement_seconds=5)) as connection, connection.cursor() as cursor:
        refused = pytest.raises(psycopg2.errors.InsufficientPrivilege)
        with refused:
            cursor.execute(statement.format(schema=database.schema_name, catalog=catalog))


def test_partitions_can_only_be_made_for_tables_that_are_cut(database: PostgresSettings) -> None:
    with closing(connect(database, "writer", statement_seconds=5)) as connection, connection.cursor() as cursor:
        for table in ("pg_class", "partitioned_tables", "tick_data; drop table tick_data"):
            with pytest.raises((psycopg2.errors.NoDataFound, psycopg2.errors.UndefinedTable)):
                cursor.execute("select ensure_partitions(%s, array[now()])", (table,))
            connection.rollback()


def test_the_newest_ticks_are_found_without_sorting_a_day(writer: TimescaleWriter, database: PostgresSettings) -> None:
    write(writer, *(make_tick(NOW_US - number * 1_000, sequence=number) for number in range(5_000)))
    write(writer, *(make_tick(NOW_US - DAY_US - number * 1_000, symbol="BAC") for number in range(5_000)))
    with as_owner(database) as connection, connection.cursor() as cursor:
        cursor.execute("analyze tick_data")
        cursor.execute(
            "explain (analyze, format json) select * from tick_data where symbol = 'IBM'"
            " order by event_time desc, sequence desc, provider desc, trade_id desc limit 100"
        )
        [(plan,)] = cursor.fetchall()
    rows = sum(node["Actual Rows"] for node in nodes(plan[0]["Plan"]) if "Plans" not in node)
    assert rows < 200
    assert not any(node["Node Type"] == "Seq Scan" for node in nodes(plan[0]["Plan"]))


def nodes(plan: dict) -> Iterator[dict]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def test_a_reader_survives_its_connections_being_closed(
    writer: TimescaleWriter, reader: TimescaleReader, database: PostgresSettings
) -> None:
    write(writer, make_tick(NOW_US))
    assert reader.latest("IBM") is not None
    with closing(connect(database, "reader", statement_seconds=5)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = current_user and pid <> pg_backend_pid()"
        )
        assert cursor.rowcount >= 1

    assert reader.latest("IBM") == make_tick(NOW_US)


def test_many_threads_share_few_connections(writer: TimescaleWriter, database: PostgresSettings) -> None:
    write(writer, make_tick(NOW_US))
    found: list[Tick | None] = []
    with closing(TimescaleReader(database, pool_size=2)) as shared:
        threads = [threading.Thread(target=lambda: found.append(shared.latest("IBM"))) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert found == [make_tick(NOW_US)] * 20


def test_a_slow_query_is_cut_short(database: PostgresSettings) -> None:
    with closing(TimescaleReader(database, statement_seconds=0.2)) as reader, as_owner(database) as connection:
        connection.autocommit = False
        with connection.cursor() as cursor:
            cursor.execute("lock table tick_data in access exclusive mode")
            with pytest.raises(StoreUnavailableError, match="timeout"):
                reader.latest("IBM")
        connection.rollback()


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
names = texts.filter(bool)
times = st.integers(0, NOW_US // 1_000).map(lambda milliseconds: milliseconds * 1_000 + milliseconds % 997)
prices = st.floats(min_value=0, max_value=1e15, exclude_min=True)
any_ticks = st.builds(
    Tick,
    symbol=names,
    price=prices,
    size=st.floats(min_value=0, max_value=1e15),
    event_time_us=st.integers(OLD_DAY_US, OLD_DAY_US + 2 * DAY_US - 1),
    received_time_us=times,
    provider=names,
    trade_id=names,
    sequence=st.integers(-(2**63), 2**63 - 1),
    asset_class=st.sampled_from(["equity", "crypto", "forex", "commodity"]),
    exchange=st.none() | texts,
    side=st.sampled_from([None, "buy", "sell"]),
    conditions=st.lists(texts, max_size=3).map(tuple),
)


@hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tick=any_ticks)
def test_whatever_a_tick_holds_comes_back_to_the_bit(
    schema: PostgresSettings, writer: TimescaleWriter, reader: TimescaleReader, tick: Tick
) -> None:
    with as_owner(schema) as connection, connection.cursor() as cursor:
        cursor.execute("truncate tick_data")

    write(writer, tick)

    assert reader.ticks(tick.symbol, start_us=None, end_us=None, limit=10) == [tick]


@hypothesis_settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.lists(prices, min_size=4, max_size=4), volume=prices, minute=st.integers(0, 2_000), data=st.data())
def test_whatever_a_bar_holds_comes_back_to_the_bit(
    schema: PostgresSettings,
    writer: TimescaleWriter,
    reader: TimescaleReader,
    numbers: list[float],
    volume: float,
    minute: int,
    data: st.DataObject,
) -> None:
    low, *middle, high = sorted(numbers)
    start_us = OLD_DAY_US + minute * MINUTE_US
    bar = make_bar(
        start_us,
        data.draw(st.integers(1, 2**40)),
        low=low,
        open=middle[0],
        close=middle[1],
        high=high,
        volume=volume,
        vwap=middle[0],
        last_event_time_us=start_us + data.draw(st.integers(0, MINUTE_US - 1)),
        last_received_time_us=data.draw(times),
        final=data.draw(st.booleans()),
        revision=data.draw(st.integers(0, 2**63 - 1)),
    )
    with as_owner(schema) as connection, connection.cursor() as cursor:
        cursor.execute("truncate aggregated_data")

    write(writer, bar)

    assert reader.bars("IBM", Interval.parse("1min"), start_us=None, end_us=None, limit=10) == [bar]


def test_times_are_exact_for_every_microsecond(writer: TimescaleWriter, reader: TimescaleReader) -> None:
    start = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
    written = [start + timedelta(microseconds=offset) for offset in (0, 1, 2, 3, 999_999, 1_000_001)]
    times_us = [round(moment.timestamp()) * 1_000_000 if moment.microsecond == 0 else None for moment in written]
    start_us = times_us[0]
    assert start_us is not None
    offsets = [(moment - start) // timedelta(microseconds=1) for moment in written]

    write(writer, *(make_tick(start_us + offset) for offset in offsets))

    found = reader.ticks("IBM", start_us=start_us, end_us=None, limit=10)
    assert [tick.event_time_us - start_us for tick in found] == offsets
