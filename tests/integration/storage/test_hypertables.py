"""The same promises on TimescaleDB; skipped where the PostgreSQL of the tests does not load it."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg2
import pytest

from marketstream.domain.errors import StoreError, StoreUnavailableError
from marketstream.launch.secrets import admin_secret
from marketstream.launch.servers.postgres import SUPERUSER
from marketstream.settings import PostgresSettings, Settings
from marketstream.storage.timescale.connection import connect
from marketstream.storage.timescale.reader import TimescaleReader
from marketstream.storage.timescale.writer import TimescaleWriter
from stores import MINUTE_US, Log, as_owner, fresh_schema, make_bar, make_tick

pytestmark = pytest.mark.servers

DAY_US = 86_400_000_000
OLD_DAY_US = 1_381_104_000_000_000  # 2013-10-07
CHUNKS = "select chunk_name from timescaledb_information.chunks where hypertable_schema = %s and hypertable_name = %s"


@pytest.fixture
def database(server_settings: Callable[..., Settings]) -> Iterator[PostgresSettings]:
    with fresh_schema(server_settings("postgres").postgres) as own:
        with as_owner(own) as connection, connection.cursor() as cursor:
            cursor.execute("select from pg_extension where extname = 'timescaledb'")
            if cursor.fetchone() is None:
                pytest.skip("TimescaleDB is not installed in, or not loaded by, this PostgreSQL")
        yield own


@pytest.fixture
def writer(database: PostgresSettings) -> Iterator[TimescaleWriter]:
    with closing(TimescaleWriter(database)) as opened:
        opened.setup()
        yield opened


def chunks(database: PostgresSettings, table: str) -> int:
    with as_owner(database) as connection, connection.cursor() as cursor:
        cursor.execute(CHUNKS, (database.schema_name, table))
        return len(cursor.fetchall())


def age_chunks(settings: Settings, days: int) -> None:
    """Only the superuser may touch TimescaleDB's own catalog."""
    connection = psycopg2.connect(
        host=settings.postgres.host,
        port=settings.postgres.port,
        dbname=settings.postgres.database,
        user=SUPERUSER,
        password=admin_secret(settings.data_dir, "POSTGRES_SUPERUSER_PASSWORD"),
    )
    with closing(connection), connection, connection.cursor() as cursor:
        cursor.execute(
            "update _timescaledb_catalog.chunk set creation_time = creation_time - make_interval(days => %s)", (days,)
        )


def test_tables_are_cut_by_time_and_compressed_later(database: PostgresSettings, writer: TimescaleWriter) -> None:
    now_us = time.time_ns() // 1_000
    writer.write(Log().add(make_tick(OLD_DAY_US), make_tick(OLD_DAY_US + DAY_US), make_tick(now_us)))
    writer.write(Log().add(make_bar(OLD_DAY_US, 1), make_bar(now_us // MINUTE_US * MINUTE_US, 1)))

    assert chunks(database, "tick_data") == 3
    assert chunks(database, "aggregated_data") == 2
    with as_owner(database) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select hypertable_name, compression_enabled from timescaledb_information.hypertables"
            " where hypertable_schema = %s order by 1",
            (database.schema_name,),
        )
        names = ("aggregated_data", "feed_events", "technical_indicators", "tick_data")
        assert cursor.fetchall() == [(name, True) for name in names]


def test_retention_drops_what_is_old_and_was_stored_long_ago(
    database: PostgresSettings, writer: TimescaleWriter, server_settings: Callable[..., Settings]
) -> None:
    recent = make_tick(time.time_ns() // 1_000 - 2 * DAY_US)
    log = Log()
    writer.write(log.add(make_tick(OLD_DAY_US), recent))
    writer.apply_retention({"tick_data": 7})
    assert chunks(database, "tick_data") == 2  # the old day was stored just now
    age_chunks(server_settings("postgres"), 8)

    writer.apply_retention({"tick_data": 7, "aggregated_data": 365})

    with closing(TimescaleReader(database)) as reader:
        assert reader.ticks("IBM", start_us=None, end_us=None, limit=10) == [recent]
        writer.write(log.add(make_tick(OLD_DAY_US)))
        assert len(reader.ticks("IBM", start_us=None, end_us=None, limit=10)) == 2


def test_bars_in_compressed_chunks_still_go_forward_only(database: PostgresSettings, writer: TimescaleWriter) -> None:
    log = Log()
    writer.write(log.add(make_bar(OLD_DAY_US, 5), make_tick(OLD_DAY_US)))
    with as_owner(database) as connection, connection.cursor() as cursor:
        for table in ("aggregated_data", "tick_data"):
            cursor.execute("select public.compress_chunk(c) from public.show_chunks(%s::regclass) c", (table,))

    writer.write(log.add(make_bar(OLD_DAY_US, 3), make_tick(OLD_DAY_US)))
    writer.write(log.add(make_bar(OLD_DAY_US, 6)))

    with as_owner(database) as connection, connection.cursor() as cursor:
        cursor.execute("select trade_count from aggregated_data")
        assert cursor.fetchall() == [(6,)]
        cursor.execute("select count(*) from tick_data")
        assert cursor.fetchall() == [(1,)]


def test_a_senseless_time_is_refused_for_good_and_makes_no_chunk(
    database: PostgresSettings, writer: TimescaleWriter
) -> None:
    with pytest.raises(StoreError) as caught:
        writer.write(Log().add(make_tick(-1)))

    assert not isinstance(caught.value, StoreUnavailableError)
    assert chunks(database, "tick_data") == 0


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("writer", "delete from tick_data"),
        ("writer", "select public.drop_chunks('tick_data', older_than => now())"),
        ("writer", "drop table aggregated_data"),
        ("reader", "update tick_data set price = 1"),
        ("reader", "select apply_retention('tick_data', 7)"),
    ],
)
def test_no_role_can_do_more_than_its_work(database: PostgresSettings, role: str, statement: str) -> None:
    refused = pytest.raises((psycopg2.errors.InsufficientPrivilege, psycopg2.errors.InternalError))
    with closing(connect(database, role, statement_seconds=5)) as connection, connection.cursor() as cursor, refused:
        cursor.execute(statement)
