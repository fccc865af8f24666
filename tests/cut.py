"""How a database's tables are cut by time: into native partitions, or into TimescaleDB's chunks."""

import time
from contextlib import closing
from datetime import datetime

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812  # a class under a lower-case name
from psycopg2.extensions import cursor as Cursor  # noqa: N812  # a class under a lower-case name

from marketstream.launch.secrets import admin_secret
from marketstream.launch.servers.postgres import SUPERUSER
from marketstream.settings import PostgresSettings, Settings
from stores import as_owner

_PARTITIONS = "select table_name, range_start, range_end from table_partitions"
_CHUNKS = """
    select hypertable_name, range_start, range_end from timescaledb_information.chunks
    where hypertable_schema = %(schema)s
"""

Part = tuple[str, datetime, datetime]  # table, start, end


def has_hypertables(database: PostgresSettings) -> bool:
    with as_owner(database) as connection, connection.cursor() as cursor:
        cursor.execute("select to_regclass('table_partitions') is null")
        [(without,)] = cursor.fetchall()
    return bool(without)


def skip_without_hypertables(database: PostgresSettings) -> None:
    if not has_hypertables(database):
        pytest.skip("TimescaleDB is not installed in, or not loaded by, this PostgreSQL")


def parts(database: PostgresSettings) -> set[Part]:
    query = _CHUNKS if has_hypertables(database) else _PARTITIONS
    with as_owner(database) as connection, connection.cursor() as cursor:
        cursor.execute(query, {"schema": database.schema_name})
        return {(table, start, end) for table, start, end in cursor.fetchall()}


def drop_parts(database: PostgresSettings) -> None:
    hypertables = has_hypertables(database)
    with as_owner(database) as connection, connection.cursor() as cursor:
        if hypertables:
            for table in {table for table, _, _ in parts(database)}:
                cursor.execute(f"select public.drop_chunks('{table}', newer_than => timestamptz '1900-01-01')")
        else:
            cursor.execute("select name from table_partitions")
            for (name,) in cursor.fetchall():
                cursor.execute(f"drop table {name}")
            cursor.execute("delete from table_partitions")


def age_parts(settings: Settings, database: PostgresSettings, days: int) -> None:
    """Makes the parts, not what is in them, older."""
    if has_hypertables(database):
        with closing(as_superuser(settings)) as superuser, superuser, superuser.cursor() as cursor:
            cursor.execute(
                "update _timescaledb_catalog.chunk as c set creation_time = creation_time - make_interval(days => %s)"
                " from _timescaledb_catalog.hypertable as h where h.id = c.hypertable_id and h.schema_name = %s",
                (days, database.schema_name),
            )
    else:
        with as_owner(database) as connection, connection.cursor() as cursor:
            cursor.execute("update table_partitions set created_at = created_at - make_interval(days => %s)", (days,))


def refresh_rollups(database: PostgresSettings) -> None:
    """What TimescaleDB's job does now and then; PostgreSQL alone has nothing to bring up to date."""
    if has_hypertables(database):
        with as_owner(database) as connection, connection.cursor() as cursor:
            for name in ("bars_1h", "bars_1d"):
                _refresh(cursor, name)


def _refresh(cursor: Cursor, name: str) -> None:
    limit = time.monotonic() + 30
    while True:
        try:
            return cursor.execute(f"call public.refresh_continuous_aggregate('{name}', null, null)")
        except psycopg2.errors.LockNotAvailable:  # the job is at it
            if time.monotonic() > limit:
                raise


def as_superuser(settings: Settings) -> Connection:
    """Only the superuser may touch TimescaleDB's own catalog."""
    return psycopg2.connect(
        host=settings.postgres.host,
        port=settings.postgres.port,
        dbname=settings.postgres.database,
        user=SUPERUSER,
        password=admin_secret(settings.data_dir, "POSTGRES_SUPERUSER_PASSWORD"),
    )
