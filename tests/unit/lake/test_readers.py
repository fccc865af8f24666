"""DuckDB, polars and pyarrow on the lake as a person would read it. Spark is in tests/spark."""

from datetime import date

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as pad
import pytest

from lakes import DAY_US, archive_ticks, lake_tick
from marketstream.lake.compaction import compact
from marketstream.lake.places import date_of
from marketstream.lake.store import LakeStore

SYMBOLS = ("BRK.B", "EUR/USD", "A=B", "50%", "?*[x]", "ÄÖ", "0700")
DAY = date_of(DAY_US)
COLUMNS = ("symbol", "event_time_us", "price", "trade_id", "conditions", "date")


@pytest.fixture
def ticks(lake):
    made = [lake_tick(number, symbol=symbol) for symbol in SYMBOLS for number in range(0, 2_000, 250)]
    archive_ticks(LakeStore.at(lake), made)
    return made


@pytest.fixture
def lake(lake_url, monkeypatch):
    """As the docs tell to name it: others know s3a as s3, and polars takes no address without TLS unless told."""
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    return lake_url.replace("s3a://", "s3://")


def open_with_pyarrow(lake):
    levels = pad.partitioning(pa.schema([("date", pa.date32()), ("symbol", pa.string())]), flavor="hive")
    return pad.dataset(f"{lake}/ticks", partitioning=levels)


def read_with_duckdb(lake):
    if lake.startswith("s3://"):  # DuckDB's own way there is an extension that it would fetch
        return duckdb.from_arrow(open_with_pyarrow(lake))
    return duckdb.sql(f"select * from '{lake}/ticks/**/*.parquet'")  # noqa: S608  # as the docs say it


def test_duckdb_reads_every_row_once_before_and_after_compaction(lake, ticks):
    for _ in range(2):
        rows = read_with_duckdb(lake).select(*COLUMNS).fetchall()
        expected = {
            (t.symbol, t.event_time_us, t.price, t.trade_id, t.conditions, date_of(t.event_time_us)) for t in ticks
        }
        assert len(rows) == len(ticks)
        assert {(*row[:4], tuple(row[4]), row[5]) for row in rows} == expected
        compact(LakeStore.at(lake), DAY, date(2100, 1, 1), 10**9)


def test_duckdb_has_the_types_the_docs_say(lake, ticks):
    read = read_with_duckdb(lake)
    types = dict(zip(read.columns, map(str, read.types), strict=True))
    assert types["symbol"] == "VARCHAR"
    assert types["date"] == "DATE"
    assert types["event_time_us"] == "BIGINT"
    assert types["conditions"] == "VARCHAR[]"


def test_duckdb_filters_by_date_and_symbol(lake, ticks):
    chosen = read_with_duckdb(lake).filter(f"date = '{DAY}' and symbol = 'EUR/USD'")
    assert len(chosen.fetchall()) == sum(t.symbol == "EUR/USD" and date_of(t.event_time_us) == DAY for t in ticks)


def test_polars_reads_the_same(lake, ticks):
    frame = pl.scan_parquet(f"{lake}/ticks/", hive_partitioning=True).collect()
    assert frame.schema["symbol"] == pl.String
    assert frame.schema["date"] == pl.Date
    assert frame.schema["event_time_us"] == pl.Int64
    read = frame.sort("symbol", "event_time_us").select("symbol", "event_time_us", "trade_id", "date").rows()
    assert read == sorted((t.symbol, t.event_time_us, t.trade_id, date_of(t.event_time_us)) for t in ticks)
    chosen = pl.scan_parquet(f"{lake}/ticks/", hive_partitioning=True).filter(
        (pl.col("symbol") == "0700") & (pl.col("date") == DAY)
    )
    assert chosen.collect().height == 6


def test_pyarrow_reads_the_same(lake, ticks):
    for _ in range(2):
        rows = open_with_pyarrow(lake).to_table(columns=["symbol", "event_time_us", "trade_id", "date"]).to_pylist()
        expected = [(t.symbol, t.event_time_us, t.trade_id, date_of(t.event_time_us)) for t in ticks]
        assert sorted(tuple(row.values()) for row in rows) == sorted(expected)
        compact(LakeStore.at(lake), DAY, date(2100, 1, 1), 10**9)
