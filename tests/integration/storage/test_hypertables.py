"""What TimescaleDB adds: chunks compressed later, yet open to late rows, and rollups kept up to date by a job.

Skipped where the PostgreSQL of the tests does not load it; what holds with and without it is in test_timescale.py and
test_rollups.py.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import psycopg2
import pytest
from psycopg2 import sql

from cut import age_parts, as_superuser, parts, refresh_rollups, skip_without_hypertables
from marketstream.domain.interval import Interval
from marketstream.domain.market import Tick
from marketstream.settings import PostgresSettings, Settings
from marketstream.storage.timescale.connection import connect
from marketstream.storage.timescale.reader import TimescaleReader
from marketstream.storage.timescale.writer import TimescaleWriter
from stores import MINUTE_US, Log, as_owner, fresh_schema, make_bar, make_cancel, make_indicators, make_tick

pytestmark = pytest.mark.servers

DAY_US = 86_400_000_000
OLD_DAY_US = 1_381_104_000_000_000  # 2013-10-07
MINUTE = Interval.parse("1min")
TABLES = ("aggregated_data", "technical_indicators", "tick_data")


@pytest.fixture
def database(server_settings: Callable[..., Settings]) -> Iterator[PostgresSettings]:
    with fresh_schema(server_settings("postgres").postgres) as own:
        skip_without_hypertables(own)
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


def rows(database: PostgresSettings, query: str, **parameters: object) -> list[tuple]:
    with as_owner(database) as connection, connection.cursor() as cursor:
        cursor.execute(query, {"schema": database.schema_name, **parameters})
        return cursor.fetchall()


def compress(database: PostgresSettings) -> None:
    """What the policy does to all that is old enough."""
    query = "select public.compress_chunk(c) from public.show_chunks(%(table)s::regclass) as c"
    for table in TABLES:
        rows(database, query, table=table)


def compressed_chunks(database: PostgresSettings) -> int:
    query = "select count(*) from timescaledb_information.chunks where hypertable_schema = %(schema)s and is_compressed"
    [(count,)] = rows(database, query)
    return count


def test_tables_are_compressed_later_and_rollups_refreshed(database: PostgresSettings) -> None:
    hypertables = rows(
        database,
        "select hypertable_name, compression_enabled from timescaledb_information.hypertables"
        " where hypertable_schema = %(schema)s order by 1",
    )
    rollups = rows(
        database,
        "select view_name, materialized_only from timescaledb_information.continuous_aggregates"
        " where view_schema = %(schema)s order by 1",
    )
    policies = rows(
        database,
        "select proc_name, count(*) from timescaledb_information.jobs"
        " where hypertable_schema = %(schema)s or config->>'mat_hypertable_id' in (select h.id::text"
        " from _timescaledb_catalog.hypertable h join timescaledb_information.continuous_aggregates c"
        " on h.table_name = c.materialization_hypertable_name where c.view_schema = %(schema)s)"
        " group by 1 order by 1",
    )
    (compressed_after,) = rows(
        database,
        "select config->>'compress_after' from timescaledb_information.jobs where hypertable_schema = %(schema)s"
        " and proc_name = 'policy_compression' and hypertable_name = 'tick_data'",
    )
    assert compressed_after == ("2 days",)
    names = ("aggregated_data", "feed_events", "technical_indicators", "tick_data")
    assert hypertables == [(name, True) for name in names]
    assert rollups == [("bars_1d", False), ("bars_1h", False)]
    assert policies == [("policy_compression", 4), ("policy_refresh_continuous_aggregate", 2)]


def test_compressed_rows_come_back_to_the_bit(
    database: PostgresSettings, writer: TimescaleWriter, reader: TimescaleReader
) -> None:
    ticks = some_ticks(3_000)
    bars = [make_bar(OLD_DAY_US + number * MINUTE_US, number + 1) for number in range(300)]
    said = [make_indicators(bar) for bar in bars]
    writer.write(Log().add(*ticks, *bars, *said))

    compress(database)

    assert compressed_chunks(database) == len(parts(database)) == 3
    between = {"start_us": OLD_DAY_US, "end_us": None, "limit": 10_000}
    assert reader.ticks("IBM", **between) == sorted((tick for tick in ticks if tick.symbol == "IBM"), key=order)
    assert (
        reader.ticks("IBM", start_us=None, end_us=ticks[999].event_time_us, limit=20)
        == sorted((tick for tick in ticks[:999] if tick.symbol == "IBM"), key=order)[-20:]
    )
    assert reader.bars("IBM", MINUTE, **between) == bars
    assert reader.indicators("IBM", MINUTE, **between) == said
    assert reader.symbols() == ["BAC", "IBM"]
    assert sorted(reader.intervals()) == ["1d", "1h", "1min"]


def order(tick: Tick) -> tuple[int, int]:
    return tick.order


def some_ticks(count: int) -> list[Tick]:
    """Of two symbols, over an old day, in order."""
    chance = random.Random(count)
    times = sorted(chance.sample(range(DAY_US), k=count))
    return [
        make_tick(
            OLD_DAY_US + offset,
            symbol=chance.choice(["IBM", "BAC"]),
            price=round(chance.uniform(1, 1_000), 4),
            size=chance.expovariate(1),
            sequence=number,
        )
        for number, offset in enumerate(times)
    ]


def test_bars_in_compressed_chunks_still_go_forward_only(
    database: PostgresSettings, writer: TimescaleWriter, reader: TimescaleReader
) -> None:
    log = Log()
    bar, tick = make_bar(OLD_DAY_US, 5), make_tick(OLD_DAY_US)
    writer.write(log.add(bar, tick, make_indicators(bar)))
    compress(database)

    writer.write(log.add(make_bar(OLD_DAY_US, 3), replace(tick, price=1.0), make_indicators(make_bar(OLD_DAY_US, 3))))
    assert reader.bars("IBM", MINUTE, start_us=None, end_us=None, limit=10) == [bar]
    assert reader.ticks("IBM", start_us=None, end_us=None, limit=10) == [tick]
    assert reader.indicators("IBM", MINUTE, start_us=None, end_us=None, limit=10) == [make_indicators(bar)]

    newer = make_bar(OLD_DAY_US, 6)
    writer.write(log.add(newer, make_indicators(newer)))
    assert reader.bars("IBM", MINUTE, start_us=None, end_us=None, limit=10) == [newer]
    assert reader.indicators("IBM", MINUTE, start_us=None, end_us=None, limit=10) == [make_indicators(newer)]


def test_new_trades_and_a_cancel_open_no_other_compressed_day(
    database: PostgresSettings, writer: TimescaleWriter
) -> None:
    ticks = some_ticks(2_000)
    next_day = [replace(tick, event_time_us=tick.event_time_us + DAY_US) for tick in ticks]
    log = Log()
    writer.write(log.add(*ticks, *next_day))
    compress(database)

    writer.write(log.add(make_tick(OLD_DAY_US + 5 * DAY_US)))
    assert opened_chunks(database) == 0
    writer.write(log.add(make_cancel(ticks[7])))
    assert opened_chunks(database) == 1
    assert rows(database, "select count(*) from tick_data where cancelled_time is not null") == [(1,)]


def opened_chunks(database: PostgresSettings) -> int:
    """Compressed chunks of which some rows are not compressed (any more)."""
    query = (
        "select count(*) from _timescaledb_catalog.chunk c join timescaledb_information.chunks i"
        " on i.chunk_schema = c.schema_name and i.chunk_name = c.table_name"
        " where i.hypertable_schema = %(schema)s and i.is_compressed and c.status & 8 <> 0"
    )
    [(count,)] = rows(database, query)
    return count


def test_a_compressed_day_takes_a_backfill(
    database: PostgresSettings, writer: TimescaleWriter, reader: TimescaleReader
) -> None:
    ticks = some_ticks(5_000)
    log = Log()
    writer.write(log.add(*ticks[::2]))
    compress(database)

    writer.write(log.add(*ticks[:1_000]))
    compress(database)
    writer.write(log.add(*ticks))

    [(count, different)] = rows(database, "select count(*), count(distinct trade_id) from tick_data")
    assert (count, different) == (len(ticks), len(ticks))
    wanted = [tick for tick in ticks if tick.symbol == "IBM"]
    assert reader.ticks("IBM", start_us=None, end_us=None, limit=10_000) == wanted


@pytest.fixture
def opens_little(server_settings: Callable[..., Settings], database: PostgresSettings) -> Iterator[None]:
    """TimescaleDB opens 100,000 compressed rows for a statement unless told otherwise; 50, to need fewer of them."""
    limit = "alter role {} {} timescaledb.max_tuples_decompressed_per_dml_transaction"
    role = sql.Identifier(database.writer)
    with closing(as_superuser(server_settings("postgres"))) as superuser, superuser.cursor() as cursor:
        superuser.autocommit = True
        cursor.execute(sql.SQL(limit + " = 50").format(role, sql.SQL("set")))
        yield
        cursor.execute(sql.SQL(limit).format(role, sql.SQL("reset")))


@pytest.mark.usefixtures("opens_little")
def test_a_batch_may_correct_more_than_timescaledb_opens_by_default(
    database: PostgresSettings, reader: TimescaleReader
) -> None:
    starts = [OLD_DAY_US + number * MINUTE_US for number in range(200)]
    log = Log()
    with closing(TimescaleWriter(database)) as writer:
        writer.setup()
        writer.write(log.add(*(make_bar(start, 1) for start in starts)))
        compress(database)

        writer.write(log.add(*(make_bar(start, 2) for start in starts[::2])))

    found = reader.bars("IBM", MINUTE, start_us=None, end_us=None, limit=1_000)
    assert [bar.trade_count for bar in found] == [2, 1] * 100


def test_a_compressed_minute_that_is_corrected_reaches_its_hour(
    database: PostgresSettings, writer: TimescaleWriter, reader: TimescaleReader
) -> None:
    log = Log()
    writer.write(log.add(*(make_bar(OLD_DAY_US + number * MINUTE_US, 2) for number in range(100))))
    refresh_rollups(database)
    compress(database)

    writer.write(log.add(make_bar(OLD_DAY_US, 9), make_bar(OLD_DAY_US + 100 * MINUTE_US, 1)))
    refresh_rollups(database)

    found = reader.bars("IBM", Interval.parse("1h"), start_us=None, end_us=None, limit=10)
    assert [bar.trade_count for bar in found] == [127, 81]


def test_retention_drops_compressed_chunks_too(
    database: PostgresSettings,
    writer: TimescaleWriter,
    reader: TimescaleReader,
    server_settings: Callable[..., Settings],
) -> None:
    bar = make_bar(OLD_DAY_US, 1)
    log = Log()
    writer.write(log.add(make_tick(OLD_DAY_US), bar))
    compress(database)
    age_parts(server_settings("postgres"), database, 8)

    writer.apply_retention({"tick_data": 7, "aggregated_data": 365})

    assert {table for table, _, _ in parts(database)} == {"aggregated_data"}
    assert reader.bars("IBM", MINUTE, start_us=None, end_us=None, limit=10) == [bar]
    writer.write(log.add(make_tick(OLD_DAY_US)))
    assert reader.latest("IBM") == make_tick(OLD_DAY_US)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("writer", "select public.drop_chunks('tick_data', older_than => now())"),
        ("writer", "select public.compress_chunk(c) from public.show_chunks('tick_data') as c"),
        ("writer", "select public.remove_compression_policy('tick_data')"),
        ("reader", "select public.remove_continuous_aggregate_policy('bars_1h')"),
    ],
)
def test_no_role_can_do_more_than_its_work(
    database: PostgresSettings, writer: TimescaleWriter, role: str, statement: str
) -> None:
    writer.write(Log().add(make_tick(OLD_DAY_US)))
    refused = pytest.raises((psycopg2.errors.InsufficientPrivilege, psycopg2.errors.InternalError))
    with closing(connect(database, role, statement_seconds=5)) as connection, connection.cursor() as cursor, refused:
        cursor.execute(statement)
